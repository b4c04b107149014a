"""Where webhooks may go, as far as the URL alone tells; the address is checked when one is sent."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from backends.guarded_http import AddressRefused, Network, check_address, check_url


@dataclass(frozen=True, slots=True)
class TargetRules:
    """allowed: networks that may be called although they are not public; with any of them http will do, too."""

    allowed: tuple[Network, ...] = ()


def check_target(url: str, rules: TargetRules) -> None:
    """Raises AddressRefused."""
    target = check_url(url)
    if target.scheme != "https" and not rules.allowed:
        raise AddressRefused(f"{url!r}: only https is called", url)
    host = target.host.strip("[]")
    if host == "localhost" or host.endswith(".localhost"):
        host = "127.0.0.1"
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return
    check_address(host, rules.allowed)
