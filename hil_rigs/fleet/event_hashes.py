"""One event hash for each station, whatever the others do and in whichever process it runs."""

from __future__ import annotations

import hashlib
from collections import Counter
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from hil_rigs.evidence.event_hash import Event, EventHash
from ports.trace import TraceEvent

OF_CERTIFICATES = (
    "opcp."  # these messages hold certificates and signatures of the run, and not always equally many octets
)


class EventHashes:
    """A tracer for each station (`of`), and one for CSMS and pools, whose events belong to the station they name.

    installed: contracts that came into the vehicle at a station, how often.
    """

    def __init__(self) -> None:
        self.by_station: dict[str, EventHash] = {}
        self.meters: dict[str, str] = {}  # serial number -> station
        self.installed: Counter[str] = Counter()
        self.others = 0

    def of(self, station: str, meter: str) -> Any:
        """The `Tracer` of a station."""
        mine = self.by_station[station] = EventHash()
        self.meters[meter] = station

        def trace(event: TraceEvent) -> None:
            mine.add(_plain_event(event))
            if event.kind == "evcc.contract" and not event.data.get("problem"):
                self.installed[station] += 1

        return trace

    def of_backend(self, event: TraceEvent) -> None:
        """`Tracer` of CSMS and pools."""
        station = str(event.data.get("station") or self.meters.get(str(event.data.get("meter", "")), ""))
        mine = self.by_station.get(station)
        if mine is None:
            self.others += 1
        else:
            mine.add(_plain_event(event))

    def hexes(self) -> dict[str, str]:
        """By station."""
        return {station: one.hex() for station, one in self.by_station.items()}

    @property
    def count(self) -> int:
        """Events of all stations."""
        return sum(one.count for one in self.by_station.values())


def combined(hexes: dict[str, str]) -> str:
    """SHA-256 over the hashes of all stations, by name."""
    lines = "".join(f"{station} {hexes[station]}\n" for station in sorted(hexes))
    return hashlib.sha256(lines.encode()).hexdigest()


def _plain_event(event: TraceEvent) -> Event:
    data = msgspec.to_builtins(dict(event.data), enc_hook=_plain) if event.data else {}
    raw = event.raw.hex()
    if event.kind.startswith(OF_CERTIFICATES):
        data = {name: value for name, value in data.items() if name not in ("octets", "sha256")}
        raw = ""
    return Event(round(event.at, 6), event.layer, event.kind, event.source, data, raw)


def _plain(value: Any) -> object:
    return str(value) if isinstance(value, Decimal | datetime) else repr(value)
