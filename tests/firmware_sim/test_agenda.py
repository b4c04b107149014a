"""The agenda keeps order, and its shell is loud when a call breaks."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_sim.agenda import MS, Agenda, AgendaRunner, S
from hil_rigs.real_clock import RealClock
from hil_rigs.virtual_clock import VirtualClock, run_virtual


class Hand:
    """Time moved by hand."""

    def __init__(self) -> None:
        self.value = 0
        self.agenda = Agenda(lambda: self.value)

    def run_until(self, at: int) -> None:
        while (first := self.agenda.next_at) is not None and first <= at:
            self.value = max(self.value, first)
            self.agenda.run_due()
        self.value = at


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 50), st.booleans()), max_size=50))
def test_order_of_time_then_of_planning(plans: list[tuple[int, bool]]) -> None:
    hand, ran = Hand(), []
    for number, (at, cancelled) in enumerate(plans):
        entry = hand.agenda.at(at, lambda number=number, at=at: ran.append((at, number)))  # type: ignore[misc]
        if cancelled:
            entry.cancel()
    hand.run_until(100)
    assert ran == sorted((at, number) for number, (at, cancelled) in enumerate(plans) if not cancelled)
    assert hand.agenda.next_at is None


def test_calls_planned_by_a_call_run_in_the_same_instant() -> None:
    hand, ran = Hand(), []
    hand.agenda.at(5, lambda: hand.agenda.after(0, lambda: ran.append(hand.value)))
    hand.run_until(5)
    assert ran == [5]


def test_a_late_call_happens_at_its_planned_time() -> None:
    hand, ran = Hand(), []
    hand.agenda.at(
        5, lambda: (ran.append(hand.agenda.now()), hand.agenda.after(3, lambda: ran.append(hand.agenda.now())))
    )  # type: ignore[func-returns-value]
    hand.value = 100
    hand.agenda.run_due()
    assert ran == [5, 8]
    assert hand.agenda.now() == 100


def test_time_never_runs_backwards() -> None:
    hand, ran = Hand(), []
    hand.agenda.at(5, lambda: ran.append(hand.agenda.now()))
    hand.value = 100
    assert hand.agenda.now() == 100
    hand.agenda.run_due()
    assert ran == [100]


def test_a_call_that_asks_for_due_calls_does_not_nest() -> None:
    hand, ran = Hand(), []
    hand.agenda.at(
        5, lambda: (hand.agenda.at(5, lambda: ran.append("second")), hand.agenda.run_due(), ran.append("first"))
    )  # type: ignore[func-returns-value]
    hand.run_until(5)
    assert ran == ["first", "second"]


async def wait(clock: VirtualClock | RealClock, scale: int) -> list[int]:
    agenda = Agenda(lambda: round(clock.monotonic() * S))
    runner = AgendaRunner(agenda, clock)
    runner.start()
    began, ran = agenda.now(), []
    done = asyncio.Event()
    agenda.after(3 * scale, lambda: ran.append(3))
    await clock.sleep(0)
    agenda.after(1 * scale, lambda: ran.append(1))  # earlier than what the runner waits for
    late = agenda.after(2 * scale, lambda: ran.append(2))
    late.cancel()
    agenda.after(4 * scale, done.set)
    await done.wait()
    assert agenda.now() - began >= 4 * scale
    await runner.close()
    await runner.close()
    return ran


def test_in_virtual_time() -> None:
    assert run_virtual(lambda clock: wait(clock, 3600 * S), start=datetime(2026, 1, 1, tzinfo=UTC)) == [1, 3]


async def test_in_real_time() -> None:
    assert await wait(RealClock(), 5 * MS) == [1, 3]


async def test_a_broken_call_is_not_lost() -> None:
    clock = RealClock()
    agenda = Agenda(lambda: round(clock.monotonic() * S))
    runner = AgendaRunner(agenda, clock)
    heard: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: heard.set_result(context["exception"]))
    agenda.after(0, lambda: 1 / 0)  # type: ignore[arg-type,return-value]
    runner.start()
    assert isinstance(await heard, ZeroDivisionError)
    with pytest.raises(ZeroDivisionError):
        await runner.close()
