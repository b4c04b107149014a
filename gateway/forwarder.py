"""Delivers released records to backends: in order within a transaction, again and again until each is answered.

What was answered for good is kept in the journal, so a restart neither forgets nor repeats; when an answer is lost,
the record goes out again under the same id and the backend tells that it has it.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random, SystemRandom
from typing import Any

from gateway.backoff import Backoff
from gateway.journal import Journal
from gateway.journal_entry import Delivery, Entry, JournalError
from ports.backend import Backend
from ports.clock import Clock
from ports.errors import PeerError, RigError
from ports.trace import TraceEvent, Tracer, no_trace


@dataclass(slots=True)
class _Lane:
    """The records of one transaction that wait for one backend."""

    seqs: deque[int] = field(default_factory=deque)
    failures: int = 0
    not_before: float = 0.0


class Forwarder:
    """Forwards to several backends; one that is away or slow does not keep the others waiting."""

    def __init__(
        self,
        journal: Journal,
        backends: Mapping[str, Backend],
        clock: Clock,
        *,
        random: Random | None = None,
        backoff: Backoff | None = None,
        tracer: Tracer = no_trace,
    ) -> None:
        """random: source of the jitter, seeded where runs are to be repeated."""
        self._lines = {
            name: _Line(name, backend, journal, clock, random or SystemRandom(), backoff or Backoff(), tracer)
            for name, backend in backends.items()
        }
        self._journal = journal
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Take up what earlier runs left undelivered, and everything that is released from now on."""
        self._journal.subscribe(self._released)
        for line in self._lines.values():
            await line.load()
        self._tasks = [asyncio.create_task(line.run(), name=f"forward {line.name}") for line in self._lines.values()]

    def waiting(self) -> dict[str, int]:
        """Per backend, how many records it has not answered for good."""
        return {name: line.waiting for name, line in self._lines.items()}

    async def drained(self) -> None:
        """Wait until every backend has answered for every record. Raises what ended a delivery unexpectedly."""
        idle = asyncio.gather(*(line.idle.wait() for line in self._lines.values()))
        waiting: set[asyncio.Future[Any]] = {idle, *self._tasks}
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in self._tasks:
                if task.done():
                    task.result()
        finally:
            idle.cancel()

    async def close(self) -> None:
        """Stop and close the backends' connections; what is undelivered goes out after the next start."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for line in self._lines.values():
            await line.backend.close()

    def _released(self, entry: Entry) -> None:
        for line in self._lines.values():
            line.add(entry.seq, entry.transaction_id)


class _Line:
    """One backend: a queue of transactions, each a queue of records."""

    def __init__(
        self,
        name: str,
        backend: Backend,
        journal: Journal,
        clock: Clock,
        random: Random,
        backoff: Backoff,
        tracer: Tracer,
    ) -> None:
        self.name = name
        self.backend = backend
        self.idle = asyncio.Event()
        self.idle.set()
        self._journal = journal
        self._clock = clock
        self._random = random
        self._backoff = backoff
        self._tracer = tracer
        self._lanes: OrderedDict[str, _Lane] = OrderedDict()
        self._early: list[tuple[int, str]] | None = []  # released while the older ones are still being loaded
        self._more = asyncio.Event()
        self._failures = 0
        self._not_before = 0.0

    @property
    def waiting(self) -> int:
        """Records without a final answer."""
        return sum(len(lane.seqs) for lane in self._lanes.values())

    async def load(self) -> None:
        older = await self._journal.undelivered(self.name)
        early, self._early = self._early or [], None
        for seq, transaction_id in dict.fromkeys([*older, *early]):
            self.add(seq, transaction_id)

    def add(self, seq: int, transaction_id: str) -> None:
        if self._early is not None:
            self._early.append((seq, transaction_id))
            return
        self._lanes.setdefault(transaction_id, _Lane()).seqs.append(seq)
        self.idle.clear()
        self._more.set()

    async def run(self) -> None:
        while True:
            lane_id = self._next()
            if lane_id is None:
                await self._pause()
            elif await self._deliver(await self._journal.entry(self._lanes[lane_id].seqs[0])):
                self._succeeded(lane_id)
            else:
                self._failed(lane_id)

    def _next(self) -> str | None:
        now = self._clock.monotonic()
        if now < self._not_before:
            return None
        return next((lane_id for lane_id, lane in self._lanes.items() if lane.not_before <= now), None)

    async def _pause(self) -> None:
        """Until a record comes or a transaction may be tried again."""
        self._more.clear()
        if not self._lanes:
            self.idle.set()
            await self._more.wait()
            return
        first = min(lane.not_before for lane in self._lanes.values())
        due = max(first, self._not_before) - self._clock.monotonic()
        sleeping = asyncio.create_task(self._clock.sleep(max(0.0, due)))
        waking = asyncio.create_task(self._more.wait())
        try:
            await asyncio.wait({sleeping, waking}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeping.cancel()
            waking.cancel()

    async def _deliver(self, entry: Entry) -> bool:
        """One attempt; True when the answer is final and kept."""
        try:
            ack = await self.backend.deliver(entry.record())
            delivery = Delivery(self.name, entry.seq, ack.value)
        except PeerError as error:
            delivery = Delivery(self.name, entry.seq, "refused", str(error)[:1000])
        except RigError as error:
            self._trace("backend.trouble", entry, why=str(error))
            return False
        try:
            await self._journal.acknowledge(delivery)
        except JournalError as error:
            self._trace("backend.trouble", entry, why=str(error))
            return False
        self._trace(f"backend.{delivery.outcome}", entry, why=delivery.detail)
        return True

    def _succeeded(self, lane_id: str) -> None:
        if self._failures > 1:  # the backend was away and is back: nobody needs to wait any longer
            for waiting in self._lanes.values():
                waiting.not_before = 0.0
        self._failures = 0
        lane = self._lanes[lane_id]
        lane.seqs.popleft()
        lane.failures = 0
        if not lane.seqs:
            del self._lanes[lane_id]

    def _failed(self, lane_id: str) -> None:
        """The transaction waits longer each time, and so does the backend as a whole; others get their turn first."""
        now, lane = self._clock.monotonic(), self._lanes[lane_id]
        self._failures += 1
        self._not_before = now + self._backoff.seconds(self._failures, self._random)
        lane.failures += 1
        lane.not_before = now + self._backoff.seconds(lane.failures, self._random)
        self._lanes.move_to_end(lane_id)

    def _trace(self, kind: str, entry: Entry, **data: object) -> None:
        self._tracer(
            TraceEvent(
                self._clock.monotonic(),
                "backend",
                kind,
                self.name,
                {
                    "page": entry.page,
                    "context": entry.kind,
                    "transaction": entry.transaction_id,
                    "record": entry.record_id,
                    "waiting": self.waiting,
                    **data,
                },
            )
        )
