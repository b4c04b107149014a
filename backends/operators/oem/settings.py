"""How a vehicle manufacturer is set up."""

from __future__ import annotations

import ssl
from dataclasses import dataclass

from backend_client.opcp_messages import ISO2


@dataclass(frozen=True, slots=True, kw_only=True)
class OemSettings:
    """url: how the pools reach its webhooks, "" = as it listens. webhooks: whether it asks for them at all.

    edition: of the EST branch. sync_s: how often the pools are asked for what a webhook did not tell; 0 = never.
    """

    name: str = "oem"
    namespace: str = ISO2
    edition: str = "ISO15118-2"
    host: str = "127.0.0.1"
    port: int = 0
    url: str = ""
    tls: ssl.SSLContext | None = None
    webhooks: bool = True
    sync_s: float = 3600.0
