"""One event hash for each station, whatever the others do and in whichever process it runs."""

from __future__ import annotations

import hashlib
from collections import Counter
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

import msgspec

from hil_rigs.evidence.event_hash import Event, EventHash
from ports.trace import TraceEvent

# What the hash of a run does not have to leave out. Beginning of the kind, fields, whether the event's octets go, too.
LEFT_OUT = (
    # the network in memory hands ports out to all stations of a process, in the order in which they ask
    ("", frozenset({"peer", "port", "vehicle_port"}), False),
    ("sdp.", frozenset({"vehicle", "source"}), True),
    # messages that hold certificates and signatures of the run, and not always equally many octets
    ("opcp.", frozenset({"octets", "sha256"}), True),
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
    names, without_raw = _left_out(event.kind)
    kept = {name: value for name, value in event.data.items() if name not in names}
    data = msgspec.to_builtins(kept, enc_hook=_plain) if kept else {}
    raw = "" if without_raw else event.raw.hex()
    return Event(round(event.at, 6), event.layer, event.kind, event.source, data, raw)


@lru_cache(maxsize=1024)
def _left_out(kind: str) -> tuple[frozenset[str], bool]:
    rows = [row for row in LEFT_OUT if kind.startswith(row[0])]
    return frozenset().union(*(names for _, names, _ in rows)), any(without_raw for *_, without_raw in rows)


def _plain(value: Any) -> object:
    return str(value) if isinstance(value, Decimal | datetime) else repr(value)
