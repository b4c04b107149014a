"""What a simulated charger is: the answers that a data sheet gives."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ChargerSettings:
    """max_a: what the station can deliver per phase. tethered: cable fixed to the station, so neither proximity
    resistor nor lock. ventilated: state D may charge. phases: those that the board watches."""

    max_a: float = 32.0
    tethered: bool = False
    ventilated: bool = False
    phases: int = 3
