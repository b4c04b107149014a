"""What a captured packet carries: a TCP segment, a UDP datagram or a HomePlug message.

Reads Ethernet with VLAN tags, Linux "any" captures, raw IP and loopback; IPv4 and IPv6.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address

from ports.errors import PeerError
from v2g import slac
from v2g.capture_file import Packet

Address = IPv4Address | IPv6Address
Endpoint = tuple[Address, int]

_IPV4, _IPV6 = 0x0800, 0x86DD
_VLAN_TAGS = (0x8100, 0x88A8)
_TCP, _UDP = 6, 17
_SKIPPED_IPV6_HEADERS = (0, 43, 60)  # hop-by-hop, routing, destination options
_FRAGMENT = 44
_ETHERNET, _SLL, _SLL2 = 1, 113, 276
_LINK_HEADERS = {_ETHERNET: (12, 14), _SLL: (14, 16), _SLL2: (0, 20)}  # where the EtherType is, where it ends
_RAW_IP = (12, 14, 101, 228, 229)
_LOOPBACK = (0, 108)

SYN, FIN, RST, ACK = 0x02, 0x01, 0x04, 0x10


@dataclass(frozen=True, slots=True)
class Segment:
    """One TCP segment. flags: SYN, FIN, RST, ACK bits."""

    number: int
    time: float
    source: Endpoint
    target: Endpoint
    sequence: int
    flags: int
    payload: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Datagram:
    """One UDP datagram."""

    number: int
    time: float
    source: Endpoint
    target: Endpoint
    payload: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class HomePlug:
    """One HomePlug management message (SLAC and others). source, target: MAC addresses."""

    number: int
    time: float
    source: str
    target: str
    header: slac.MmeHeader


@dataclass(frozen=True, slots=True)
class Fragment:
    """An IP fragment; they are not put together."""

    number: int


Content = Segment | Datagram | HomePlug | Fragment


def content_of(packet: Packet) -> Content | None:
    """What a packet carries; None for everything else (ARP, ICMP, broken or cut packets)."""
    data, kind, start = packet.data, packet.link_type, 0
    try:
        if kind in _LINK_HEADERS:
            type_at, start = _LINK_HEADERS[kind]
            (ethertype,) = struct.unpack_from(">H", data, type_at)
            while ethertype in _VLAN_TAGS:
                (ethertype,) = struct.unpack_from(">H", data, start + 2)
                start += 4
        elif kind in _RAW_IP or kind in _LOOPBACK:
            start = 4 if kind in _LOOPBACK else 0
            ethertype = _IPV6 if data[start] >> 4 == 6 else _IPV4
        else:
            return None
        if ethertype == slac.ETHERTYPE and kind == _ETHERNET:
            return _homeplug(packet, data, start)
        if ethertype == _IPV6:
            return _ipv6(packet, data[start:])
        if ethertype == _IPV4:
            return _ipv4(packet, data[start:])
    except (struct.error, IndexError):
        pass  # shorter than its headers
    return None


def _homeplug(packet: Packet, data: bytes, start: int) -> HomePlug | None:
    try:
        header = slac.parse_header(data[start:])
    except PeerError:
        return None
    return HomePlug(packet.number, packet.time, data[6:12].hex(":"), data[:6].hex(":"), header)


def _ipv4(packet: Packet, data: bytes) -> Content | None:
    header, (length,) = (data[0] & 0x0F) * 4, struct.unpack_from(">H", data, 2)
    (fragment,) = struct.unpack_from(">H", data, 6)
    if fragment & 0x3FFF:
        return Fragment(packet.number)
    body = data[header : length or None]  # length 0: left to the network card (segmentation offload)
    return _transport(packet, data[9], data[12:16], data[16:20], body)


def _ipv6(packet: Packet, data: bytes) -> Content | None:
    length, kind = struct.unpack_from(">HB", data, 4)
    body = data[40 : 40 + length] if length else data[40:]
    while kind in _SKIPPED_IPV6_HEADERS:
        kind, body = body[0], body[(body[1] + 1) * 8 :]
    if kind == _FRAGMENT:
        return Fragment(packet.number)
    return _transport(packet, kind, data[8:24], data[24:40], body)


def _transport(packet: Packet, kind: int, source: bytes, target: bytes, body: bytes) -> Content | None:
    if kind not in (_TCP, _UDP):
        return None
    ports = struct.unpack_from(">HH", body)
    ends = (ip_address(source), ports[0]), (ip_address(target), ports[1])
    if kind == _UDP:
        return Datagram(packet.number, packet.time, *ends, body[8 : struct.unpack_from(">H", body, 4)[0] or None])
    sequence, _, offset, flags = struct.unpack_from(">IIBB", body, 4)
    return Segment(packet.number, packet.time, *ends, sequence, flags, body[(offset >> 4) * 4 :])
