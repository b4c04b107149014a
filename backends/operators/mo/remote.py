"""Remote start and stop for customers: OCPI commands to the CPO, its outcome when it comes (IF_MO_APP)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from random import Random
from uuid import UUID

import sqlalchemy as sa

from backend_client.ocpi_commands import OcpiCommands
from backend_client.ocpi_messages import VERSION, CommandResponse, Token
from backend_client.ocpi_session import OcpiSession
from backends.operators.mo.customers import Holder, holders
from backends.operators.mo.settings import MoSettings
from backends.operators.mo.tables import COMMANDS, CONTRACTS, SESSIONS
from backends.store.database import Database
from ports.clock import Clock
from ports.errors import LocalError, PeerError, RigError


class RemoteRefused(PeerError):
    """It may not be done, or the CPO did not take it. status: HTTP."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class RemoteControl:
    """Of all customers. `url` is set as soon as the server has one: results come back there."""

    def __init__(
        self,
        settings: MoSettings,
        database: Database,
        clock: Clock,
        random: Random,
        token_of: Callable[[Holder], Token],
    ) -> None:
        """token_of: a token as partners see it."""
        self.url = settings.url
        self._settings = settings
        self._database = database
        self._clock = clock
        self._random = random
        self._token_of = token_of
        self._tokens = {one.party.id: one.outgoing for one in settings.partners}
        self._sessions: dict[str, OcpiSession] = {
            one.party.id: OcpiSession(one.versions_url, one.outgoing, random)
            for one in settings.partners
            if one.versions_url
        }

    async def start(self, customer: str, operator: str, location_id: str, evse_uid: str) -> str:
        """Ask a CPO to begin a session with the customer's app token; the command's id.

        Raises RemoteRefused, RigError.
        """
        session = self.session(operator)
        at = int(self._clock.now().timestamp())

        def tokens(connection: sa.Connection) -> list[Holder]:
            return holders(connection, CONTRACTS.c.customer == customer, 0, 100)

        found = [one for one in await self._database.read(tokens) if one.type == "APP_USER"]
        token = next((one for one in found if one.allowed(at) == "ALLOWED"), None)
        if token is None:
            raise RemoteRefused(403, "none of your contracts may charge now")
        command, url = await self._note(customer, "START_SESSION", operator, evse_uid)
        send = OcpiCommands(session).start(self._token_of(token), location_id, evse_uid, url, command)
        return await self._sent(command, send)

    async def stop(self, customer: str, operator: str, session_id: str) -> str:
        """Ask a CPO to end a session of this customer; the command's id. Raises RemoteRefused, RigError."""
        session = self.session(operator)
        mine = (SESSIONS.c.operator == operator) & (SESSIONS.c.id == session_id) & (SESSIONS.c.customer == customer)
        query = sa.select(SESSIONS.c.id).where(mine)
        if await self._database.read(lambda connection: connection.execute(query).one_or_none()) is None:
            raise RemoteRefused(404, "you have no such session")
        command, url = await self._note(customer, "STOP_SESSION", operator, session_id)
        return await self._sent(command, OcpiCommands(session).stop(session_id, url))

    async def close(self) -> None:
        """Close the connections."""
        for session in self._sessions.values():
            await session.close()

    async def reach(self, operator: str, versions_url: str) -> None:
        """From now on a partner ("DECPO") is there. Raises RemoteRefused when it is no partner."""
        if operator not in self._tokens:
            raise RemoteRefused(404, f"operator {operator[:8]!r} is no partner")
        before = self._sessions.pop(operator, None)
        self._sessions[operator] = OcpiSession(versions_url, self._tokens[operator], self._random)
        if before is not None:
            await before.close()

    def session(self, operator: str) -> OcpiSession:
        """To a partner by its id. Raises RemoteRefused when we have none."""
        if operator not in self._sessions:
            raise RemoteRefused(404, f"operator {operator[:8]!r} is no partner that we can reach")
        return self._sessions[operator]

    async def _note(self, customer: str, kind: str, operator: str, subject: str) -> tuple[str, str]:
        """Kept before it is sent: the outcome may come before the answer. The command's id and its URL."""
        command = str(UUID(int=self._random.getrandbits(128), version=4))
        row = {"id": command, "customer": customer, "kind": kind, "operator": operator, "subject": subject[:48]}
        at = int(self._clock.now().timestamp())
        await self._database.write(
            lambda connection: connection.execute(
                COMMANDS.insert().values(**row, answer="", outcome="", detail="", at=at)
            )
        )
        return command, f"{self.url}/ocpi/{VERSION}/commands/{kind}/{command}"

    async def _sent(self, command: str, answer: Awaitable[CommandResponse]) -> str:
        try:
            response = await answer
        except (PeerError, RigError, LocalError) as error:
            await self._answered(command, "FAILED", str(error))
            if isinstance(error, PeerError):
                raise RemoteRefused(502, str(error)) from error
            raise
        text = "; ".join(one.text for one in response.message)
        await self._answered(command, response.result, text)
        if response.result != "ACCEPTED":
            raise RemoteRefused(409, f"the operator says {response.result}{f': {text}' if text else ''}")
        return command

    async def _answered(self, command: str, answer: str, text: str) -> None:
        mine = COMMANDS.c.id == command
        await self._database.write(
            lambda connection: connection.execute(
                COMMANDS.update().where(mine).values(answer=answer, detail=text[:2000])
            )
        )
