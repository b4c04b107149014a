"""The simplest measuring point: constant power on three phases; energy is exact."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from ports.energy import Electrical

VOLTAGE_V = 230.0
FREQUENCY_HZ = 50.0


class ConstantPower:
    """`ports.energy.EnergySource`; negative power is exported. time: boot-time seconds."""

    def __init__(self, power_w: Decimal, time: Callable[[], float]) -> None:
        self._power_w = power_w
        self._time = time
        self._began = time()

    def electrical(self) -> Electrical:
        """The state now."""
        phase = float(self._power_w) / 3
        energy = abs(self._power_w) * Decimal(self._time() - self._began) / 3600
        imported, exported = (energy, Decimal(0)) if self._power_w >= 0 else (Decimal(0), energy)
        return Electrical(
            (VOLTAGE_V,) * 3, (abs(phase) / VOLTAGE_V,) * 3, (phase,) * 3, FREQUENCY_HZ, imported, exported
        )
