"""Where a simulated meter takes its energy from."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Electrical:
    """What flows through a measuring point now. Three phases (single phase: zeros in L2 and L3).

    energy_import_wh / energy_export_wh: exact sums since the plant was switched on, in Wh.
    """

    voltage_v: tuple[float, float, float]
    current_a: tuple[float, float, float]
    power_w: tuple[float, float, float]
    frequency_hz: float
    energy_import_wh: Decimal
    energy_export_wh: Decimal


class EnergySource(Protocol):
    """A measuring point of the electrical plant."""

    def electrical(self) -> Electrical:
        """The state now; every call integrates up to now."""
