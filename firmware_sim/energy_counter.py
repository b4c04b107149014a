"""Exact energy: integer power times integer time, never a float.

Unit: 1 nW x 1 ns = 1e-18 J; 1 Wh = 3.6e21 of them. Powers are millivolt x milliampere (= 1000 nW) and are exact, so a
sum over any number of changes is exact too; only the last step to Wh cuts, at 1e-12 Wh.
"""

from __future__ import annotations

from decimal import Decimal

UNITS_PER_WH = 3_600 * 10**18
NW_PER_W = 10**9
_DIGITS = 12


def to_wh(units: int) -> Decimal:
    """Counter units as Wh, cut at 1e-12 Wh."""
    return Decimal(units * 10**_DIGITS // UNITS_PER_WH).scaleb(-_DIGITS)


def from_wh(wh: Decimal) -> int:
    """Wh as counter units, cut at one unit."""
    return int(wh * UNITS_PER_WH)


class EnergyCounter:
    """Integrates a piecewise constant power."""

    def __init__(self, at: int) -> None:
        self.power_nw = 0
        self._at = at
        self._import = 0
        self._export = 0

    def integrate(self, at: int) -> None:
        """Count up to `at` (ns); a time that has passed already changes nothing."""
        elapsed = at - self._at
        if elapsed <= 0:
            return
        self._at = at
        if self.power_nw >= 0:
            self._import += self.power_nw * elapsed
        else:
            self._export -= self.power_nw * elapsed

    def set_power(self, at: int, power_nw: int) -> None:
        """From `at` on this power flows; positive is import (towards the vehicle)."""
        self.integrate(at)
        self.power_nw = power_nw

    def units(self, at: int) -> tuple[int, int]:
        """Import and export up to `at`, exact."""
        self.integrate(at)
        return self._import, self._export
