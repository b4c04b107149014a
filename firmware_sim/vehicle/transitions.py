"""The basic vehicle's states as a table (IEC 61851-1 table A.6, the vehicle's side).

unplugged; connected (B); ready (S2 closed, no current yet); charging; stopping (no current, S2 about to open).
Conditions and delays of the events stand in `simulated.py::_review`, actions under their own name there.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Phase(StrEnum):
    """Where the vehicle is."""

    UNPLUGGED = "unplugged"
    CONNECTED = "connected"
    READY = "ready"
    CHARGING = "charging"
    STOPPING = "stopping"


class Row(NamedTuple):
    """One transition."""

    phase: Phase
    event: str
    next: Phase
    actions: tuple[str, ...]
    source: str


VEHICLE_TRANSITIONS: tuple[Row, ...] = (
    Row(Phase.UNPLUGGED, "plug", Phase.CONNECTED, (), "A.6 1"),
    Row(Phase.CONNECTED, "ready", Phase.READY, ("close S2",), "A.6 4"),
    Row(Phase.READY, "supply", Phase.CHARGING, ("draw",), "A.6"),
    Row(Phase.READY, "stop", Phase.CONNECTED, ("open S2",), "A.6 8"),
    Row(Phase.CHARGING, "supply lost", Phase.READY, ("cease",), "A.6"),
    Row(Phase.CHARGING, "stop", Phase.STOPPING, ("cease",), "A.6 7"),
    Row(Phase.STOPPING, "open", Phase.CONNECTED, ("open S2",), "A.6 8"),
    Row(Phase.CONNECTED, "unplug", Phase.UNPLUGGED, ("leave",), "A.6 2"),
    Row(Phase.READY, "unplug", Phase.UNPLUGGED, ("leave",), "A.6 2"),
    Row(Phase.CHARGING, "unplug", Phase.UNPLUGGED, ("leave",), "A.6 2"),
    Row(Phase.STOPPING, "unplug", Phase.UNPLUGGED, ("leave",), "A.6 2"),
)

NEXT: dict[tuple[Phase, str], Row] = {(row.phase, row.event): row for row in VEHICLE_TRANSITIONS}
