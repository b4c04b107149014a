"""The battery: exact content, constant current, then a taper in steps of one per cent."""

from __future__ import annotations

from dataclasses import dataclass

from firmware_sim.energy_counter import UNITS_PER_WH
from firmware_sim.vehicle.settings import VehicleSettings


@dataclass(slots=True)
class Battery:
    """Energies in the units of `energy_counter`. `delivered` is what came through the inlet since the start."""

    capacity: int
    start: int
    efficiency_permille: int
    taper_from: int
    delivered: int = 0

    @classmethod
    def of(cls, settings: VehicleSettings) -> Battery:
        """The battery that the settings describe."""
        capacity = settings.capacity_wh * UNITS_PER_WH
        start = capacity * round(settings.soc * 1_000_000) // 100_000_000
        return cls(capacity, start, settings.efficiency_permille, settings.taper_from)

    @property
    def content(self) -> int:
        """Energy in the cells."""
        return self.start + self.delivered * self.efficiency_permille // 1000

    @property
    def soc(self) -> float:
        """State of charge in per cent, for people."""
        return self.content / self.capacity * 100

    @property
    def full(self) -> bool:
        """Whether it takes no more."""
        return self.content >= self.capacity

    def set_soc(self, per_cent: float) -> None:
        """Fill or drain it by hand."""
        wanted = self.capacity * round(per_cent * 1_000_000) // 100_000_000
        self.start += wanted - self.content

    def accepts_ma(self, max_ma: int) -> int:
        """Current that it takes now: all, then less by the per cent, nothing when full."""
        per_cent = self.content * 100 // self.capacity
        if self.full:
            return 0
        if per_cent < self.taper_from:
            return max_ma
        return max_ma * (100 - per_cent) // (100 - self.taper_from)

    def inlet_energy_to(self, content: int) -> int:
        """What has to pass the inlet until this content is reached; 0 when it is."""
        missing = max(content - self.content, 0)
        return -(-missing * 1000 // self.efficiency_permille)

    def inlet_energy_to_step(self) -> int:
        """What has to pass the inlet until `accepts_ma` changes."""
        per_cent = max(self.content * 100 // self.capacity + 1, self.taper_from)
        return self.inlet_energy_to(-(-self.capacity * min(per_cent, 100) // 100))
