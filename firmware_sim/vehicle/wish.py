"""What the driver wants."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from firmware_sim.energy_counter import from_wh
from firmware_sim.vehicle.battery import Battery


@dataclass(frozen=True, slots=True)
class ToSoc:
    """Charge until the battery holds so many per cent."""

    per_cent: float = 100.0


@dataclass(frozen=True, slots=True)
class Energy:
    """Take so much at the inlet, in Wh."""

    wh: Decimal


@dataclass(frozen=True, slots=True)
class Seconds:
    """Charge for so long, counted from the first current."""

    seconds: float


Wish = ToSoc | Energy | Seconds


def inlet_energy_left(wish: Wish, battery: Battery, delivered_before: int) -> int | None:
    """What has still to pass the inlet for this wish (0 = fulfilled); None when energy does not decide."""
    match wish:
        case ToSoc(per_cent):
            return battery.inlet_energy_to(battery.capacity * round(per_cent * 1_000_000) // 100_000_000)
        case Energy(wh):
            return max(delivered_before + from_wh(wh) - battery.delivered, 0)
        case Seconds():
            return None
