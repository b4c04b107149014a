"""Charge details on their way: kept until each taker has said that it has them, tried again with growing pauses."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Any
from uuid import UUID

import msgspec
import sqlalchemy as sa

from backends.operators.cpo import ledger
from backends.operators.cpo.leases import Leases
from backends.operators.cpo.schema import CHARGE_DETAILS, OUTBOX
from backends.store.database import Database, StoreError
from ports.charge_detail import ChargeDetail, ChargeDetailSink
from ports.clock import Clock
from ports.errors import PlugbenchError, RigError
from ports.trace import TraceEvent, Tracer

FIRST_PAUSE_S, LONGEST_PAUSE_S = 2.0, 600.0
JITTER = 0.2  # share of a pause
BATCH = 50
LOOK_AGAIN_S = 60.0
WAITING, DELIVERED, REFUSED = "waiting", "delivered", "refused"
LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Parcel:
    """One charge detail for one taker."""

    seq: int
    sink: str
    attempts: int
    detail: ChargeDetail


class Outbox:
    """Delivers until cancelled. A taker gets them in their order; one that is away holds up nobody else.

    Of several processes on one database one delivers to a taker, the others look again from time to time.
    """

    def __init__(
        self,
        database: Database,
        sinks: Mapping[str, ChargeDetailSink],
        clock: Clock,
        random: Random,
        *,
        name: str,
        tracer: Tracer,
    ) -> None:
        """random: of the pauses, and of what tells this process from others."""
        self._database = database
        self._sinks = sinks
        self._clock = clock
        self._random = random
        self._name = name
        self._tracer = tracer
        self._woken = asyncio.Event()
        self._leases = Leases(database, clock, str(UUID(int=random.getrandbits(128), version=4)))

    def wake(self) -> None:
        """Something may be due."""
        self._woken.set()

    async def run(self) -> None:
        """Deliver what is due and wait for the next."""
        while True:
            self._woken.clear()
            try:
                await self.deliver_due()
                pause = await self._pause_s()
            except Exception:  # the database is away, or something in it cannot be read: later, not never
                LOG.exception("charge details wait")
                pause = LOOK_AGAIN_S
            await self._wait(pause)

    async def close(self) -> None:
        """Let another process deliver; `run` has ended. A database that is away changes nothing."""
        with contextlib.suppress(StoreError):
            await self._leases.release()

    async def deliver_due(self) -> None:
        """Hand over everything that is due now. Raises StoreError."""
        await asyncio.gather(*(self._deliver(name, sink) for name, sink in self._sinks.items()))

    async def _deliver(self, name: str, sink: ChargeDetailSink) -> None:
        while True:
            due = functools.partial(_due, sink=name, now=self._now())
            parcels = await self._database.read(due)
            if not parcels or not await self._leases.hold(name):
                return
            parcels = await self._database.read(due)  # the process that had the lease may have delivered them
            for parcel in parcels:
                if not await self._leases.hold(name) or not await self._hand_over(sink, parcel):
                    return
            if len(parcels) < BATCH:
                return

    async def _hand_over(self, sink: ChargeDetailSink, parcel: Parcel) -> bool:
        """Whether the taker can be asked for the next one."""
        why, state, pause, incident = "", DELIVERED, 0.0, ""
        try:
            await sink.push(parcel.detail)
        except RigError as error:
            why, state = str(error), WAITING
        except PlugbenchError as error:  # refused, or it does not fit the taker's protocol: no repeat makes it better
            why, state, incident = str(error), REFUSED, "charge detail refused"
        except (
            Exception
        ) as error:  # our own mistake in a sink: the others go on, and so does this one when it is mended
            LOG.exception("charge detail %s for %s", parcel.detail.id, parcel.sink)
            why, state, incident = f"{type(error).__name__}: {error}", WAITING, "charge detail stuck"
        if state == WAITING:
            pause = min(FIRST_PAUSE_S * 2.0 ** min(parcel.attempts, 20), LONGEST_PAUSE_S)
            pause *= 1 + JITTER * self._random.random()
        due, at = self._now() + round(pause), self._clock.now().isoformat()

        def settle(connection: sa.Connection) -> None:
            values = {"state": state, "attempts": parcel.attempts + 1, "due": due, "why": why[:2000]}
            connection.execute(OUTBOX.update().where(OUTBOX.c.seq == parcel.seq).values(values))
            if incident:
                detail = parcel.detail
                text = f"{parcel.sink} does not take {detail.id}: {why}"[:2000]
                ledger.raise_incident(connection, detail.station, detail.transaction_id, incident, text, at)

        await self._database.write(settle)
        data = {"detail": parcel.detail.id, "sink": parcel.sink, "state": state, "attempt": parcel.attempts + 1}
        self._tracer(
            TraceEvent(self._clock.monotonic(), "backend", "cpo.charge_detail", self._name, {**data, "why": why})
        )
        return state != WAITING

    async def _pause_s(self) -> float:
        """Until the earliest parcel of a taker that there is."""
        query = sa.select(sa.func.min(OUTBOX.c.due)).where(
            OUTBOX.c.state == WAITING, OUTBOX.c.sink.in_(list(self._sinks))
        )
        due = await self._database.read(lambda connection: connection.execute(query).scalar())
        return LOOK_AGAIN_S if due is None else min(max(1.0, due - self._now()), LOOK_AGAIN_S)

    async def _wait(self, seconds: float) -> None:
        waits = [asyncio.ensure_future(self._woken.wait()), asyncio.ensure_future(self._clock.sleep(seconds))]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await wait

    def _now(self) -> int:
        return int(self._clock.now().timestamp())


def detail_of(body: Any) -> ChargeDetail:
    """As it was kept."""
    return msgspec.convert(body, ChargeDetail)


def _due(connection: sa.Connection, sink: str, now: int) -> list[Parcel]:
    """The oldest first; behind one that waits for its pause the others wait, too."""
    query = (
        sa.select(OUTBOX, CHARGE_DETAILS.c.body)
        .join(CHARGE_DETAILS, CHARGE_DETAILS.c.id == OUTBOX.c.detail_id)
        .where(OUTBOX.c.sink == sink, OUTBOX.c.state == WAITING)
        .order_by(OUTBOX.c.seq)
        .limit(BATCH)
    )
    found = []
    for row in connection.execute(query):
        if row.due > now:
            break
        found.append(Parcel(row.seq, row.sink, row.attempts, detail_of(row.body)))
    return found
