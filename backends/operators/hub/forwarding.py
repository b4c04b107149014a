"""Charge detail records on their way to the provider: kept, forwarded as they came, tried again while it is away."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import sqlalchemy as sa

from backend_client.oicp_messages import CDR_PATH, Acknowledgement
from backend_client.oicp_session import OicpRefused, OicpSession
from backends.operators.hub.settings import HubSettings
from backends.operators.hub.tables import CDRS
from backends.store.database import Database, StoreError
from ports.clock import Clock
from ports.errors import PeerError, RigError
from ports.trace import TraceEvent, Tracer, no_trace

BATCH = 100


class State(StrEnum):
    """Of a record."""

    WAITING = "waiting"
    FORWARDED = "forwarded"
    REJECTED = "rejected"  # by the provider; the operator may send a corrected one


@dataclass(frozen=True, slots=True)
class HubCdr:
    """A record that is kept. body: octet by octet as it came."""

    session_id: str
    operator: str
    provider: str
    body: bytes
    state: State = State.WAITING
    attempts: int = 0
    said: str = ""


class Forwarder:
    """Forwards at once, and later what could not be forwarded. `run` is a task until it is cancelled."""

    def __init__(
        self,
        settings: HubSettings,
        database: Database,
        clock: Clock,
        providers: Mapping[str, OicpSession],
        tracer: Tracer = no_trace,
    ) -> None:
        self._settings = settings
        self._database = database
        self._clock = clock
        self._providers = providers
        self._tracer = tracer
        self._news = asyncio.Event()

    async def forward(self, cdr: HubCdr) -> HubCdr:
        """Send it to its provider once and note what became of it; never raises for the provider's sake."""
        path = CDR_PATH.format(operator=cdr.operator)
        try:
            await self._providers[cdr.provider].post(path, cdr.body, Acknowledgement)
            state, said = State.FORWARDED, ""
        except OicpRefused as refused:
            state, said = State.REJECTED, f"{refused.code} {refused}"
        except (RigError, PeerError) as error:
            state, said = State.WAITING, str(error)
        attempts = cdr.attempts + 1
        wait = min(self._settings.retry_s * 2 ** min(attempts - 1, 20), self._settings.most_retry_s)
        due = self._now() + wait
        changes = {"state": state, "attempts": attempts, "due": due, "said": said[:2000]}
        mine = CDRS.c.session_id == cdr.session_id
        await self._database.write(lambda connection: connection.execute(CDRS.update().where(mine).values(changes)))
        about = {"session": cdr.session_id, "provider": cdr.provider, "attempts": attempts, "why": said}
        self._tracer(TraceEvent(self._clock.monotonic(), "backend", f"hub.cdr.{state}", self._settings.name, about))
        if state is State.WAITING:
            self._news.set()
        return HubCdr(cdr.session_id, cdr.operator, cdr.provider, cdr.body, state, attempts, said)

    async def forward_due(self) -> int:
        """Everything that is due now; how many were tried."""
        due = (CDRS.c.state == State.WAITING) & (CDRS.c.due <= self._now())
        query = sa.select(CDRS).where(due).order_by(CDRS.c.due).limit(BATCH)
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        for row in rows:
            await self.forward(cdr_of_row(row))
        return len(rows)

    async def run(self) -> None:
        """Forward what is due, for ever; sleeps while nothing waits."""
        query = sa.select(sa.func.min(CDRS.c.due)).where(CDRS.c.state == State.WAITING)
        while True:
            self._news.clear()
            try:
                await self.forward_due()
                due = await self._database.read(lambda connection: connection.execute(query).scalar_one())
            except StoreError as error:
                self._tracer(
                    TraceEvent(
                        self._clock.monotonic(), "backend", "hub.store", self._settings.name, {"why": str(error)}
                    )
                )
                due = self._now() + self._settings.retry_s
            if due is None:
                await self._news.wait()
            else:
                wait = max(1.0, due - self._clock.now().timestamp())
                await self._clock.sleep(min(wait, self._settings.retry_s))  # what comes meanwhile is due no earlier

    def _now(self) -> int:
        return int(self._clock.now().timestamp())


def cdr_of_row(row: sa.Row[tuple[object, ...]]) -> HubCdr:
    """A row as a record."""
    return HubCdr(row.session_id, row.operator, row.provider, row.body, State(row.state), row.attempts, row.said)
