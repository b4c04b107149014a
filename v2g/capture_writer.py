"""Writes a session as pcapng that Wireshark opens: Ethernet, IPv6, TCP and UDP made up around the octets.

writer = CaptureWriter()
writer.udp(0.0, True, sdp_request)          # from the vehicle
writer.tcp(0.3, True, v2gtp_frame)
Path("session.pcapng").write_bytes(writer.octets(tls_key_log))
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from ipaddress import IPv6Address

from v2g import sdp
from v2g.capture_file import TLS_KEY_LOG
from v2g.packets import ACK, FIN, SYN

_PSH = 0x08
_MSS = 1440  # 1500 octets of Ethernet without the IPv6 and TCP headers
_VEHICLE, _STATION = IPv6Address("fe80::e0"), IPv6Address("fe80::5e")
_MULTICAST_MAC = bytes.fromhex("333300000001")


@dataclass(slots=True)
class _End:
    address: IPv6Address
    mac: bytes
    port: int
    sequence: int


@dataclass(slots=True)
class CaptureWriter:
    """One vehicle and one station. Times are seconds since 1970 and given in order.

    interface: number of the capture interface; writers of one file share their packets (`beside`).
    """

    vehicle_address: IPv6Address = _VEHICLE
    station_address: IPv6Address = _STATION
    vehicle_port: int = 49152
    station_port: int = 61341
    interface: int = 0
    _blocks: list[bytes] = field(default_factory=list)
    _ends: tuple[_End, _End] | None = None

    def beside(
        self, vehicle: tuple[IPv6Address, int], station: tuple[IPv6Address, int], interface: int = 0
    ) -> CaptureWriter:
        """A writer of other packets into the same file, between other ends or on another interface."""
        return CaptureWriter(vehicle[0], station[0], vehicle[1], station[1], interface, self._blocks)

    def udp(self, time: float, from_vehicle: bool, octets: bytes) -> None:
        """An SDP datagram: the vehicle's goes to the multicast group, the station's to the vehicle."""
        source, target = (
            (self.vehicle_address, sdp.MULTICAST_GROUP)
            if from_vehicle
            else (self.station_address, self.vehicle_address)
        )
        ports = (self.vehicle_port, sdp.UDP_PORT) if from_vehicle else (sdp.UDP_PORT, self.vehicle_port)
        header = struct.pack(">HHHH", *ports, 8 + len(octets), 0)
        self._packet(time, source, target, 17, header, octets, checksum_at=6)

    def tcp(self, time: float, from_vehicle: bool, octets: bytes) -> None:
        """Octets of the connection; it is opened when the first come."""
        self.open(time)
        for start in range(0, len(octets), _MSS):
            self._segment(time, from_vehicle, octets[start : start + _MSS], ACK | _PSH)

    def close(self, time: float, from_vehicle: bool = True) -> None:
        """End the connection, one side first; a new one may follow on the next port."""
        if self._ends is not None:
            for side in (from_vehicle, not from_vehicle):
                self._segment(time, side, b"", ACK | FIN)
            self._ends = None
            self.vehicle_port += 1

    def open(self, time: float) -> None:
        """Open the connection; harmless when it is open."""
        if self._ends is None:
            self._open(time)

    def octets(self, tls_key_log: bytes = b"", interfaces: tuple[str, ...] = ("",)) -> bytes:
        """The file: section, interfaces with their names, the keys if given, packets."""
        section = _block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))
        keys = _block(10, struct.pack("<II", TLS_KEY_LOG, len(tls_key_log)) + tls_key_log) if tls_key_log else b""
        return b"".join((section, *map(_interface, interfaces), keys, *self._blocks))

    def _open(self, time: float) -> None:
        self._ends = (
            _End(self.vehicle_address, b"\x02\0\0\0\0\xe0", self.vehicle_port, 1000),
            _End(self.station_address, b"\x02\0\0\0\0\x5e", self.station_port, 5000),
        )
        for from_vehicle, flags in ((True, SYN), (False, SYN | ACK), (True, ACK)):
            self._segment(time, from_vehicle, b"", flags)

    def _segment(self, time: float, from_vehicle: bool, octets: bytes, flags: int) -> None:
        assert self._ends is not None  # noqa: S101 - for mypy: callers open first
        source, target = self._ends if from_vehicle else self._ends[::-1]
        acknowledged = target.sequence if flags & ACK else 0
        header = struct.pack(
            ">HHIIBBHHH", source.port, target.port, source.sequence, acknowledged, 5 << 4, flags, 65535, 0, 0
        )
        self._packet(time, source.address, target.address, 6, header, octets, checksum_at=16)
        source.sequence += len(octets) + bool(flags & (SYN | FIN))

    def _packet(
        self,
        time: float,
        source: IPv6Address,
        target: IPv6Address,
        kind: int,
        header: bytes,
        octets: bytes,
        checksum_at: int,
    ) -> None:
        body = bytearray(header + octets)
        pseudo = source.packed + target.packed + struct.pack(">II", len(body), kind)
        struct.pack_into(">H", body, checksum_at, _checksum(pseudo + body) or 0xFFFF)
        macs = (_MULTICAST_MAC if target.is_multicast else _mac(target)) + _mac(source)
        ip = struct.pack(">IHBB", 6 << 28, len(body), kind, 64) + source.packed + target.packed
        frame = macs + b"\x86\xdd" + ip + bytes(body)
        ticks = round(time * 1_000_000_000)
        size = len(frame)
        self._blocks.append(
            _block(6, struct.pack("<IIIII", self.interface, ticks >> 32, ticks & 0xFFFFFFFF, size, size) + frame)
        )


def _mac(address: IPv6Address) -> bytes:
    return b"\x02\0\0\0" + address.packed[-2:]


def _checksum(octets: bytes) -> int:
    """RFC 1071."""
    if len(octets) % 2:
        octets += b"\0"
    total: int = sum(struct.unpack(f">{len(octets) // 2}H", octets))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _interface(name: str) -> bytes:
    """Ethernet, times in nanoseconds."""
    text = name.encode()
    options = struct.pack("<HH", 2, len(text)) + text + b"\0" * (-len(text) % 4) if text else b""
    return _block(1, struct.pack("<HHI", 1, 0, 0) + options + struct.pack("<HHB3xHH", 9, 1, 9, 0, 0))


def _block(kind: int, body: bytes) -> bytes:
    body += b"\0" * (-len(body) % 4)
    length = struct.pack("<I", len(body) + 12)
    return struct.pack("<I", kind) + length + body + length
