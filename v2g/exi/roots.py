"""Rows of the generated tables of roots."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple


class Reader(NamedTuple):
    """An element that may start a stream. decode(window or int, position) -> (message, position).

    growing: decode wants the window, not the int. valid: whether a message keeps the limits of the schema.
    named: another element has the same type, so the message must remember which one it was.
    """

    name: str
    decode: Callable[..., tuple[Any, int]]
    growing: bool
    valid: Callable[[Any], bool]
    named: bool = False


class Writer(NamedTuple):
    """An element that may start a stream: its event code, and encode(a, message[, out]) -> a."""

    code: int
    encode: Callable[..., int]
    growing: bool
    valid: Callable[[Any], bool]
