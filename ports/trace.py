"""Trace events: what every room reports about its work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class TraceEvent:
    """One thing that happened.

    at: boot-time seconds. layer: "pilot", "meter", "line", "token", "journal", "backend", "session", "v2g", "fault".
    kind: stable name, e.g. "pilot.state". source: which resource of the rig.
    data: plain values (str, int, float, bool, None, nested); never secrets.
    raw: octets on the wire, where there are any.
    """

    at: float
    layer: str
    kind: str
    source: str
    data: Mapping[str, object] = field(default_factory=dict)
    raw: bytes = b""


class Tracer(Protocol):
    """Takes trace events."""

    def __call__(self, event: TraceEvent) -> None:
        """Record the event; never raises, never blocks."""


def no_trace(event: TraceEvent) -> None:
    """The tracer of those who do not trace."""
