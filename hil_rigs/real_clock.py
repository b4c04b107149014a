"""The clock of real time: durations from CLOCK_BOOTTIME, civil time and its status from the kernel."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime, tzinfo
from pathlib import Path

from hil_rigs.kernel_time import kernel_time
from hil_rigs.time_sync import ClockStep, KernelTime, SyncJudge, SyncRules
from ports.clock import Cancellable, TimeStatus

NAP_S = 30.0
"""Longest single sleep: the loop's timers do not count suspend, boot time does."""


def boot_time() -> float:
    """Seconds since boot, suspend included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class RealClock:
    """`ports.clock.Clock` of the machine.

    zone: of civil time; None is the machine's own. kernel: who is asked for the state of synchronisation.
    """

    is_virtual = False

    def __init__(
        self,
        zone: tzinfo | None = None,
        rules: SyncRules | None = None,
        kernel: Callable[[], KernelTime | None] = kernel_time,
    ) -> None:
        self._zone = zone
        self._kernel = kernel
        self._judge = SyncJudge(rules)
        self.boot_id = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        self._observe()

    def _observe(self) -> None:
        before = boot_time()
        wall = datetime.now(UTC)
        after = boot_time()
        if after - before < self._judge.rules.step_s / 2:  # else we were interrupted in between
            self._judge.observe(wall, (before + after) / 2)

    @property
    def steps(self) -> tuple[ClockStep, ...]:
        """Every time that the wall clock was set since this object was made, as far as noticed."""
        self._observe()
        return tuple(self._judge.steps)

    def monotonic(self) -> float:
        """Seconds since boot."""
        return boot_time()

    def now(self) -> datetime:
        """Civil time with its zone."""
        return datetime.now(UTC).astimezone(self._zone)

    def status(self) -> TimeStatus:
        """As `SyncJudge` says; the kernel is asked each time (some microseconds)."""
        self._observe()
        return self._judge.judge(self._kernel(), boot_time())

    async def sleep(self, seconds: float) -> None:
        """Wait until boot time has advanced by so much; suspend counts."""
        until = boot_time() + seconds
        while True:
            rest = until - boot_time()
            await asyncio.sleep(max(0.0, min(rest, NAP_S)))
            if until <= boot_time():
                return

    def hold(self) -> AbstractContextManager[None]:
        """Nothing to hold: real time goes on by itself."""
        return nullcontext()

    def watchdog(self, seconds: float, on_expiry: Callable[[], object]) -> Cancellable:
        """Call `on_expiry` after so many seconds."""
        return asyncio.get_running_loop().call_later(seconds, on_expiry)
