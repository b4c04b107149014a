"""Physical values of V2G: an integer of 16 bits and a power of ten from -3 to 3."""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache
from typing import Any

from ports.errors import LocalError, PeerError

LIMIT = 32767  # xs:short, one more below zero
ABSURD = 10**9  # EXI has no bound of its own


@lru_cache(maxsize=4096)
def scaled(value: float) -> tuple[int, int]:
    """(multiplier, integer) nearest to a value, with as few digits as are exact. Raises LocalError when too large."""
    exact = Decimal(str(value))
    if not exact.is_finite():
        raise LocalError(f"{value} is no physical value of V2G")
    for multiplier in (0, -1, -2, -3, 1, 2, 3):
        integer = exact.scaleb(-multiplier)
        if integer == integer.to_integral_value() and -LIMIT - 1 <= integer <= LIMIT:
            return multiplier, int(integer)
    for multiplier in range(-3, 4):
        integer = exact.scaleb(-multiplier).to_integral_value()
        if -LIMIT - 1 <= integer <= LIMIT:
            return multiplier, int(integer)
    raise LocalError(f"{value} does not fit a physical value of V2G: at most {LIMIT}E3")


def number(physical: Any) -> float:
    """The value of a PhysicalValueType, in its unit. Raises PeerError for one far outside its range."""
    if abs(physical.Value) > ABSURD:
        raise PeerError(f"a physical value of more than {ABSURD}")
    value: float = physical.Value * 10.0**physical.Multiplier
    return round(value, 3)
