"""The SECC of a connector: how the station talks to vehicles."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from hil_rigs.resources.field import Auth, Bad, NetworkInterface, PkiFolder


class SeccSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """V2G of one connector. Without it the duty of the pilot says the current, and nobody talks."""

    protocols: Annotated[list[Literal["iso2", "din"]], Meta(min_length=1, description="what is spoken")] = field(
        default_factory=lambda: ["iso2", "din"]
    )
    auth: Annotated[list[Auth], Meta(min_length=1, description="how vehicles may pay")] = field(
        default_factory=lambda: ["eim"]
    )
    tls: Annotated[
        Literal["off", "offered", "required"],
        Meta(description="required: never answers that there is none (needed for a station that only takes contracts)"),
    ] = "off"
    pki: PkiFolder | None = None
    bad_certificate: Bad = ""
    staple: Annotated[
        bool,
        Meta(
            description="sends an OCSP response with its certificate: made by the run, or secc.ocsp (DER) of the folder"
        ),
    ] = False
    interface: NetworkInterface | None = None
    communication_s: Annotated[
        float, Meta(gt=0, le=600, description="AC: without a session so long after 5 % duty, the duty says the current")
    ] = 20.0
    session_id_octets: Annotated[
        int, Meta(ge=1, le=8, description="of the SessionID; some stations in the field give 4 (ISO 15118-2: 8)")
    ] = 8

    def __post_init__(self) -> None:
        """What belongs together."""
        if self.tls != "off" and self.pki is None:
            raise ValueError("pki: expected auto or a folder, for TLS")
        if self.staple and self.tls == "off":
            raise ValueError("tls: expected offered or required with staple: true")
        if "pnc" in self.auth and self.tls == "off":
            raise ValueError("tls: expected offered or required with auth: pnc (a contract is never taken without TLS)")
        if self.auth == ["pnc"] and self.tls != "required":
            raise ValueError("tls: expected required where only pnc is taken")
