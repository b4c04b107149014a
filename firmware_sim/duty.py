"""PWM duty and current: IEC 61851-1 tables A.7 (station) and A.8 (vehicle), with their gaps.

Public source: EVerest `docs/source/how-to-guides/bringup/basic.rst` and `Charger.cpp::ampere_to_duty_cycle`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from ports.errors import LocalError

NO_PWM = 100.0
DIGITAL_DUTY = 5.0  # nominal duty that asks for digital communication (ISO 15118-3)
MIN_A = 6.0
MAX_A = 80.0


class DutyKind(StrEnum):
    """What a duty tells the vehicle."""

    NOT_ALLOWED = "not allowed"
    DIGITAL = "digital"
    LIMIT = "limit"


@dataclass(frozen=True, slots=True)
class DutyRange:
    """amperes = factor * (duty - offset) for low <= duty < high (the last end of a range belongs to it as written)."""

    low: float
    high: float
    kind: DutyKind
    factor: float = 0.0
    offset: float = 0.0


# First match from the top; both ends belong to the range. What no row holds means: no charging.
DUTY_TABLE: tuple[DutyRange, ...] = (
    DutyRange(3.0, 7.0, DutyKind.DIGITAL),
    DutyRange(10.0, 85.0, DutyKind.LIMIT, factor=0.6),
    DutyRange(8.0, 10.0, DutyKind.LIMIT, factor=0.0, offset=6.0),  # a flat 6 A, not 0.6 D
    DutyRange(85.0, 96.0, DutyKind.LIMIT, factor=2.5, offset=64.0),
    DutyRange(96.0, 97.0, DutyKind.LIMIT, factor=0.0, offset=80.0),  # a flat 80 A
)

# amperes from, to, duty = amperes / divisor + offset
AMPERE_TABLE: tuple[tuple[float, float, float, float], ...] = (
    (6.0, 51.0, 0.6, 0.0),
    (52.5, 80.0, 2.5, 64.0),
)
GAP_A = 51.0  # 51 to 52.5 A has no duty of its own: offered as 51 A


@dataclass(frozen=True, slots=True)
class DutyMeaning:
    """What a vehicle reads from a duty; amperes only with kind LIMIT."""

    kind: DutyKind
    amperes: float = 0.0


def meaning(duty: float) -> DutyMeaning:
    """What a duty in per cent allows."""
    for row in DUTY_TABLE:
        if row.low <= duty <= row.high:
            if row.kind is not DutyKind.LIMIT:
                return DutyMeaning(row.kind)
            return DutyMeaning(row.kind, row.factor * (duty - row.offset) if row.factor else row.offset)
    return DutyMeaning(DutyKind.NOT_ALLOWED)


def duty_for(amperes: float) -> float:
    """The duty in per cent that offers so many amperes.

    Raises LocalError outside 6 to 80 A: no duty says that.
    """
    if not (math.isfinite(amperes) and MIN_A <= amperes <= MAX_A):
        raise LocalError(f"{amperes} A cannot be offered by PWM: 6 to 80 A can, and 0 A takes the PWM away")
    for low, high, divisor, offset in AMPERE_TABLE:
        if low <= amperes <= high:
            return amperes / divisor + offset
    return GAP_A / 0.6
