"""The vehicle at the other end of the cable."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from hil_rigs.resources.field import Amperes, Auth, EnergyKind, Phases, PkiFolder


class VehicleResource(Struct, tag_field="kind", tag="vehicle", frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A simulated vehicle with a battery; sessions plug it in."""

    battery_kwh: Annotated[float, Meta(gt=0, le=2000, description="usable capacity")] = 60.0
    soc: Annotated[float, Meta(ge=0, le=100, description="state of charge at the beginning, per cent")] = 20.0
    max_current_a: Amperes = 32.0
    phases: Phases = 3
    protocol: Annotated[
        Literal["none", "din", "iso2"],
        Meta(description="what it speaks beside the pilot: DIN SPEC 70121, ISO 15118-2, or nothing"),
    ] = "none"
    auth: Auth = "eim"
    energy: EnergyKind = "ac"
    tls: Annotated[bool, Meta(description="asks for TLS and takes nothing less")] = False
    pki: PkiFolder | None = None
    evcc_id: Annotated[str, Meta(pattern=r"^([0-9A-Fa-f]{2}:?){6}$", description="MAC address")] = "02:00:00:00:00:01"
    dc_max_current_a: Amperes = 125.0
    departure_s: Annotated[int, Meta(ge=0, description="seconds from the plug to the driver's departure")] | None = None

    def __post_init__(self) -> None:
        """What belongs together."""
        if self.protocol == "none" and (self.auth != "eim" or self.energy != "ac" or self.tls):
            raise ValueError("protocol: expected din or iso2 for a vehicle with auth, energy or tls")
        if self.protocol == "din" and (self.energy != "dc" or self.auth != "eim" or self.tls):
            raise ValueError("protocol: din is for energy: dc and auth: eim without TLS")
        if self.auth == "pnc" and not self.tls:
            raise ValueError("tls: expected true with auth: pnc (a contract is never shown without TLS)")
        if self.tls and self.pki is None:
            raise ValueError("pki: expected auto or a folder, for TLS")
