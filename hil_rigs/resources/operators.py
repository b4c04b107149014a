"""The others of Plug & Charge: mobility operator, vehicle maker and roaming hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct

from hil_rigs.resources.field import ClientId, EmbeddedOrHttp, SecretFile, TrustFile
from hil_rigs.resources.url import EMBEDDED, check_url

OwnPools = Annotated[str, Meta(description="the pools that it works with, a resource")]


class MoResource(Struct, tag_field="kind", tag="operator.mo", frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A mobility operator: has contracts made, and takes bills over OCPI."""

    url: EmbeddedOrHttp = EMBEDDED
    pools: OwnPools | None = None
    provider_id: Annotated[
        str, Meta(pattern=r"^[A-Z]{2}[A-Z0-9]{3}$", description="what its EMAIDs begin with", examples=["DEPLB"])
    ] = "DEPLB"
    client_id: ClientId | None = None
    secret_file: SecretFile | None = None
    token_file: SecretFile | None = None
    ca_file: TrustFile | None = None

    def __post_init__(self) -> None:
        """What belongs together."""
        check_url(self, real_only=("token_file", "ca_file"))
        if self.url != EMBEDDED and self.token_file is None:
            raise ValueError("expected token_file: OCPI needs a token")


class OemResource(Struct, tag_field="kind", tag="operator.oem", frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A vehicle maker: publishes the provisioning certificates of its vehicles."""

    url: EmbeddedOrHttp = EMBEDDED
    pools: OwnPools | None = None
    wmi: Annotated[str, Meta(pattern=r"^[A-Z0-9]{3}$", description="what its PCIDs begin with", examples=["PLB"])] = (
        "PLB"
    )
    client_id: ClientId | None = None
    secret_file: SecretFile | None = None

    def __post_init__(self) -> None:
        """What belongs together."""
        check_url(self, real_only=())


class HubResource(Struct, tag_field="kind", tag="operator.hub", frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A roaming hub: takes charge detail records over OICP, for every mobility operator behind it."""

    url: EmbeddedOrHttp = EMBEDDED
    ca_file: TrustFile | None = None
    certificate_file: (
        Annotated[Path, Meta(description="PEM file of the CPO's certificate; OICP knows it by that")] | None
    ) = None
    key_file: Annotated[Path, Meta(description="PEM file of its key")] | None = None

    @property
    def client_certificate(self) -> tuple[Path, Path] | None:
        """Both files."""
        if self.certificate_file is None or self.key_file is None:
            return None
        return self.certificate_file, self.key_file

    def __post_init__(self) -> None:
        """What belongs together."""
        check_url(self, real_only=("ca_file", "certificate_file", "key_file"))
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("expected both certificate_file and key_file, or none")


OperatorResource = MoResource | OemResource | HubResource
