"""The residual current device: it opens the contactor by itself, whatever software thinks."""

from __future__ import annotations

from collections.abc import Callable

from firmware_sim.agenda import MS, Agenda, Entry

DC_LIMIT_MA = 6.0  # IEC 62955: smooth direct current
AC_LIMIT_MA = 30.0  # type A
RESPONSE = 20 * MS  # TI design TIDUF03: detection to response in less than 25 ms, without the relay


class ResidualCurrentDevice:
    """Compares with its limits; calls `trip` once the current has lasted for the response time."""

    def __init__(self, agenda: Agenda, trip: Callable[[str], None]) -> None:
        self._agenda = agenda
        self._trip = trip
        self._pending: Entry | None = None
        self.dc_ma = 0.0
        self.ac_ma = 0.0

    def sense(self, *, dc_ma: float | None = None, ac_ma: float | None = None) -> None:
        """A new residual current, either component; None leaves it."""
        self.dc_ma = self.dc_ma if dc_ma is None else dc_ma
        self.ac_ma = self.ac_ma if ac_ma is None else ac_ma
        above = abs(self.dc_ma) >= DC_LIMIT_MA or abs(self.ac_ma) >= AC_LIMIT_MA
        if above and self._pending is None:
            self._pending = self._agenda.after(RESPONSE, self._respond)
        elif not above and self._pending is not None:
            self._pending.cancel()
            self._pending = None

    def _respond(self) -> None:
        self._pending = None
        dc = abs(self.dc_ma) >= DC_LIMIT_MA
        self._trip(f"residual current {self.dc_ma:g} mA DC" if dc else f"residual current {self.ac_ma:g} mA AC")
