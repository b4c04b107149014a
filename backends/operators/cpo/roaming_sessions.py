"""Whose customer charges: what a mobility operator may see and stop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
import sqlalchemy as sa

from backend_client.ocpi_messages import AuthMethod, CdrToken
from backends.operators.cpo import ledger
from backends.operators.cpo.schema import ROAMING_SESSIONS as SESSIONS
from backends.operators.cpo.schema import TRANSACTIONS
from backends.store.database import Database
from ports.clock import Clock

REMOTE_START_S = 600  # from the driver's tap to the plug; a remote start that did not begin by then is nobody's
T = TypeVar("T")
TokenOf = Callable[[str], tuple[str, CdrToken] | None]


@dataclass(frozen=True, slots=True)
class RoamingSession:
    """A transaction of a partner's customer. partner: party id, "DEPLB"."""

    partner: str
    token: CdrToken
    auth_method: AuthMethod


class RoamingSessions:
    """Of one CPO. A transaction belongs to who started it from afar, else to who has allowed its token."""

    def __init__(self, database: Database, clock: Clock, token_of: TokenOf) -> None:
        """token_of: the partner that a token belongs to, with the token as it is there; None = nobody's."""
        self._database = database
        self._clock = clock
        self._token_of = token_of

    async def expect(self, station: str, remote_start_id: int | None, partner: str, token: CdrToken) -> int:
        """A remote start that is about to be asked for; `forget` takes its number. Raises StoreError."""
        row = _row(station, "", remote_start_id, RoamingSession(partner, token, "COMMAND"), self._now())

        def work(connection: sa.Connection) -> int:
            old = (SESSIONS.c.transaction_id == "") & (SESSIONS.c.at < self._now() - REMOTE_START_S)
            connection.execute(SESSIONS.delete().where(old))
            return int(connection.execute(SESSIONS.insert().values(row).returning(SESSIONS.c.seq)).scalar_one())

        return await self._database.write(work)

    async def forget(self, number: int) -> None:
        """The station does not want it. Raises StoreError."""
        mine = (SESSIONS.c.seq == number) & (SESSIONS.c.transaction_id == "")
        await self._database.write(lambda connection: connection.execute(SESSIONS.delete().where(mine)))

    async def owner(self, station: str, transaction_id: str) -> RoamingSession | None:
        """Whose transaction it is, decided once; None as long as nobody is known. Raises StoreError."""
        mine = (SESSIONS.c.station == station) & (SESSIONS.c.transaction_id == transaction_id)
        query = sa.select(SESSIONS).where(mine)
        found = await self._database.look_up(lambda connection: connection.execute(query).first())
        if found is not None:
            return _session(found)
        return await self._database.write(lambda connection: self._claim(connection, station, transaction_id))

    def _claim(self, connection: sa.Connection, station: str, transaction_id: str) -> RoamingSession | None:
        transaction = ledger.find(connection, station, transaction_id)
        if transaction is None or not transaction.id_token:
            return None
        pending = sa.select(SESSIONS).where(
            SESSIONS.c.station == station,
            SESSIONS.c.transaction_id == "",
            SESSIONS.c.at >= self._now() - REMOTE_START_S,
            SESSIONS.c.remote_start_id.is_not_distinct_from(transaction.remote_start_id),
        )
        for row in connection.execute(pending.order_by(SESSIONS.c.seq)):
            if row.token["uid"].upper() == transaction.id_token.upper():
                mine = SESSIONS.c.seq == row.seq
                connection.execute(SESSIONS.update().where(mine).values(transaction_id=transaction_id))
                return _session(row)
        known = self._token_of(transaction.id_token)
        if known is None:
            return None
        session = RoamingSession(*known, "AUTH_REQUEST")
        connection.execute(SESSIONS.insert().values(_row(station, transaction_id, None, session, self._now())))
        return session

    async def running(self, partner: str, transaction_id: str) -> str | None:
        """The station of the partner's running transaction, when there is exactly one. Raises StoreError."""
        query = sa.select(TRANSACTIONS.c.station).where(
            TRANSACTIONS.c.transaction_id == transaction_id, TRANSACTIONS.c.state == ledger.RUNNING
        )
        stations = await self._database.read(lambda connection: connection.scalars(query).all())
        owners = [(station, await self.owner(station, transaction_id)) for station in stations]
        mine = [station for station, owner in owners if owner is not None and owner.partner == partner]
        return mine[0] if len(mine) == 1 else None

    def _now(self) -> int:
        return int(self._clock.now().timestamp())


def _row(
    station: str, transaction_id: str, remote_start_id: int | None, session: RoamingSession, at: int
) -> Mapping[str, Any]:
    return {
        "station": station,
        "transaction_id": transaction_id,
        "remote_start_id": remote_start_id,
        "partner": session.partner,
        "token": msgspec.to_builtins(session.token),
        "auth_method": session.auth_method,
        "at": at,
    }


def _session(row: sa.Row[Any]) -> RoamingSession:
    return RoamingSession(row.partner, msgspec.convert(row.token, CdrToken), row.auth_method)
