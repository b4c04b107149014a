"""BCB wake-up: the vehicle toggles B-C-B to wake a sleeping station (ISO 15118-3 table 3)."""

from __future__ import annotations

from firmware_sim.charger.timings import TOGGLE_LONGEST, TOGGLE_SHORTEST, TOGGLE_WINDOW
from ports.charge_control import PilotState


class WakeupCounter:
    """Counts valid toggles; times are those of the debounced edges, in ns."""

    def __init__(self) -> None:
        self._last: tuple[PilotState, int] | None = None
        self._toggles: list[int] = []  # when each C began

    def level(self, state: PilotState, at: int) -> int:
        """A new debounced state; returns the number of valid toggles in the window when one has just ended, else 0."""
        last, self._last = self._last, (state, at)
        if last is None:
            return 0
        lasted = at - last[1]
        valid = TOGGLE_SHORTEST <= lasted <= TOGGLE_LONGEST  # a 120 ms C does not count, a long C is charging
        match last[0], state:
            case PilotState.B, PilotState.C:
                if not valid:
                    self._toggles = []  # a first toggle
            case PilotState.C, PilotState.B:
                if valid:
                    self._toggles = [start for start in self._toggles if at - start <= TOGGLE_WINDOW] + [last[1]]
                    return len(self._toggles)
                self._toggles = []
            case _:
                self._toggles = []
        return 0
