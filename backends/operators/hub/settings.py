"""How a roaming hub is set up."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class HubProvider:
    """A mobility operator. id: e.g. "DE-PLB". url: of its OICP services. certificate: SHA-256 (hex) of its own."""

    id: str
    url: str
    certificate: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HubOperator:
    """A charge point operator. id: e.g. "DE*CPO". providers: whose customers it serves, () = all of them.

    certificate: SHA-256 (hex) of its TLS client certificate.
    """

    id: str
    providers: Sequence[str] = ()
    certificate: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HubSettings:
    """certificates: whether partners must show their TLS client certificate (needs `tls`).

    provider_timeout_s: for an authorisation, all providers together. retry_s, most_retry_s: how long a charge detail
    record waits after the first failure to forward it; doubled every time up to the second figure.
    ca_file, client_certificate: towards providers.
    """

    name: str = "hub"
    providers: Sequence[HubProvider] = ()
    operators: Sequence[HubOperator] = ()
    certificates: bool = False
    provider_timeout_s: float = 5.0
    retry_s: int = 60
    most_retry_s: int = 3600
    ca_file: Path | None = None
    client_certificate: tuple[Path, Path] | None = None
    host: str = "127.0.0.1"
    port: int = 0
    tls: ssl.SSLContext | None = None
