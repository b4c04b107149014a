"""Forwarding: order within a transaction, patience with backends, and memory over restarts."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.backoff import Backoff
from gateway.forwarder import Forwarder
from gateway.journal import Journal
from gateway.journal_entry import Delivery, JournalFullError
from gateway.journal_store import JournalStore
from hil_rigs.virtual_clock import VirtualClock, run_virtual
from ports.backend import Backend, SignedRecord
from ports.errors import PeerError, RigError
from ports.trace import TraceEvent
from tests.gateway.doubles import KeySigner, draft
from tests.gateway.point import START, ListBackend

BACKOFF = Backoff(first_s=1.0, most_s=60.0)


class Bench:
    """Journal and forwarder with backends, in virtual time."""

    def __init__(self, clock: VirtualClock, folder: Path, **backends: ListBackend) -> None:
        self.clock = clock
        self.folder = folder
        self.signer = KeySigner()
        self.backends: dict[str, Backend] = {**backends}
        self.events: list[TraceEvent] = []

    async def start(self, open_store: Callable[[Path], JournalStore] = JournalStore.open) -> None:
        self.journal = await Journal.open(self.folder / "j.db", self.signer, self.clock, open_store=open_store)
        self.forwarder = Forwarder(
            self.journal,
            self.backends,
            self.clock,
            random=self.clock.fork_random("forwarder"),
            backoff=BACKOFF,
            tracer=self.events.append,
        )
        await self.forwarder.start()

    async def stop(self) -> None:
        await self.forwarder.close()
        await self.journal.close()

    async def keep(self, transaction: str, *kinds: str) -> None:
        for kind in kinds:
            await (await self.journal.store(draft(kind, transaction))).signed


BEGIN, SAMPLE, END = "Transaction.Begin", "Sample.Periodic", "Transaction.End"


def run(main: Callable[[VirtualClock], Coroutine[Any, Any, None]]) -> None:
    run_virtual(main, start=START, seed=3)


def failing(backend: ListBackend, count: int, error: Exception) -> list[float]:
    """Make the next deliveries fail; returns the list that will hold when the attempts came."""
    attempts: list[float] = []

    def refuse(record: SignedRecord) -> None:
        attempts.append(0.0)
        if len(attempts) <= count:
            raise error

    backend.refuse = refuse
    return attempts


def test_records_reach_every_backend_once_and_in_order(tmp_path: Path) -> None:
    async def main(clock: VirtualClock) -> None:
        one, two = ListBackend(), ListBackend()
        bench = Bench(clock, tmp_path, one=one, two=two)
        await bench.start()
        await bench.keep("t1", BEGIN, SAMPLE, END)
        await bench.forwarder.drained()
        assert [record.page for record in one.records] == [record.page for record in two.records] == ["T1", "T2", "T3"]
        assert bench.forwarder.waiting() == {"one": 0, "two": 0}
        await bench.stop()
        await bench.start()
        await bench.forwarder.drained()
        assert len(one.records) == 3
        await bench.stop()

    run(main)


def test_a_backend_that_is_away_for_hours_gets_everything_and_the_other_does_not_wait(tmp_path: Path) -> None:
    async def main(clock: VirtualClock) -> None:
        away, near = ListBackend(), ListBackend()
        bench = Bench(clock, tmp_path, away=away, near=near)
        attempts = failing(away, 10**9, RigError("connection refused"))
        await bench.start()
        for number in range(36):
            await bench.keep(f"t{number}", BEGIN, END)
            await clock.sleep(600)
        assert len(near.records) == 72
        assert bench.forwarder.waiting() == {"away": 72, "near": 0}
        assert 6 * 60 < len(attempts) < 12 * 60  # with its jitter, one attempt in 30 to 60 seconds
        away.refuse = lambda record: None
        began = clock.monotonic()
        await bench.forwarder.drained()
        assert clock.monotonic() - began <= BACKOFF.most_s
        for number in range(36):
            mine = [record.context for record in away.records if record.transaction_id == f"t{number}"]
            assert mine == [BEGIN, END]
        await bench.stop()

    run(main)


def test_a_restart_in_the_middle_of_an_outage_forgets_nothing(tmp_path: Path) -> None:
    async def main(clock: VirtualClock) -> None:
        backend = ListBackend()
        bench = Bench(clock, tmp_path, cpo=backend)
        failing(backend, 10**9, RigError("down"))
        await bench.start()
        await bench.keep("t1", BEGIN, SAMPLE)
        await clock.sleep(100)
        await bench.stop()
        backend.refuse = lambda record: None
        await bench.start()
        await bench.keep("t1", END)
        await bench.forwarder.drained()
        assert [record.context for record in backend.records] == [BEGIN, SAMPLE, END]
        await bench.stop()

    run(main)


def test_a_lost_answer_is_asked_for_again_under_the_same_id(tmp_path: Path) -> None:
    async def main(clock: VirtualClock) -> None:
        backend = ListBackend()
        bench = Bench(clock, tmp_path, cpo=backend)
        seen: list[str] = []

        def lose_first(record: SignedRecord) -> None:
            seen.append(record.record_id)
            if len(seen) == 1:
                backend.records.append(record)
                raise RigError("the answer was lost")

        backend.refuse = lose_first
        await bench.start()
        await bench.keep("t1", BEGIN)
        await bench.forwarder.drained()
        assert len(backend.records) == 1
        assert seen[0] == seen[1]
        assert [event.kind for event in bench.events] == ["backend.trouble", "backend.duplicate"]
        await bench.stop()

    run(main)


def test_a_refused_record_is_noted_and_the_next_ones_go_on(tmp_path: Path) -> None:
    async def main(clock: VirtualClock) -> None:
        backend = ListBackend()
        bench = Bench(clock, tmp_path, cpo=backend)

        def refuse(record: SignedRecord) -> None:
            if record.page == "T2":
                raise PeerError("signature does not fit")

        backend.refuse = refuse
        await bench.start()
        await bench.keep("t1", BEGIN, SAMPLE, END)
        await bench.forwarder.drained()
        assert [record.page for record in backend.records] == ["T1", "T3"]
        await bench.stop()
        with JournalStore.open_read_only(tmp_path / "j.db") as store:
            outcomes = [(row.outcome, row.detail) for row in store.deliveries()]
        assert outcomes == [("stored", ""), ("refused", "signature does not fit"), ("stored", "")]

    run(main)


def test_one_record_that_never_gets_through_keeps_only_its_own_transaction_waiting(tmp_path: Path) -> None:
    async def main(clock: VirtualClock) -> None:
        backend = ListBackend()
        bench = Bench(clock, tmp_path, cpo=backend)

        def refuse(record: SignedRecord) -> None:
            if record.transaction_id == "t1":
                raise RigError("500")

        backend.refuse = refuse
        await bench.start()
        await bench.keep("t1", BEGIN, END)
        for number in range(2, 20):
            await bench.keep(f"t{number}", BEGIN, END)
        await clock.sleep(300)
        assert bench.forwarder.waiting() == {"cpo": 2}
        assert len(backend.records) == 36
        await bench.stop()

    run(main)


def test_an_answer_that_cannot_be_kept_is_asked_for_again(tmp_path: Path) -> None:
    class Full(JournalStore):
        full = 2

        def _write(self, intents: Any, signatures: Any, deliveries: list[Delivery]) -> None:
            if deliveries and Full.full:
                Full.full -= 1
                raise JournalFullError("no room")
            super()._write(intents, signatures, deliveries)

    async def main(clock: VirtualClock) -> None:
        backend = ListBackend()
        bench = Bench(clock, tmp_path, cpo=backend)
        await bench.start(Full.open)
        await bench.keep("t1", BEGIN)
        await bench.forwarder.drained()
        assert len(backend.records) == 1
        await bench.stop()

    run(main)


def test_a_bug_in_a_backend_is_raised_to_whoever_waits(tmp_path: Path) -> None:
    async def main(clock: VirtualClock) -> None:
        backend = ListBackend()
        bench = Bench(clock, tmp_path, cpo=backend)
        failing(backend, 1, ZeroDivisionError("a bug"))
        await bench.start()
        await bench.keep("t1", BEGIN)
        with pytest.raises(ZeroDivisionError):
            await bench.forwarder.drained()
        await bench.stop()

    run(main)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32), st.floats(0, 0.6), st.floats(0, 0.4))
def test_whatever_the_backend_does_the_effect_is_exactly_once_and_in_order(
    tmp_path_factory: pytest.TempPathFactory, seed: int, errors: float, lost: float
) -> None:
    async def main(clock: VirtualClock) -> None:
        dice = random.Random(seed)
        backend = ListBackend()
        bench = Bench(clock, tmp_path_factory.mktemp("bench"), cpo=backend)

        def refuse(record: SignedRecord) -> None:
            if dice.random() < errors:
                raise RigError("503")
            if dice.random() < lost:
                if record not in backend.records:
                    backend.records.append(record)
                raise RigError("the answer was lost")

        backend.refuse = refuse
        await bench.start()
        for number in range(6):
            await bench.keep(f"t{number % 3}", f"kind {number}")
            if dice.random() < 0.3:
                await bench.stop()
                await bench.start()
            await clock.sleep(dice.random() * 20)
        await bench.forwarder.drained()
        assert Counter(record.record_id for record in backend.records).most_common(1)[0][1] == 1
        assert len(backend.records) == 6
        for transaction in ("t0", "t1", "t2"):
            pages = [int(r.page[1:]) for r in backend.records if r.transaction_id == transaction]
            assert pages == sorted(pages)
        await bench.stop()

    run_virtual(main, start=START, seed=seed)


def test_backoff_doubles_up_to_its_limit_with_jitter() -> None:
    dice = random.Random(1)
    waits = [Backoff(1.0, 60.0).seconds(failures, dice) for failures in range(1, 200)]
    assert all(0 < wait <= 60 for wait in waits)
    assert waits[0] <= 1
    assert max(waits) > 50
    assert len(set(waits)) == len(waits)
