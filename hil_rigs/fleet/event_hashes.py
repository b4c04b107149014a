"""One event hash for each station, whatever the others do and in whichever process it runs."""

from __future__ import annotations

import hashlib
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from hil_rigs.evidence.event_hash import Event, EventHash
from ports.trace import TraceEvent


class EventHashes:
    """A tracer for each station (`of`), and one for the CSMS, whose events belong to the station they name."""

    def __init__(self) -> None:
        self.by_station: dict[str, EventHash] = {}
        self.meters: dict[str, str] = {}  # serial number -> station
        self.others = 0

    def of(self, station: str, meter: str) -> Any:
        """The `Tracer` of a station."""
        mine = self.by_station[station] = EventHash()
        self.meters[meter] = station

        def trace(event: TraceEvent) -> None:
            mine.add(_plain_event(event))

        return trace

    def of_csms(self, event: TraceEvent) -> None:
        """`Tracer` of the CSMS."""
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
    return Event(round(event.at, 6), event.layer, event.kind, event.source, data, event.raw.hex())


def _plain(value: Any) -> object:
    return str(value) if isinstance(value, Decimal | datetime) else repr(value)
