"""The grid at the plant: three voltages in whole millivolts, with noise, brown-out and missing phases."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from firmware_sim.agenda import Agenda, ns
from ports.errors import LocalError

PHASES = 3
NoiseStep = Callable[[Callable[[], None]], None]  # applies a change to the mains


@dataclass(frozen=True, slots=True)
class MainsSettings:
    """nominal_v: phase to neutral. noise_v / noise_every_s: half width and period of the seeded noise, 0 = none.

    Raises LocalError for values that no grid has.
    """

    nominal_v: float = 230.0
    frequency_hz: float = 50.0
    noise_v: float = 0.0
    noise_every_s: float = 10.0

    def __post_init__(self) -> None:
        if not 50 <= self.nominal_v <= 500:
            raise LocalError(f"mains: nominal_v is {self.nominal_v}, not between 50 and 500 V")
        if not 0 <= self.noise_v <= self.nominal_v / 10:
            raise LocalError(f"mains: noise_v is {self.noise_v}, not between 0 and a tenth of nominal_v")
        if self.noise_every_s <= 0:
            raise LocalError(f"mains: noise_every_s is {self.noise_every_s}, not above 0")


class Mains:
    """Voltages now. Whoever changes them goes through `Circuit.change_mains`, so that energy stays exact."""

    def __init__(self, settings: MainsSettings, seed: int) -> None:
        self.settings = settings
        self.frequency_hz = settings.frequency_hz
        self.phase_on = [True] * PHASES
        self.level = 1.0  # of nominal: 0.6 is a brown-out, 0 a power cut
        self._noise_mv = [0] * PHASES
        self._random = random.Random(f"mains {seed}")  # noqa: S311 - a seeded simulation, not a secret

    @property
    def nominal_mv(self) -> int:
        """Nominal phase voltage."""
        return round(self.settings.nominal_v * 1000)

    def millivolts(self) -> tuple[int, int, int]:
        """L1, L2, L3 to neutral."""
        base = round(self.nominal_mv * self.level)
        l1, l2, l3 = (
            max(base + n, 0) if on and base else 0 for on, n in zip(self.phase_on, self._noise_mv, strict=True)
        )
        return l1, l2, l3

    def draw_noise(self) -> None:
        """Take the next random offsets."""
        width = round(self.settings.noise_v * 1000)
        self._noise_mv = [self._random.randint(-width, width) for _ in range(PHASES)]

    def start_noise(self, agenda: Agenda, step: NoiseStep) -> None:
        """Plan the noise, when there is any."""
        if self.settings.noise_v:
            period = ns(self.settings.noise_every_s)

            def tick() -> None:
                step(self.draw_noise)
                agenda.after(period, tick)

            tick()
