"""A capture file in, the V2GTP frames of its sessions out, in the order of the packets that completed them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from ports.errors import PeerError
from v2g import sdp
from v2g.capture_file import CaptureFile
from v2g.packets import Datagram, Endpoint, Fragment, HomePlug, Segment, content_of
from v2g.tcp_streams import Chunk, Connection, connections_of
from v2g.v2gtp import (
    HEADER_LENGTH,
    KNOWN_TYPES,
    MANUFACTURER_TYPES,
    Frame,
    FrameStream,
    HeaderError,
    parse_frame,
    parse_header,
)

CLEAR_PORT = sdp.UDP_PORT  # station's TCP port of clear copies, see v2g.link.recording
_SYNC = b"\x01\xfe"
_TLS_CONTENT_TYPES = range(20, 24)  # RFC 8446 5.1; the second octet of a record is 3


class Sender(StrEnum):
    """Who sent a frame."""

    VEHICLE = "vehicle"
    STATION = "station"


@dataclass(frozen=True, slots=True)
class CapturedFrame:
    """One V2GTP frame of a capture.

    number: packet that completed it, as Wireshark counts. time: seconds since 1970.
    stream: TCP connection, counted from 0; None for UDP (SDP).
    """

    number: int
    time: float
    stream: int | None
    sender: Sender
    source: Endpoint
    target: Endpoint
    frame: Frame


@dataclass(frozen=True, slots=True)
class ClearText:
    """Decrypted octets of a TLS connection. number, time: packet that completed their record."""

    number: int
    time: float
    source: Endpoint
    target: Endpoint
    octets: bytes = field(repr=False)


@dataclass(slots=True)
class Capture:
    """What a capture holds.

    frames: in the order of their packets. homeplug: SLAC and other management messages. tls: encrypted connections,
    still closed. secrets: TLS key log that the file carries. notes: everything that could not be used, for people.
    stations: addresses and ports announced by SDP.
    """

    frames: list[CapturedFrame] = field(default_factory=list)
    homeplug: list[HomePlug] = field(default_factory=list)
    tls: list[Connection] = field(default_factory=list)
    secrets: bytes = b""
    notes: list[str] = field(default_factory=list)
    stations: set[Endpoint] = field(default_factory=set)

    def open_tls(self, records: Iterable[ClearText]) -> None:
        """Add the frames of connections that something else has decrypted (see `v2g.tshark`)."""
        closed = self.tls
        self.tls = []
        chunks: dict[int, dict[Endpoint, list[Chunk]]] = {}
        for record in records:
            for connection in reversed(closed):
                ends = connection.chunks
                if {record.source, record.target} == set(ends) and connection.first_number <= record.number:
                    opened = chunks.setdefault(connection.number, {end: [] for end in ends})
                    opened[record.source].append(Chunk(record.number, record.time, record.octets))
                    break
        for connection in closed:
            if connection.number in chunks:
                connection.chunks = chunks[connection.number]
                _add_connection(self, connection)
            else:
                self.tls.append(connection)
        self._sort()

    def _sort(self) -> None:
        self.frames.sort(key=lambda frame: frame.number)


def read_capture(octets: bytes) -> Capture:
    """Read a pcap or pcapng file. Raises CaptureError when it is neither, or broken inside."""
    file = CaptureFile(octets)
    capture = Capture(notes=file.notes)
    segments: list[Segment] = []
    fragments = cut = 0
    for packet in file.packets():
        cut += bool(packet.cut)
        match content_of(packet):
            case Segment() as segment:
                segments.append(segment)
            case Datagram() as datagram:
                _add_datagram(capture, datagram)
            case HomePlug() as message:
                capture.homeplug.append(message)
            case Fragment():
                fragments += 1
    capture.secrets = file.secrets
    if fragments:
        capture.notes.append(f"{fragments} IP fragments ignored")
    if cut:
        capture.notes.append(f"{cut} packets were captured only in part (snap length)")
    for connection in connections_of(segments):
        _add_connection(capture, connection)
    _leave_out_copied(capture)
    capture._sort()  # noqa: SLF001 - same module
    return capture


def _add_datagram(capture: Capture, datagram: Datagram) -> None:
    if sdp.UDP_PORT not in (datagram.source[1], datagram.target[1]):
        return
    sender = Sender.VEHICLE if datagram.target[1] == sdp.UDP_PORT else Sender.STATION
    try:
        frame = parse_frame(datagram.payload)
        message = sdp.from_frame(frame)
    except PeerError as error:
        capture.notes.append(f"packet {datagram.number}: no SDP message: {error}")
        return
    if isinstance(message, sdp.SdpResponse):
        capture.stations.add((message.address, message.port))
    capture.frames.append(
        CapturedFrame(datagram.number, datagram.time, None, sender, datagram.source, datagram.target, frame)
    )


def _add_connection(capture: Capture, connection: Connection) -> None:
    heads = [chunks[0].octets[:2] for chunks in connection.chunks.values() if chunks]
    if any(len(head) == 2 and head[0] in _TLS_CONTENT_TYPES and head[1] == 3 for head in heads):
        capture.tls.append(connection)
        return
    if not heads or not _is_v2g(connection, capture.stations):
        return
    vehicle = _vehicle_of(connection, capture.stations)
    for source, chunks in connection.chunks.items():
        target = next((end for end in connection.chunks if end != source), source)
        sender = Sender.VEHICLE if source == vehicle else Sender.STATION
        synced = connection.directions[source].started_with_syn
        reader = _DirectionReader(capture, f"stream {connection.number}, {sender}", synced=synced)
        for number, time, frame in reader.read(chunks):
            capture.frames.append(CapturedFrame(number, time, connection.number, sender, source, target, frame))


def _leave_out_copied(capture: Capture) -> None:
    """Our own recordings hold what is inside TLS as well, between the same ends but for TCP port 15118."""
    copied = {frozenset((frame.source, frame.target)) for frame in capture.frames if frame.stream is not None}

    def is_copied(connection: Connection) -> bool:
        one, other = connection.chunks
        return bool({frozenset((one, (other[0], CLEAR_PORT))), frozenset((other, (one[0], CLEAR_PORT)))} & copied)

    capture.tls = [each for each in capture.tls if len(each.chunks) != 2 or not is_copied(each)]


def _is_v2g(connection: Connection, stations: set[Endpoint]) -> bool:
    """Announced by SDP, or full of V2GTP headers."""
    if any(end in stations for end in connection.chunks):
        return True
    return any(_find_header(b"".join(c.octets for c in chunks[:8])) == 0 for chunks in connection.chunks.values())


def _vehicle_of(connection: Connection, stations: set[Endpoint]) -> Endpoint | None:
    """The vehicle opens the connection, calls the announced port and speaks first."""
    if connection.client is not None:
        return connection.client
    for end in connection.chunks:
        if end in stations:
            return next((other for other in connection.chunks if other != end), None)
    return connection.first_sender


class _DirectionReader:
    """Frames of one direction.

    synced: the first octet starts a frame. After octets that the capture lacks it looks for the next header; a bad
    header where one has to be ends the direction.
    """

    def __init__(self, capture: Capture, where: str, *, synced: bool) -> None:
        self._capture, self._where = capture, where
        self._stream = FrameStream()
        self._searching = not synced
        self._lost = b""  # while searching: octets in which a header may still begin
        self._skipped = 0

    def read(self, chunks: Iterable[Chunk]) -> Iterable[tuple[int, float, Frame]]:
        """(packet number, time, frame) of every frame."""
        chunks = iter(chunks)
        number = 0
        for chunk in chunks:
            number = chunk.number
            if chunk.missing:
                before = self._stream.pending
                self._note(number, f"{chunk.missing} octets are not in the capture, {before} before them unusable")
                self._stream, self._searching = FrameStream(), True
            octets = self._search(number, chunk.octets) if self._searching else chunk.octets
            try:
                for frame in self._stream.receive(octets):
                    yield number, chunk.time, frame
                self._stream.receive(b"")
            except HeaderError as error:
                unread = sum(len(rest.octets) for rest in chunks)
                self._note(number, f"{error}; {unread} octets in later packets unread")
                return
        if self._searching and self._skipped + len(self._lost):
            self._note(number, f"{self._skipped + len(self._lost)} octets without a V2GTP header")
        elif self._stream.pending:
            self._note(number, f"ends {self._stream.pending} octets into a frame")

    def _search(self, number: int, octets: bytes) -> bytes:
        """The octets from the next header on; nothing while there is none."""
        octets = self._lost + octets
        start = _find_header(octets)
        if start is None:
            kept = min(len(octets), HEADER_LENGTH - 1)
            self._skipped += len(octets) - kept
            self._lost = octets[len(octets) - kept :]
            return b""
        if start or self._skipped:
            self._note(number, f"{self._skipped + start} octets before the next V2GTP header skipped")
        self._searching, self._lost, self._skipped = False, b"", 0
        return octets[start:]

    def _note(self, number: int, text: str) -> None:
        self._capture.notes.append(f"packet {number}, {self._where}: {text}")


def _find_header(octets: bytes) -> int | None:
    """Where the first believable V2GTP header starts: version, inverse, a type that has a name, a length in limits."""
    start = octets.find(_SYNC)
    while start >= 0 and len(octets) - start >= HEADER_LENGTH:
        try:
            header = parse_header(octets[start : start + HEADER_LENGTH])
        except HeaderError:
            pass
        else:
            if header.payload_type in KNOWN_TYPES or header.payload_type in MANUFACTURER_TYPES:
                return start
        start = octets.find(_SYNC, start + 1)
    return None
