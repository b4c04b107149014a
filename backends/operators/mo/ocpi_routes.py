"""OCPI 2.2.1 modules of a mobility operator: tokens with real-time authorisation, CDRs, sessions, command results."""

from __future__ import annotations

from datetime import UTC, datetime
from random import Random
from urllib.parse import quote
from uuid import UUID

import msgspec
import sqlalchemy as sa
from starlette.routing import Route

from backend_client.ocpi_messages import (
    VERSION,
    AuthorizationInfo,
    Cdr,
    CommandResult,
    DisplayText,
    LocationReferences,
    Session,
    Token,
)
from backend_client.ocpi_types import utc
from backends.operators.mo.cdrs import CdrConflict, CdrReceiver, CdrRefused
from backends.operators.mo.customers import Holder, Status, holder, holders
from backends.operators.mo.received import UnreadableCdr, from_ocpi
from backends.operators.mo.settings import MoSettings
from backends.operators.mo.tables import CDRS, COMMANDS, SESSIONS, TOKENS
from backends.operators.ocpi_server import (
    INVALID,
    NOT_ENOUGH,
    UNKNOWN_TOKEN,
    Module,
    OcpiCall,
    OcpiProblem,
    OcpiResult,
    OcpiServer,
    base_url,
    list_result,
    page_of,
)
from backends.store.database import Database
from ports.backend import Ack
from ports.clock import Clock

ROOT = f"/ocpi/{VERSION}"
MODULES = (
    Module("tokens", "SENDER"),
    Module("cdrs", "RECEIVER"),
    Module("sessions", "RECEIVER"),
    Module("commands", "SENDER"),
)
PAGE = 100
WHY = {
    Status.REVOKED: "the contract certificate was revoked",
    Status.BLOCKED: "blocked",
    Status.NO_CREDIT: "no credit",
}


class MoOcpi:
    """One method per operation."""

    def __init__(
        self, settings: MoSettings, database: Database, clock: Clock, random: Random, receiver: CdrReceiver
    ) -> None:
        self._settings = settings
        self._database = database
        self._clock = clock
        self._random = random
        self._receiver = receiver

    def routes(self, server: OcpiServer) -> list[Route]:
        """All modules."""
        return [
            *server.routes(),
            server.route("GET", f"{ROOT}/tokens", self._tokens),
            server.route("POST", f"{ROOT}/tokens/{{uid}}/authorize", self._authorize, LocationReferences),
            server.route("POST", f"{ROOT}/cdrs", self._put_cdr, Cdr),
            server.route("GET", f"{ROOT}/cdrs/{{operator}}/{{id}}", self._get_cdr),
            server.route("PUT", f"{ROOT}/sessions/{{country}}/{{party}}/{{id}}", self._put_session, Session),
            server.route("POST", f"{ROOT}/commands/{{kind}}/{{id}}", self._put_result, CommandResult),
        ]

    def token(self, owner: Holder) -> Token:
        """As partners see it."""
        return Token(
            country_code=self._settings.party.country_code,
            party_id=self._settings.party.party_id,
            uid=owner.uid,
            type=owner.type,
            contract_id=owner.emaid,
            issuer=self._settings.name,
            valid=owner.allowed(self._now()) == "ALLOWED",
            whitelist="NEVER",  # every use is asked for: a contract can end at any moment
            last_updated=datetime.fromtimestamp(owner.updated, UTC),
        )

    async def _tokens(self, call: OcpiCall[None]) -> OcpiResult:
        page = page_of(call, PAGE)
        where: sa.ColumnElement[bool] = sa.true()
        if page.since:
            where &= TOKENS.c.updated >= int(page.since.timestamp())
        if page.until:
            where &= TOKENS.c.updated < int(page.until.timestamp())

        def work(connection: sa.Connection) -> tuple[list[Holder], int]:
            count = connection.execute(sa.select(sa.func.count()).select_from(TOKENS).where(where)).scalar_one()
            return holders(connection, where, page.offset, page.limit), count

        found, total = await self._database.read(work)
        return list_result(call, page, [self.token(one) for one in found], total, PAGE)

    async def _authorize(self, call: OcpiCall[LocationReferences]) -> OcpiResult:
        """12.2.2.2. The type in the query is not asked for: uids are unique over all types here."""
        uid = call.path("uid")
        owner = await self._database.read(lambda connection: holder(connection, uid))
        if owner is None:
            raise OcpiProblem(UNKNOWN_TOKEN, f"token {uid[:36]} is not known", 404)
        if not call.body.location_id:
            raise OcpiProblem(NOT_ENOUGH, "where is missing")
        allowed = owner.allowed(self._now())
        info = None if allowed == "ALLOWED" else DisplayText(language="en", text=WHY.get(owner.status, "expired"))
        token = self.token(owner)
        token.uid = uid  # as it was asked for: the same but for case and hyphens
        return OcpiResult(
            AuthorizationInfo(
                allowed=allowed,
                token=token,
                location=call.body if allowed == "ALLOWED" else None,
                authorization_reference=self._new_id() if allowed == "ALLOWED" else None,
                info=info,
            )
        )

    async def _put_cdr(self, call: OcpiCall[Cdr]) -> OcpiResult:
        cdr = call.body
        if f"{cdr.country_code}{cdr.party_id}".upper() != call.caller.id:
            raise OcpiProblem(INVALID, f"{call.caller.id} sends a CDR of {cdr.country_code}{cdr.party_id}")
        try:
            ack = await self._receiver.receive(from_ocpi(cdr))
        except (UnreadableCdr, CdrRefused, CdrConflict) as refused:
            raise OcpiProblem(INVALID, str(refused)) from None
        location = f"{base_url(call.request)}{ROOT}/cdrs/{call.caller.id}/{quote(cdr.id, safe='')}"
        return OcpiResult(http=201 if ack is Ack.STORED else 200, headers={"Location": location})

    async def _get_cdr(self, call: OcpiCall[None]) -> OcpiResult:
        mine = (CDRS.c.operator == call.caller.id) & (CDRS.c.id == call.path("id")) & (CDRS.c.channel == "OCPI")
        body = await self._database.read(
            lambda connection: connection.execute(sa.select(CDRS.c.body).where(mine)).scalar_one_or_none()
        )
        if body is None or call.path("operator") != call.caller.id:
            raise OcpiProblem(INVALID, "there is no such CDR", 404)
        return OcpiResult(msgspec.Raw(body))  # as it came

    async def _put_session(self, call: OcpiCall[Session]) -> OcpiResult:
        news = call.body
        named = (call.path("country").upper(), call.path("party").upper(), call.path("id"))
        if named != (news.country_code.upper(), news.party_id.upper(), news.id) or call.caller.id != "".join(named[:2]):
            raise OcpiProblem(INVALID, "the path names another session, or another party's")
        key = {"operator": call.caller.id, "id": news.id}
        row = {
            "uid": news.cdr_token.uid,
            "status": news.status,
            "kwh": f"{news.kwh:f}",
            "evse_uid": news.evse_uid,
            "began": int(utc(news.start_date_time).timestamp()),
            "updated": int(utc(news.last_updated).timestamp()),
        }

        def work(connection: sa.Connection) -> bool:
            mine = sa.and_(*(SESSIONS.c[name] == value for name, value in key.items()))
            known = connection.execute(sa.select(SESSIONS.c.updated).where(mine)).scalar_one_or_none()
            if known is None:
                owner = holder(connection, news.cdr_token.uid)
                connection.execute(SESSIONS.insert().values(**key, **row, customer=owner.customer if owner else ""))
            elif known <= row["updated"]:  # older news came late
                connection.execute(SESSIONS.update().where(mine).values(row))
            return known is None

        return OcpiResult(http=201 if await self._database.write(work) else 200)

    async def _put_result(self, call: OcpiCall[CommandResult]) -> OcpiResult:
        """The outcome of a command: once, and only from the CPO that it was sent to."""
        mine = (COMMANDS.c.id == call.path("id")) & (COMMANDS.c.operator == call.caller.id)
        text = "; ".join(one.text for one in call.body.message)[:2000]
        change = COMMANDS.update().where(mine, COMMANDS.c.outcome == "").values(outcome=call.body.result, detail=text)

        def work(connection: sa.Connection) -> bool:
            if connection.execute(sa.select(COMMANDS.c.id).where(mine)).one_or_none() is None:
                return False
            connection.execute(change)
            return True

        if not await self._database.write(work):
            raise OcpiProblem(INVALID, "there is no such command", 404)
        return OcpiResult()

    def _now(self) -> int:
        return int(self._clock.now().timestamp())

    def _new_id(self) -> str:
        return str(UUID(int=self._random.getrandbits(128), version=4))
