"""The charge point operator's CSMS, which speaks OCPP."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct

from hil_rigs.resources.field import RECORD_TEXT, EnvironmentName, TrustFile
from hil_rigs.resources.url import EMBEDDED, check_url, one_of


class KnownCard(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An identification that the embedded CSMS knows itself."""

    # OCPP 2.0.1 part 2, IdTokenType: up to 36 characters
    id: Annotated[str, Meta(pattern=RECORD_TEXT, max_length=36, examples=["04A1B2C3D4E5F6"])]
    type: (
        Annotated[
            Literal["ISO14443", "ISO15693", "EMAID", "EVCCID", "CENTRAL", "LOCAL", "KEY_CODE"],
            Meta(description="kind of identification, by its OCMF name (OCPP 2.0.1 only); default: any"),
        ]
        | None
    ) = None
    status: Annotated[
        Literal[
            "Accepted",
            "Blocked",
            "Expired",
            "Invalid",
            "ConcurrentTx",
            "NoCredit",
            "NotAtThisLocation",
            "NotAtThisTime",
            "Unknown",
        ],
        Meta(description="what it says of it"),
    ] = "Accepted"


class CsmsResource(Struct, tag_field="kind", tag="csms.ocpp", frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A CSMS. The embedded one keeps what the station tells, judges contracts, and sends bills on."""

    url: Annotated[
        str,
        Meta(
            pattern=r"^(embedded|wss?://.+)$",
            description='"embedded": served by this run; else its WebSocket without the station\'s identity',
            examples=["embedded"],
        ),
    ] = EMBEDDED
    version: Annotated[Literal["2.0.1", "1.6"], Meta(description="of OCPP")] = "2.0.1"
    security_profile: Annotated[
        int, Meta(ge=0, le=3, description="0: open, 1: password, 2: password over TLS, 3: client certificate over TLS")
    ] = 1
    identity: (
        Annotated[
            str,
            Meta(
                # OCPP 2.0.1 part 4, section 3.1.1: identifierString, up to 48 characters, no colon
                pattern=r"^[A-Za-z0-9*_=+|@.-]{1,48}$",
                description="of the station; default: the gateway's serial number",
            ),
        ]
        | None
    ) = None
    password_file: Annotated[Path, Meta(description="file that holds the password")] | None = None
    password_env: EnvironmentName | None = None
    ca_file: TrustFile | None = None
    certificate_file: Annotated[Path, Meta(description="profile 3: PEM file of the station's chain")] | None = None
    key_file: Annotated[Path, Meta(description="profile 3: PEM file of its key")] | None = None
    pools: Annotated[str, Meta(description="the pools that the embedded one asks, a resource")] | None = None
    bills_to: Annotated[
        list[str], Meta(description="where the embedded one sends bills: kinds operator.mo and operator.hub")
    ] = []

    cards: (
        Annotated[
            list[KnownCard],
            Meta(
                description="who may charge, says the embedded one after its operators; default: without any operator "
                "gateway.local_list"
            ),
        ]
        | None
    ) = None

    def __post_init__(self) -> None:
        """What belongs together."""
        references = ("password_file", "password_env", "ca_file", "certificate_file", "key_file")
        check_url(self, real_only=references, embedded_only=("pools", "bills_to", "cards"))
        one_of(self, "password_file", "password_env")
        if self.version == "1.6" and any(card.type is not None for card in self.cards or ()):
            raise ValueError('cards: expected no type with version "1.6", which knows none')
        if self.url == EMBEDDED:
            return
        secure = self.url.startswith("wss:")
        if secure != (self.security_profile >= 2):
            raise ValueError(f"security_profile: {self.security_profile} does not go with {self.url.split(':')[0]}:")
        if self.security_profile in (1, 2) and self.password_file is None and self.password_env is None:
            raise ValueError("expected password_file or password_env: profiles 1 and 2 need a password")
        if self.security_profile == 3 and (self.certificate_file is None or self.key_file is None):
            raise ValueError("expected certificate_file and key_file: profile 3 needs them")
