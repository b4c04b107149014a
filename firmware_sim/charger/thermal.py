"""Heat: how a station takes its current back before it stops. Thresholds of OpenEVSE (open_evse.h)."""

from __future__ import annotations

from firmware_sim.duty import MIN_A

# from so many degrees Celsius: share of the current
STEPS: tuple[tuple[float, float], ...] = ((65.0, 0.5), (68.0, 0.25))
TRIP_C = 71.0
RESTORE_C = 62.0


class Derating:
    """Halves and quarters while charging; full current again at 62 degrees; a trip stays until it is cooler too."""

    def __init__(self) -> None:
        self.share = 1.0
        self.too_hot = False

    def sense(self, celsius: float, *, charging: bool) -> bool:
        """A new temperature; says whether anything changed. Derating starts only while charging."""
        before = (self.share, self.too_hot)
        if celsius <= RESTORE_C:
            self.share, self.too_hot = 1.0, False
        elif charging:
            for threshold, share in STEPS:
                if celsius >= threshold:
                    self.share = min(self.share, share)
            self.too_hot = self.too_hot or celsius >= TRIP_C
        return before != (self.share, self.too_hot)

    def limit(self, amperes: float) -> float:
        """What is left of a limit, never below 6 A."""
        return amperes if self.share == 1.0 else max(amperes * self.share, MIN_A)
