"""How far civil time may be trusted: what the kernel says, judged; steps of the wall clock, noticed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from ports.clock import TimeStatus


@dataclass(frozen=True, slots=True)
class KernelTime:
    """What the kernel (or its simulation) says of its civil time. max_error_s: bound of the error, in seconds."""

    synchronised: bool
    max_error_s: float


@dataclass(frozen=True, slots=True)
class ClockStep:
    """The wall clock was set. at: boot-time seconds at which it was noticed; seconds: by how much, + is forward."""

    at: float
    seconds: float


@dataclass(frozen=True, slots=True)
class SyncRules:
    """Limits of the judgement.

    max_error_s: a larger error bound is not "synchronised".
    holdover_s: how long a clock that lost its source still counts as informative (meters of the field want a new
        time every 24 hours).
    step_s: a smaller change between wall clock and boot time is reading noise.
    settle_s: how long after a step the time is at most informative.
    """

    max_error_s: float = 1.0
    holdover_s: float = 24 * 3600.0
    step_s: float = 0.05
    settle_s: float = 60.0


class SyncJudge:
    """Turns observations into a status that is never better than provable.

    SYNCHRONISED: the kernel is synchronised within `max_error_s`, and no step within `settle_s`.
    INFORMATIVE: it was so earlier in this boot, within `holdover_s`.
    UNKNOWN: everything else. RELATIVE is a statement about a transaction, which its owner makes.
    """

    def __init__(self, rules: SyncRules | None = None) -> None:
        self.rules = rules or SyncRules()
        self.steps: list[ClockStep] = []
        self._offset: tuple[datetime, float] | None = None
        self._good_at: float | None = None

    def observe(self, wall: datetime, monotonic: float) -> ClockStep | None:
        """Compare the clocks with the last observation; the step when the wall clock was set meanwhile.

        The kernel slews wall clock and boot time together, so that only a step moves them apart.
        """
        before, self._offset = self._offset, (wall, monotonic)
        if before is None:
            return None
        expected = before[0] + timedelta(seconds=monotonic - before[1])
        seconds = (wall - expected).total_seconds()
        if abs(seconds) < self.rules.step_s:
            return None
        step = ClockStep(monotonic, seconds)
        self.steps.append(step)
        return step

    def judge(self, kernel: KernelTime | None, monotonic: float) -> TimeStatus:
        """The status at this moment; `kernel` is None where the kernel does not tell."""
        settling = bool(self.steps) and monotonic - self.steps[-1].at < self.rules.settle_s
        if kernel is not None and kernel.synchronised and kernel.max_error_s < self.rules.max_error_s:
            self._good_at = monotonic
            return TimeStatus.INFORMATIVE if settling else TimeStatus.SYNCHRONISED
        if self._good_at is not None and monotonic - self._good_at < self.rules.holdover_s and not settling:
            return TimeStatus.INFORMATIVE
        return TimeStatus.UNKNOWN
