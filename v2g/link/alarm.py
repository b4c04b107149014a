"""One alarm of the injected clock: cheap to move to a later time, as every message does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ports.clock import Clock

_EARLY_S = 1e-3  # timers of the loop and of the clock may differ by so much


class Alarm:
    """Calls `ring(now)` at or before the time that was set; whoever is rung sets it again when it was too early."""

    def __init__(self, clock: Clock, ring: Callable[[float], object]) -> None:
        self._clock = clock
        self._ring = ring
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0

    def set(self, at: float) -> None:
        """Ring at a time of the clock. An alarm that is set for earlier stays: it rings, and is set again."""
        if self._timer is not None:
            if self._due <= at:
                return
            self._timer.cancel()
        self._due = at
        self._timer = asyncio.get_running_loop().call_later(max(0.0, at - self._clock.monotonic()), self._rung)

    def cancel(self) -> None:
        """Do not ring; harmless when it is not set."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _rung(self) -> None:
        self._timer = None
        now = self._clock.monotonic()
        self._ring(self._due if 0 < self._due - now < _EARLY_S else now)
