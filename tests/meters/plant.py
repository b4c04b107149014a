"""A measuring point for tests: power set by hand, energy exact."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from ports.energy import Electrical


class Plant:
    """Constant power on three phases; energy grows with `time`, or is set outright."""

    def __init__(self, power_w: float = 0.0, time: Callable[[], float] = lambda: 0.0) -> None:
        self.power_w = power_w
        self.time = time
        self.began = time()
        self.extra_wh = Decimal(0)

    def freeze(self) -> None:
        """Let the energy stand still from now on."""
        self.extra_wh, self.time = self.energy_wh, lambda: self.began

    @property
    def energy_wh(self) -> Decimal:
        """Imported so far, exact."""
        return self.extra_wh + Decimal(self.power_w) * Decimal(self.time() - self.began) / 3600

    def electrical(self) -> Electrical:
        """The state now."""
        phase = self.power_w / 3
        return Electrical(
            (230.0, 231.5, 229.25),
            (phase / 230.0, phase / 231.5, phase / 229.25),
            (phase, phase, phase),
            50.02,
            self.energy_wh,
            Decimal(0),
        )
