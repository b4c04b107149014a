"""V2GTP: the eight octets before every message on the cable (ISO 15118-2 and -20 7.8.3, DIN SPEC 70121 8.7.3).

    01 FE | payload type (2) | payload length (4) | payload         all big endian

TCP and TLS hand over octets, not messages: one message may come in pieces, two may come at once.
`FrameStream` puts them together again.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from enum import IntEnum

from ports.errors import LocalError, PeerError

VERSION = 0x01
INVERSE_VERSION = 0xFE
HEADER_LENGTH = 8
DEFAULT_LENGTH_LIMIT = 64 * 1024  # certificate messages reach 6 kB in -2 and some 30 kB in -20
_HEADER = struct.Struct(">BBHI")


class PayloadType(IntEnum):
    """What a payload is (ISO 15118-2 table 10, ISO 15118-20 table 12).

    `EXI` carries the protocol handshake and all of DIN and -2: the state of the session tells which, not the payload.
    """

    EXI = 0x8001
    MAINSTREAM = 0x8002
    AC = 0x8003
    DC = 0x8004
    ACDP = 0x8005
    WPT = 0x8006
    SCHEDULE_RENEGOTIATION = 0x8101
    METERING_CONFIRMATION = 0x8102
    ACDP_SYSTEM_STATUS = 0x8103
    PARKING_STATUS = 0x8104
    SDP_REQUEST = 0x9000
    SDP_RESPONSE = 0x9001
    SDP_REQUEST_WIRELESS = 0x9002
    SDP_RESPONSE_WIRELESS = 0x9003


MANUFACTURER_TYPES = range(0xA000, 0x10000)  # ISO 15118-2 table 10: manufacturer specific use
KNOWN_TYPES = frozenset(map(int, PayloadType))


def payload_type_name(payload_type: int) -> str:
    """Name for people: "DC", "manufacturer 0xa001", "unknown 0x1234"."""
    if payload_type in KNOWN_TYPES:
        return PayloadType(payload_type).name
    return f"{'manufacturer' if payload_type in MANUFACTURER_TYPES else 'unknown'} {payload_type:#06x}"


class HeaderError(PeerError):
    """A V2GTP header that cannot be one; the octets are in `received`. The connection has to end."""


class IncompleteFrameError(PeerError):
    """The stream ended inside a frame; what was there is in `received`."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One message: payload type (16 bits) and payload."""

    payload_type: int
    payload: bytes = field(repr=False)

    def __bytes__(self) -> bytes:
        """Header and payload. Raises LocalError when a number does not fit its field."""
        try:
            return _HEADER.pack(VERSION, INVERSE_VERSION, self.payload_type, len(self.payload)) + self.payload
        except struct.error as error:
            raise LocalError(f"V2GTP header: {error} (payload type {self.payload_type:#x})") from error


@dataclass(frozen=True, slots=True)
class SkippedFrame(Frame):
    """A frame whose payload type the standards do not know: to be reported, never to be answered."""


@dataclass(frozen=True, slots=True)
class Header:
    """A checked header: payload type and payload length in octets."""

    payload_type: int
    length: int


def parse_header(octets: bytes, length_limit: int = DEFAULT_LENGTH_LIMIT) -> Header:
    """Check and read the first eight octets. Raises HeaderError, which says what is wrong and carries them."""
    head = bytes(octets[:HEADER_LENGTH])
    if len(head) < HEADER_LENGTH:
        raise HeaderError(f"V2GTP header has 8 octets, got {len(head)}: {head.hex()}", head)
    version, inverse, payload_type, length = _HEADER.unpack(head)
    if version != VERSION:
        raise HeaderError(f"V2GTP version {version:#04x}, expected 0x01: header {head.hex()}", head)
    if inverse != INVERSE_VERSION:
        raise HeaderError(f"V2GTP inverse version {inverse:#04x}, expected 0xfe: header {head.hex()}", head)
    if length > length_limit:
        raise HeaderError(f"V2GTP payload of {length} octets, limit is {length_limit}: header {head.hex()}", head)
    return Header(payload_type, length)


def parse_frame(octets: bytes, length_limit: int = DEFAULT_LENGTH_LIMIT) -> Frame:
    """One whole frame, as in a datagram. Raises HeaderError, IncompleteFrameError (octets missing or left over)."""
    header = parse_header(octets, length_limit)
    payload = bytes(octets[HEADER_LENGTH:])
    if len(payload) != header.length:
        raise IncompleteFrameError(
            f"V2GTP header announces {header.length} octets, {len(payload)} follow", bytes(octets)
        )
    return Frame(header.payload_type, payload)


class FrameStream:
    """Octets of one direction of one connection in, frames out.

    length_limit: largest payload accepted, in octets.
    """

    def __init__(self, length_limit: int = DEFAULT_LENGTH_LIMIT) -> None:
        self.length_limit = length_limit
        self._buffer = bytearray()
        self._bad: HeaderError | None = None

    @property
    def pending(self) -> int:
        """Octets received that are not yet a whole frame."""
        return len(self._buffer)

    def receive(self, octets: bytes) -> list[Frame]:
        """Add what came; return the frames that are now whole, in order; unknown types as SkippedFrame.

        A bad header ends the stream. Frames before it are still returned; HeaderError is raised by this call when
        there are none, by the next call (also of `end`) otherwise.
        """
        if self._bad is not None:
            raise self._bad
        self._buffer += octets
        frames: list[Frame] = []
        start = 0
        try:
            while (frame := self._frame_at(start)) is not None:
                frames.append(frame)
                start += HEADER_LENGTH + len(frame.payload)
        except HeaderError as error:
            self._bad = error
            if not frames:
                raise
        finally:
            del self._buffer[:start]
        return frames

    def end(self) -> None:
        """The stream has ended. Raises IncompleteFrameError when it did so inside a frame."""
        if self._bad is not None:
            raise self._bad
        if self._buffer:
            left = bytes(self._buffer)
            raise IncompleteFrameError(f"stream ended {len(left)} octets into a V2GTP frame: {left[:16].hex()}", left)

    def _frame_at(self, start: int) -> Frame | None:
        if len(self._buffer) - start < HEADER_LENGTH:
            return None
        body = start + HEADER_LENGTH
        header = parse_header(bytes(self._buffer[start:body]), self.length_limit)
        if len(self._buffer) - body < header.length:
            return None
        kind = Frame if header.payload_type in KNOWN_TYPES else SkippedFrame
        return kind(header.payload_type, bytes(self._buffer[body : body + header.length]))
