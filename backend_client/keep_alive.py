"""How long HTTP clients keep connections that nobody uses."""

from __future__ import annotations

import asyncio

import httpx

IDLE_S = 5.0  # as httpx: shorter than what servers and firewalls forget them after


def keep_alive() -> httpx.Limits:
    """Limits for a client of the running loop: in virtual time the peer alone ends them, for httpx counts real seconds.

    Without that, how busy the machine is would decide which request opens a connection.
    """
    try:
        is_virtual = getattr(asyncio.get_running_loop(), "is_virtual", False)
    except RuntimeError:  # made before its loop runs
        is_virtual = False
    return httpx.Limits(
        max_connections=100, max_keepalive_connections=20, keepalive_expiry=None if is_virtual else IDLE_S
    )
