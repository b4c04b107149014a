"""The clock of the machine."""

from __future__ import annotations

import asyncio
import ctypes
import time
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from hil_rigs import kernel_time as kernel_time_module
from hil_rigs import real_clock
from hil_rigs.kernel_time import kernel_time
from hil_rigs.real_clock import RealClock
from hil_rigs.time_sync import KernelTime
from ports.clock import Clock, TimeStatus


def test_durations_come_from_boot_time() -> None:
    before = time.clock_gettime(time.CLOCK_BOOTTIME)
    assert before <= RealClock().monotonic() <= time.clock_gettime(time.CLOCK_BOOTTIME)


def test_civil_time_has_a_zone() -> None:
    assert RealClock().now().utcoffset() is not None
    berlin = RealClock(zone=ZoneInfo("Europe/Berlin")).now()
    assert berlin.utcoffset() in (timedelta(hours=1), timedelta(hours=2))
    assert abs(berlin - datetime.now(UTC)) < timedelta(minutes=1)


async def test_sleep_counts_suspend(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = RealClock()
    naps: list[float] = []
    boot = [500.0]

    async def nap(seconds: float) -> None:
        naps.append(seconds)
        boot[0] += seconds
        if len(naps) == 2:
            boot[0] += 3600  # suspended meanwhile

    monkeypatch.setattr(real_clock, "boot_time", lambda: boot[0])
    monkeypatch.setattr("hil_rigs.real_clock.asyncio.sleep", nap)
    await clock.sleep(1000)
    assert naps == [30.0, 30.0]


async def test_sleep_is_not_short() -> None:
    clock = RealClock()
    before = clock.monotonic()
    await clock.sleep(0.02)
    assert clock.monotonic() - before >= 0.02


async def test_hold_is_nothing_and_a_watchdog_fires() -> None:
    clock = RealClock()
    fired = asyncio.Event()
    cancelled = clock.watchdog(0.001, lambda: pytest.fail("was cancelled"))
    cancelled.cancel()
    with clock.hold():
        clock.watchdog(0.005, fired.set)
        await fired.wait()


def test_the_status_follows_the_kernel() -> None:
    state: list[KernelTime | None] = [KernelTime(synchronised=True, max_error_s=0.1)]
    clock = RealClock(kernel=lambda: state[0])
    assert clock.status() is TimeStatus.SYNCHRONISED
    state[0] = KernelTime(synchronised=False, max_error_s=16.0)
    assert clock.status() is TimeStatus.INFORMATIVE
    state[0] = None
    assert RealClock(kernel=lambda: state[0]).status() is TimeStatus.UNKNOWN


def test_a_step_of_the_wall_clock_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stepped(datetime):
        ahead = timedelta()

        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
            return datetime.now(UTC) + cls.ahead

    monkeypatch.setattr(real_clock, "datetime", Stepped)
    clock = RealClock(kernel=lambda: KernelTime(synchronised=True, max_error_s=0.1))
    assert clock.status() is TimeStatus.SYNCHRONISED
    Stepped.ahead = timedelta(minutes=37)
    assert clock.status() is TimeStatus.INFORMATIVE
    assert [round(step.seconds) for step in clock.steps] == [37 * 60]


def test_the_kernel_answers() -> None:
    """adjtimex of the machine that runs the test; the layout is checked by its size (linux/timex.h, 64 bit)."""
    assert ctypes.sizeof(kernel_time_module._Timex) == 208
    answer = kernel_time()
    assert answer is None or 0 <= answer.max_error_s <= 3600


def test_it_is_a_clock() -> None:
    clock: Clock = RealClock()
    assert not clock.is_virtual
