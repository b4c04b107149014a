"""The vehicle at the other end of the cable."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from hil_rigs.resources.field import Amperes, Phases


class VehicleResource(Struct, tag_field="kind", tag="vehicle", frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A simulated vehicle with a battery; sessions plug it in."""

    battery_kwh: Annotated[float, Meta(gt=0, le=2000, description="usable capacity")] = 60.0
    soc: Annotated[float, Meta(ge=0, le=100, description="state of charge at the beginning, per cent")] = 20.0
    max_current_a: Amperes = 32.0
    phases: Phases = 3
