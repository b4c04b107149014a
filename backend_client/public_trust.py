"""The roots of public https servers, as httpx brings them."""

from __future__ import annotations

import ssl
from functools import cache

import httpx


@cache
def public_trust() -> ssl.SSLContext:
    """For `verify=` of httpx clients; reading the roots takes 0.1 s, so it is done once."""
    return httpx.create_ssl_context(trust_env=False)
