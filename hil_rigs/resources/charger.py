"""The firmware at the cable."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from hil_rigs.resources.field import Amperes, Phases


class ChargerResource(Struct, tag_field="kind", tag="charger", frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The board of one connector: control pilot, contactor, lock (IEC 61851-1), and the mains behind it."""

    port: Annotated[Literal["virtual"], Meta(description="simulated firmware, in this process")] = "virtual"
    max_current_a: Amperes = 32.0
    phases: Phases = 3
    voltage_v: Annotated[float, Meta(ge=80, le=300, description="phase to neutral")] = 230.0
    frequency_hz: Annotated[float, Meta(ge=40, le=70)] = 50.0
