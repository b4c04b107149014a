"""The clock of virtual time: civil time, steps, drift, seeds."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from hil_rigs.time_sync import ClockStep, KernelTime
from hil_rigs.virtual_clock import VirtualClock, run_virtual
from ports.clock import Clock, TimeStatus
from ports.errors import LocalError

START = datetime(2026, 3, 29, 0, 55, tzinfo=timezone(timedelta(hours=1)))


def test_civil_time_is_start_plus_what_passed() -> None:
    async def main(clock: VirtualClock) -> datetime:
        await clock.sleep(8 * 3600)
        return clock.now()

    assert run_virtual(main, start=START).isoformat() == "2026-03-29T08:55:00+01:00"


def test_a_zone_changes_to_summer_time_and_durations_do_not() -> None:
    async def main(clock: VirtualClock) -> tuple[str, str, float]:
        before, began = clock.now().isoformat(), clock.monotonic()
        await clock.sleep(2 * 3600)
        return before, clock.now().isoformat(), clock.monotonic() - began

    assert run_virtual(main, start=START, zone=ZoneInfo("Europe/Berlin")) == (
        "2026-03-29T00:55:00+01:00",
        "2026-03-29T03:55:00+02:00",
        7200.0,
    )


def test_a_step_moves_civil_time_only_and_lowers_the_status() -> None:
    async def main(clock: VirtualClock) -> None:
        assert clock.status() is TimeStatus.SYNCHRONISED
        await clock.sleep(10)
        began = clock.monotonic()
        clock.step(37 * 60)
        assert clock.now() == START + timedelta(minutes=37, seconds=10)
        assert clock.monotonic() == began
        assert clock.status() is TimeStatus.INFORMATIVE
        assert clock.steps == (ClockStep(1010.0, 2220.0),)
        await clock.sleep(61)
        assert clock.status() is TimeStatus.SYNCHRONISED
        clock.set(START)
        assert clock.now() == START

    run_virtual(main, start=START)


def test_losing_the_source_goes_through_holdover_to_unknown() -> None:
    async def main(clock: VirtualClock) -> list[TimeStatus]:
        seen = [clock.status()]
        clock.sync = KernelTime(synchronised=False, max_error_s=16)
        for _ in range(2):
            await clock.sleep(23 * 3600)
            seen.append(clock.status())
        return seen

    assert run_virtual(main, start=START) == [
        TimeStatus.SYNCHRONISED,
        TimeStatus.INFORMATIVE,
        TimeStatus.UNKNOWN,
    ]


def test_drift_runs_civil_time_fast() -> None:
    async def main(clock: VirtualClock) -> timedelta:
        await clock.sleep(100_000)
        return clock.now() - START

    assert run_virtual(main, start=START, drift_ppm=50) == timedelta(seconds=100_005)


def test_one_seed_gives_one_run() -> None:
    async def main(clock: VirtualClock) -> tuple[float, float, float, str]:
        return clock.random.random(), clock.fork_random("m1").random(), random.random(), clock.boot_id

    first = run_virtual(main, start=START, seed=17)
    assert first == run_virtual(main, start=START, seed=17)
    assert all(a != b for a, b in zip(first, run_virtual(main, start=START, seed=18), strict=True))


def test_the_random_module_is_left_as_it_was() -> None:
    random.seed(1)
    expected = random.random()
    random.seed(1)
    run_virtual(asyncio.sleep(0), start=START)
    assert random.random() == expected


def test_a_start_without_zone_is_refused() -> None:
    with pytest.raises(LocalError, match="needs a zone"):
        run_virtual(asyncio.sleep(0), start=START.replace(tzinfo=None))


def test_it_is_a_clock() -> None:
    async def main(clock: VirtualClock) -> Clock:
        return clock

    assert run_virtual(main, start=datetime(2026, 1, 1, tzinfo=UTC)).is_virtual
