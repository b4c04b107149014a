"""The Plug & Charge pools (OPCP): where provisioning certificates and contracts are kept."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from hil_rigs.resources.field import ClientId, EmbeddedOrHttp, SecretFile, TrustFile
from hil_rigs.resources.url import EMBEDDED, check_url


class PoolsResource(Struct, tag_field="kind", tag="pools.opcp", frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Root, provisioning and contract pools, the CPS, and the PKI behind them.

    client_id: of the role CPO; operators have their own.
    """

    url: EmbeddedOrHttp = EMBEDDED
    client_id: ClientId | None = None
    secret_file: SecretFile | None = None
    audience: Annotated[str, Meta(min_length=1, description="of the tokens; default: the URL")] | None = None
    token_url: Annotated[str, Meta(pattern=r"^https?://.+", description="default: url/oauth/token")] | None = None
    ca_file: TrustFile | None = None
    strict_revocation: Annotated[
        bool | None, Meta(description="whether the embedded ones refuse certificates whose status nobody knows")
    ] = None

    def __post_init__(self) -> None:
        """What belongs together."""
        real_only = ("client_id", "secret_file", "audience", "token_url", "ca_file")
        check_url(self, real_only=real_only, embedded_only=("strict_revocation",))
        if self.url != EMBEDDED and (self.client_id is None or self.secret_file is None):
            raise ValueError("expected client_id and secret_file: the pools give tokens to known clients only")
