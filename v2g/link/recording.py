"""Recording of links: octets as they were on the wire and in the clear, and the capture file made of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv6Address
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ports.trace import TraceEvent
from v2g.capture import CLEAR_PORT
from v2g.capture_writer import CaptureWriter
from v2g.sdp import UDP_PORT

if TYPE_CHECKING:
    from v2g.link.connection import Connection

RECORD_LIMIT = 512 * 1024 * 1024
"""Octets that a recording keeps in memory; what comes later is counted and left out."""


class Recorder(Protocol):
    """Sees every octet of every connection. at: monotonic seconds."""

    def opened(self, connection: Connection, at: float) -> None:
        """A connection is up."""

    def raw(self, connection: Connection, from_vehicle: bool, octets: bytes, at: float) -> None:
        """Octets on the wire."""

    def clear(self, connection: Connection, from_vehicle: bool, octets: bytes, at: float) -> None:
        """Octets inside TLS; without TLS the same as `raw`."""

    def closed(self, connection: Connection, at: float) -> None:
        """A connection is gone."""


class _NoRecording:
    def opened(self, connection: Connection, at: float) -> None:
        """Nothing."""

    def raw(self, connection: Connection, from_vehicle: bool, octets: bytes, at: float) -> None:
        """Nothing."""

    def clear(self, connection: Connection, from_vehicle: bool, octets: bytes, at: float) -> None:
        """Nothing."""

    def closed(self, connection: Connection, at: float) -> None:
        """Nothing."""


no_recording = _NoRecording()


@dataclass(frozen=True, slots=True)
class _Entry:
    """What happened. connection: None for SDP. clear: inside TLS. closes: the connection ended."""

    at: float
    connection: Connection | None
    from_vehicle: bool
    octets: bytes
    clear: bool = False
    closes: bool = False
    vehicle: str = ""


@dataclass(slots=True)
class Recording:
    """Everything of one link, for Wireshark.

    since: seconds since 1970 when the monotonic clock stood at 0, so that all times come from one clock.
    key_log: where TLS keys were written (lab only); they go into the file, so that it opens by itself.
    left_out: octets beyond RECORD_LIMIT.
    """

    since: float
    key_log: Path | None = None
    left_out: int = 0
    station: IPv6Address = IPv6Address("fe80::5e")  # noqa: RUF009 - immutable; the one that answered SDP
    _kept: int = 0
    _entries: list[_Entry] = field(default_factory=list)

    def trace(self, event: TraceEvent) -> None:
        """A tracer: takes the SDP datagrams."""
        if event.kind in ("sdp.request", "sdp.response") and event.raw:
            vehicle = str(event.data.get("vehicle", ""))
            if event.kind == "sdp.response":
                self.station = IPv6Address(event.raw[8:24])
            self._add(_Entry(event.at, None, event.kind == "sdp.request", event.raw, vehicle=vehicle))

    def opened(self, connection: Connection, at: float) -> None:
        """A connection is up."""
        self._add(_Entry(at, connection, True, b""))

    def raw(self, connection: Connection, from_vehicle: bool, octets: bytes, at: float) -> None:
        """Octets on the wire."""
        self._add(_Entry(at, connection, from_vehicle, octets))

    def clear(self, connection: Connection, from_vehicle: bool, octets: bytes, at: float) -> None:
        """Octets inside TLS; without TLS they are on the wire already."""
        if connection.is_tls:
            self._add(_Entry(at, connection, from_vehicle, octets, clear=True))

    def closed(self, connection: Connection, at: float) -> None:
        """A connection is gone."""
        self._add(_Entry(at, connection, True, b"", closes=True))

    def octets(self) -> bytes:
        """The capture file (pcapng): interface "wire", then "clear" with the octets inside TLS."""
        file = CaptureWriter()
        writers: dict[tuple[Connection | None, bool], CaptureWriter] = {}
        for entry in self._entries:
            time, connection = self.since + entry.at, entry.connection
            if connection is None:
                vehicle = _endpoint(entry.vehicle) or (file.vehicle_address, file.vehicle_port)
                file.beside(vehicle, (self.station, UDP_PORT)).udp(time, entry.from_vehicle, entry.octets)
            elif entry.closes:
                for clear in (False, True):
                    if (connection, clear) in writers:
                        writers[connection, clear].close(time)
            else:
                writer = writers.setdefault((connection, entry.clear), _writer(file, connection, clear=entry.clear))
                writer.open(time)
                writer.tcp(time, entry.from_vehicle, entry.octets)
        keys = self.key_log.read_bytes() if self.key_log is not None and self.key_log.is_file() else b""
        return file.octets(keys, ("wire", "clear"))

    def _add(self, entry: _Entry) -> None:
        if self._kept + len(entry.octets) > RECORD_LIMIT:
            self.left_out += len(entry.octets)
            return
        self._kept += len(entry.octets)
        self._entries.append(entry)


def _writer(file: CaptureWriter, connection: Connection, *, clear: bool) -> CaptureWriter:
    """Between the real ends; the clear octets on the same vehicle's port and TCP port 15118, which is free of TLS."""
    own = _endpoint(connection.own_name) or (file.station_address, file.station_port)
    peer = _endpoint(connection.peer_name) or (file.vehicle_address, file.vehicle_port)
    vehicle, station = (own, peer) if connection.vehicle else (peer, own)
    return file.beside(vehicle, (station[0], CLEAR_PORT) if clear else station, int(clear))


def _endpoint(name: str) -> tuple[IPv6Address, int] | None:
    """Of "[address]:port"; None when it is none of IPv6."""
    address, _, port = name.removeprefix("[").rpartition("]:")
    try:
        return IPv6Address(address.partition("%")[0]), int(port)
    except ValueError:
        return None
