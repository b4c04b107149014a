"""How a mobility operator is set up."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from dataclasses import dataclass

from backend_client.ocpi_session import Party
from backends.operators.mo.billing import Tariff
from backends.operators.ocpi_server import OcpiPartner


@dataclass(frozen=True, slots=True, kw_only=True)
class MoSettings:
    """party: country code and party id; both together are the provider id of its EMAIDs ("DEPLB").

    tariffs: what customers pay, by the time from which they hold. partners: CPOs over OCPI. hub_operators: operator
    ids whose charge details come through the hub, () = any. hub_certificate: SHA-256 (hex) of the hub's TLS client
    certificate, "" = nobody has to show one (a rig on one machine). bill_extracts: whether an OICP CDR of ten signed
    values that leave out some between begin and end is billed. url: how partners reach it, "" = as they asked for it.
    login_s: how long an app stays logged in.
    """

    party: Party
    name: str = "mo"
    tariffs: Sequence[Tariff] = ()
    partners: Sequence[OcpiPartner] = ()
    hub_operators: Sequence[str] = ()
    hub_certificate: str = ""
    bill_extracts: bool = True
    host: str = "127.0.0.1"
    port: int = 0
    url: str = ""
    tls: ssl.SSLContext | None = None
    login_s: int = 8 * 3600
