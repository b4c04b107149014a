"""The vehicle at the other end of the cable."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from hil_rigs.resources.field import Amperes, Auth, Bad, EnergyKind, NetworkInterface, Phases, PkiFolder


class VehicleResource(Struct, tag_field="kind", tag="vehicle", frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A simulated vehicle with a battery; sessions plug it in."""

    battery_kwh: Annotated[float, Meta(gt=0, le=2000, description="usable capacity")] = 60.0
    soc: Annotated[float, Meta(ge=0, le=100, description="state of charge at the beginning, per cent")] = 20.0
    max_current_a: Amperes = 32.0
    cable_a: (
        Annotated[
            Literal[13, 20, 32, 63], Meta(description="rating of its cable; what its charger needs when not given")
        ]
        | None
    ) = None
    phases: Phases = 3
    protocol: Annotated[
        Literal["none", "din", "iso2"],
        Meta(description="what it speaks beside the pilot: DIN SPEC 70121, ISO 15118-2, or nothing"),
    ] = "none"
    auth: Auth = "eim"
    energy: EnergyKind = "ac"
    tls: Annotated[bool, Meta(description="asks for TLS and takes nothing less")] = False
    staple: Annotated[bool, Meta(description="takes no station that sends no OCSP response with its certificate")] = (
        False
    )
    pki: PkiFolder | None = None
    contract: Annotated[
        Literal["none", "preinstalled", "update_due"],
        Meta(description="what it has when it first plugs in; none: only its provisioning certificate"),
    ] = "preinstalled"
    emaid: Annotated[
        # ISO 15118-2 annex H.1: country, provider, instance, check digit
        str,
        Meta(pattern=r"^[A-Z]{2}[A-Z0-9]{3}[A-Z0-9]{9}[A-Z0-9]?$", description="EMAID of its contract"),
    ] = "DEPLBC00000001"
    pcid: Annotated[str, Meta(pattern=r"^[A-Z0-9]{17,18}$", description="PCID of its provisioning certificate")] = (
        "PLBPROVCERT000001"
    )
    fallback: Annotated[
        bool, Meta(description="pays in the other way where it cannot pay so (no contract, or contracts not taken)")
    ] = False
    bad_contract: Bad = ""
    bad_provisioning: Bad = ""
    interface: NetworkInterface | None = None
    netns: (
        Annotated[
            str,
            Meta(
                pattern=r"^[^/\s.][^/\s]*$",
                description="network namespace of the interface, by the name that ip-netns gave it (root only)",
            ),
        ]
        | None
    ) = None
    evcc_id: Annotated[str, Meta(pattern=r"^([0-9A-Fa-f]{2}:?){6}$", description="MAC address")] = "02:00:00:00:00:01"
    dc_max_current_a: Amperes = 125.0
    departure_s: Annotated[int, Meta(ge=0, description="seconds from the plug to the driver's departure")] | None = None

    def __post_init__(self) -> None:
        """What belongs together."""
        if self.protocol == "none" and (self.auth != "eim" or self.energy != "ac" or self.tls):
            raise ValueError("protocol: expected din or iso2 for a vehicle with auth, energy or tls")
        if self.protocol == "din" and (self.energy != "dc" or self.auth != "eim" or self.tls):
            raise ValueError("protocol: din is for energy: dc and auth: eim without TLS")
        if self.auth != "pnc":
            for key, default in (("contract", "preinstalled"), ("bad_contract", ""), ("bad_provisioning", "")):
                if getattr(self, key) != default:
                    raise ValueError(f"{key}: goes with auth: pnc")
        if self.netns is not None and self.interface is None:
            raise ValueError("interface: expected with netns: which one in it leads to the cable")
        if self.auth == "pnc" and not self.tls:
            raise ValueError("tls: expected true with auth: pnc (a contract is never shown without TLS)")
        if self.staple and not self.tls:
            raise ValueError("tls: expected true with staple: true")
        if self.tls and self.pki is None:
            raise ValueError("pki: expected auto or a folder, for TLS")
