"""Capture files: pcap and pcapng in, packets out (IETF draft-ietf-opsawg-pcap and draft-ietf-opsawg-pcapng)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from ports.errors import RigError

_PCAP_MAGIC = {  # octets at the start -> byte order, seconds per unit of the fraction
    bytes.fromhex("a1b2c3d4"): (">", 10**6),
    bytes.fromhex("d4c3b2a1"): ("<", 10**6),
    bytes.fromhex("a1b23c4d"): (">", 10**9),
    bytes.fromhex("4d3cb2a1"): ("<", 10**9),
}
_SECTION = bytes.fromhex("0a0d0d0a")
_BYTE_ORDER = {bytes.fromhex("1a2b3c4d"): ">", bytes.fromhex("4d3c2b1a"): "<"}
_INTERFACE, _OLD_PACKET, _SIMPLE_PACKET, _PACKET, _SECRETS = 1, 2, 3, 6, 10
_TSRESOL, _TSOFFSET = 9, 14  # options of an interface
TLS_KEY_LOG = 0x544C534B  # secrets type "TLSK"


class CaptureError(RigError):
    """A file that is no capture; says where reading stopped."""


@dataclass(frozen=True, slots=True)
class Packet:
    """number: from 1, as Wireshark counts. time: seconds since 1970 (0 when the file has none).

    link_type: LINKTYPE_ number. cut: octets that were on the wire but not captured.
    """

    number: int
    time: float
    link_type: int
    data: bytes = field(repr=False)
    cut: int = 0


@dataclass(slots=True)
class CaptureFile:
    """What was read so far: iterate `packets` to read on; `secrets` (TLS key log) and `notes` fill up meanwhile."""

    octets: bytes = field(repr=False)
    secrets: bytes = b""
    notes: list[str] = field(default_factory=list)

    def packets(self) -> Iterator[Packet]:
        """Every packet in file order. A file cut off at its end gives what is whole, and a note."""
        magic = self.octets[:4]
        if magic in _PCAP_MAGIC:
            yield from self._pcap(*_PCAP_MAGIC[magic])
        elif magic == _SECTION:
            yield from self._pcapng()
        else:
            raise CaptureError(f"neither pcap nor pcapng: starts with {magic.hex() or 'nothing'}")

    def _pcap(self, order: str, units: int) -> Iterator[Packet]:
        octets, position, number = self.octets, 24, 0
        if len(octets) < position:
            raise CaptureError(f"pcap header has 24 octets, file has {len(octets)}")
        link_type = struct.unpack_from(order + "I", octets, 20)[0] & 0x0FFFFFFF
        record = struct.Struct(order + "IIII")
        while position < len(octets):
            if position + 16 > len(octets):
                return self._cut_off(position)
            seconds, fraction, length, original = record.unpack_from(octets, position)
            position += 16
            if position + length > len(octets):
                return self._cut_off(position - 16)
            number += 1
            data = octets[position : position + length]
            yield Packet(number, seconds + fraction / units, link_type, data, max(0, original - length))
            position += length

    def _pcapng(self) -> Iterator[Packet]:
        octets, position, number, order = self.octets, 0, 0, "<"
        interfaces: list[_Interface] = []
        while position < len(octets):
            if position + 12 > len(octets):
                return self._cut_off(position)
            if octets[position : position + 4] == _SECTION:
                magic = octets[position + 8 : position + 12]
                if magic not in _BYTE_ORDER:
                    raise CaptureError(f"pcapng section at offset {position} has byte order magic {magic.hex()}")
                order, interfaces = _BYTE_ORDER[magic], []
            kind, length = struct.unpack_from(order + "II", octets, position)
            if length < 12 or length % 4:
                raise CaptureError(f"pcapng block at offset {position} says it has {length} octets")
            if position + length > len(octets):
                return self._cut_off(position)
            body = octets[position + 8 : position + length - 4]
            try:
                packet = self._block(kind, body, order, interfaces, number + 1)
            except (struct.error, IndexError, OverflowError) as error:
                raise CaptureError(f"pcapng block at offset {position} is broken: {error}") from error
            if packet is not None:
                number += 1
                yield packet
            position += length

    def _block(self, kind: int, body: bytes, order: str, interfaces: list[_Interface], number: int) -> Packet | None:
        if kind == _INTERFACE:
            interfaces.append(_Interface.read(body, order))
        elif kind == _SECRETS:
            secrets, length = struct.unpack_from(order + "II", body)
            if secrets == TLS_KEY_LOG:
                self.secrets += body[8 : 8 + length]
        elif kind in (_PACKET, _OLD_PACKET):
            layout = "IIIII" if kind == _PACKET else "HHIIII"
            index, *_, high, low, length, original = struct.unpack_from(order + layout, body)
            interface = interfaces[index]
            data = body[20 : 20 + length]
            return Packet(
                number, interface.time(high << 32 | low), interface.link_type, data, max(0, original - length)
            )
        elif kind == _SIMPLE_PACKET:
            (original,) = struct.unpack_from(order + "I", body)
            interface = interfaces[0]
            length = min(original, interface.snap_length or original, len(body) - 4)
            return Packet(number, 0.0, interface.link_type, body[4 : 4 + length], original - length)
        return None

    def _cut_off(self, position: int) -> None:
        self.notes.append(f"the capture file is cut off: {len(self.octets) - position} octets at its end are unusable")


@dataclass(frozen=True, slots=True)
class _Interface:
    link_type: int
    snap_length: int
    units_per_second: int
    offset: int

    @classmethod
    def read(cls, body: bytes, order: str) -> _Interface:
        link_type, _, snap_length = struct.unpack_from(order + "HHI", body)
        resolution, offset, position = 6, 0, 8
        while position + 4 <= len(body):
            code, length = struct.unpack_from(order + "HH", body, position)
            value = body[position + 4 : position + 4 + length]
            if code == _TSRESOL and value:
                resolution = value[0]
            elif code == _TSOFFSET:
                (offset,) = struct.unpack(order + "q", value)
            position += 4 + length + -length % 4
        units = 2 ** (resolution & 0x7F) if resolution & 0x80 else 10**resolution
        return cls(link_type, snap_length, units, offset)

    def time(self, ticks: int) -> float:
        return self.offset + ticks / self.units_per_second


def is_capture(octets: bytes) -> bool:
    """Whether a file starts like pcap or pcapng."""
    return octets[:4] in _PCAP_MAGIC or octets[:4] == _SECTION
