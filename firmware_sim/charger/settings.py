"""What a simulated charger is: the answers that a data sheet gives."""

from __future__ import annotations

from dataclasses import dataclass

from firmware_sim.duty import MAX_A, MIN_A
from ports.errors import LocalError


@dataclass(frozen=True, slots=True)
class ChargerSettings:
    """max_a: what the station can deliver per phase. tethered: cable fixed to the station, so neither proximity
    resistor nor lock. ventilated: state D may charge. phases: those that the board watches.

    Raises LocalError for values that no charger has.
    """

    max_a: float = 32.0
    tethered: bool = False
    ventilated: bool = False
    phases: int = 3

    def __post_init__(self) -> None:
        if not MIN_A <= self.max_a <= MAX_A:
            raise LocalError(f"charger: max_a is {self.max_a}, not between {MIN_A:g} and {MAX_A:g} A")
        if self.phases not in (1, 2, 3):
            raise LocalError(f"charger: phases is {self.phases}, not 1, 2 or 3")
