"""Addresses of servers in rig files."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

EMBEDDED = "embedded"


def refuse_credentials(key: str, url: str) -> None:
    """Raises ValueError for what is no URL, and for one with a user or a password in it (which is not shown)."""
    try:
        split = urlsplit(url)
        port = split.port  # raises when it is none
    except ValueError as error:
        raise ValueError(f"{key}: not a URL: {error}") from None
    if split.username is not None or split.password is not None:
        raise ValueError(f"{key}: credentials never stand in a rig file (the URL is not shown here)")
    if not split.hostname or port == 0:
        raise ValueError(f'{key}: expected a host in "{url}"')


def check_url(resource: Any, *, real_only: tuple[str, ...], embedded_only: tuple[str, ...] = ()) -> None:
    """`url` itself, and the keys that go only with "embedded" or only with a server elsewhere. Raises ValueError."""
    if resource.url != EMBEDDED:
        refuse_credentials("url", resource.url)
    wrong = real_only if resource.url == EMBEDDED else embedded_only
    for key in wrong:
        if getattr(resource, key) not in (None, [], ""):
            why = "the embedded one needs none" if resource.url == EMBEDDED else "goes with url: embedded only"
            raise ValueError(f"{key}: {why}")


def one_of(resource: Any, first: str, second: str) -> None:
    """Raises ValueError when both are said."""
    if getattr(resource, first) is not None and getattr(resource, second) is not None:
        raise ValueError(f"expected one of {first} and {second}, found both")
