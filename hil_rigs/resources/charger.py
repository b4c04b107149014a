"""The firmware at the cable."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from hil_rigs.resources.field import Amperes, EnergyKind, Phases


class ChargerResource(Struct, tag_field="kind", tag="charger", frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The board of one connector: control pilot, contactor, lock (IEC 61851-1), and the mains behind it.

    With `energy: dc` a power stage stands between mains and outlet; the meter is behind it.
    """

    port: Annotated[Literal["virtual"], Meta(description="simulated firmware, in this process")] = "virtual"
    energy: EnergyKind = "ac"
    max_current_a: Amperes = 32.0
    phases: Phases = 3
    voltage_v: Annotated[float, Meta(ge=80, le=300, description="phase to neutral")] = 230.0
    frequency_hz: Annotated[float, Meta(ge=40, le=70)] = 50.0
    ventilated: Annotated[bool, Meta(description="whether vehicles that need ventilation (state D) are charged")] = (
        False
    )
    dc_voltage_v: Annotated[float, Meta(ge=150, le=1500, description="highest voltage of the power stage")] = 500.0
    dc_power_kw: Annotated[float, Meta(gt=0, le=1000, description="highest power of the power stage")] = 50.0

    def __post_init__(self) -> None:
        """A contactor for AC, or a power stage for DC."""
        if self.energy == "ac" and not 6 <= self.max_current_a <= 80:
            raise ValueError(f"max_current_a: expected 6 to 80 A for AC, found {self.max_current_a:g}")
