"""The station's pilot output: what is wanted, what may be shown now, and how long a change has to wait."""

from __future__ import annotations

from typing import NamedTuple

from firmware_sim.charger import timings
from firmware_sim.duty import NO_PWM, DutyKind, meaning
from firmware_sim.pilot import Drive, PilotOutput

STEADY = PilotOutput()
NEGATIVE = PilotOutput(Drive.NEGATIVE)


class Dwell(NamedTuple):
    """`to` may follow `now` only so long after `now` began; `before` (if given) is what was shown before that."""

    before: str
    now: str
    to: str
    ns: int


# "F" -12 V, "X1" steady +12 V, "5%" digital duty, "PWM" any other duty; no match: at once.
# Besides, two different nominal duties keep 5 s between them (`_earliest`).
DWELL: tuple[Dwell, ...] = (
    Dwell("", "F", "X1", timings.T_STEP_EF),
    Dwell("F", "X1", "5%", timings.X1_AFTER_EF),
    Dwell("F", "X1", "PWM", timings.X1_AFTER_EF),
    Dwell("5%", "X1", "PWM", timings.T_STEP_X1),
)


def kind(output: PilotOutput) -> str:
    """The word of `DWELL` for an output."""
    if output.drive is Drive.NEGATIVE:
        return "F"
    if output.drive is Drive.STEADY:
        return "X1"
    return "5%" if meaning(output.duty).kind is DutyKind.DIGITAL else "PWM"


class PilotSource:
    """Walks from the present output to the wanted one, one allowed step at a time."""

    def __init__(self, at: int) -> None:
        self.output = STEADY
        self.duty = NO_PWM  # wanted
        self.unavailable = False  # wanted: state F
        self.blocked = False  # a fault allows no PWM
        self._before = "X1"
        self._since = at - timings.T_STEP_EF  # the first step never waits
        self._last_duty: float | None = None
        self._duty_since = at

    def forget_vehicle(self) -> None:
        """Another vehicle may come: the 5 s between two duties were for the one that left."""
        self._last_duty = None

    def wanted(self) -> PilotOutput:
        """Where it is going."""
        if self.unavailable:
            return NEGATIVE
        if self.blocked or self.duty == NO_PWM:
            return STEADY
        return PilotOutput(Drive.PWM, self.duty)

    def step(self, at: int) -> tuple[PilotOutput | None, int | None]:
        """(next output, None) when one is due at `at`, (None, time) when it has to wait, (None, None) when done."""
        goal = self.wanted()
        if goal == self.output:
            return None, None
        if self.output.drive is Drive.NEGATIVE:
            goal = STEADY  # F ends with x1, never with PWM
        due = self._earliest(goal)
        if due > at:
            return None, due
        self._before, self.output = kind(self.output), goal
        self._since = at
        if kind(goal) == "PWM":
            self._duty_since, self._last_duty = at, goal.duty
        return goal, None

    def _earliest(self, goal: PilotOutput) -> int:
        now, to = kind(self.output), kind(goal)
        due = next(
            (self._since + d.ns for d in DWELL if d.now == now and d.to == to and d.before in ("", self._before)), 0
        )
        if to == "PWM" and self._last_duty is not None and goal.duty != self._last_duty:
            due = max(due, self._duty_since + timings.DUTY_CHANGE)  # also when the PWM was off in between
        return due
