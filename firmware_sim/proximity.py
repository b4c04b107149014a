"""Proximity: the resistor in the cable's plug says what the cable may carry (IEC 61851-1 table B.2)."""

from __future__ import annotations

# lowest and highest ohm of a rating, its nominal ohm, amperes (63 A three-phase is 70 A single-phase)
RATINGS: tuple[tuple[float, float, float, int], ...] = (
    (1100.0, 2460.0, 1500.0, 13),
    (400.0, 936.0, 680.0, 20),
    (164.0, 308.0, 220.0, 32),
    (80.0, 140.0, 100.0, 63),
)
LOWEST_OHM = 60.0  # below: error
HIGHEST_OHM = 4500.0  # above: nothing there, or a broken contact

NOMINAL_OHM: dict[int, float] = {amperes: nominal for _, _, nominal, amperes in RATINGS}


def rating(ohm: float | None) -> int | None:
    """Amperes of a cable, None when the resistance says none. Between two ranges the lower rating counts."""
    if ohm is None or not LOWEST_OHM <= ohm <= HIGHEST_OHM:
        return None
    for _, high, _, amperes in reversed(RATINGS):  # 63 A first: what exceeds a range belongs to the next lower rating
        if ohm <= high:
            return amperes
    return 13
