"""Run a program under the clock that a rig file asks for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from hil_rigs.real_clock import RealClock
from hil_rigs.rig import Rig, VirtualClockSettings
from hil_rigs.virtual_clock import run_virtual
from ports.clock import Clock

T = TypeVar("T")


def run_under_clock(rig: Rig, main: Callable[[Clock], Coroutine[Any, Any, T]]) -> T:
    """Run `main(clock)` in an event loop of its own, in real or in virtual time, and return its result."""
    zone = ZoneInfo(rig.clock.zone) if rig.clock.zone is not None else None
    if isinstance(rig.clock, VirtualClockSettings):
        settings = rig.clock
        return run_virtual(main, start=settings.start, seed=rig.seed, zone=zone, drift_ppm=settings.drift_ppm)
    with asyncio.Runner() as runner:
        return runner.run(main(RealClock(zone)))
