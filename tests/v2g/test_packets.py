"""Packets of every link layer."""

from __future__ import annotations

import struct
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from v2g.capture_file import Packet
from v2g.packets import Datagram, Fragment, HomePlug, Segment, content_of

V6A, V6B = ip_address("fe80::1"), ip_address("fe80::2")
V4A, V4B = ip_address("192.0.2.1"), ip_address("192.0.2.2")
TCP = struct.pack(">HHIIBBHHH", 50000, 61341, 77, 0, 6 << 4, 0x18, 100, 0, 0) + b"\1\1\1\1" + b"payload"
UDP = struct.pack(">HHHH", 1234, 15118, 8 + 4, 0) + b"data"


def ipv6(kind, body, length=None):
    return (
        struct.pack(">IHBB", 6 << 28, len(body) if length is None else length, kind, 64)
        + V6A.packed
        + V6B.packed
        + body
    )


def ipv4(kind, body, flags=0, length=None):
    total = 20 + len(body) if length is None else length
    return struct.pack(">BBHHHBBH", 0x45, 0, total, 0, flags, 64, kind, 0) + V4A.packed + V4B.packed + body


def ethernet(ethertype, body):
    return b"\x02" * 6 + b"\x04" * 6 + ethertype.to_bytes(2, "big") + body


def content(link_type, data):
    return content_of(Packet(1, 2.0, link_type, data))


SEGMENT6 = Segment(1, 2.0, (V6A, 50000), (V6B, 61341), 77, 0x18, b"payload")
SEGMENT4 = Segment(1, 2.0, (V4A, 50000), (V4B, 61341), 77, 0x18, b"payload")


@pytest.mark.parametrize(
    ("link_type", "data", "expected"),
    [
        (1, ethernet(0x86DD, ipv6(6, TCP)), SEGMENT6),
        (1, ethernet(0x86DD, ipv6(6, TCP) + b"\0" * 9), SEGMENT6),  # padding of a short frame
        (1, ethernet(0x0800, ipv4(6, TCP)), SEGMENT4),
        (1, ethernet(0x0800, ipv4(6, TCP, length=0)), SEGMENT4),  # segmentation offload
        (1, ethernet(0x86DD, ipv6(6, TCP, length=0)), SEGMENT6),
        (1, ethernet(0x8100, b"\0\7\x86\xdd" + ipv6(6, TCP)), SEGMENT6),
        (1, ethernet(0x88A8, b"\0\7\x81\0\0\7\x86\xdd" + ipv6(6, TCP)), SEGMENT6),
        (1, ethernet(0x86DD, ipv6(0, bytes((60, 0)) + b"\0" * 6 + bytes((6, 0)) + b"\0" * 6 + TCP)), SEGMENT6),
        (113, b"\0" * 14 + b"\x86\xdd" + ipv6(6, TCP), SEGMENT6),
        (276, b"\x86\xdd" + b"\0" * 18 + ipv6(6, TCP), SEGMENT6),
        (101, ipv6(6, TCP), SEGMENT6),
        (228, ipv4(6, TCP), SEGMENT4),
        (0, b"\x1e\0\0\0" + ipv6(6, TCP), SEGMENT6),
        (1, ethernet(0x86DD, ipv6(17, UDP + b"pad")), Datagram(1, 2.0, (V6A, 1234), (V6B, 15118), b"data")),
        (1, ethernet(0x86DD, ipv6(44, b"\6\0\0\0\0\0\0\0" + TCP)), Fragment(1)),
        (1, ethernet(0x0800, ipv4(6, TCP, flags=0x2000)), Fragment(1)),
        (1, ethernet(0x0800, ipv4(6, TCP, flags=0x4000)), SEGMENT4),  # "don't fragment"
        (1, ethernet(0x0806, b"arp"), None),
        (1, ethernet(0x86DD, ipv6(58, b"icmp")), None),
        (147, b"a link type for users", None),
        (1, b"", None),
    ],
)
def test_link_layers(link_type, data, expected):
    assert content(link_type, data) == expected


def test_homeplug_messages_are_named():
    message = content(1, ethernet(0x88E1, bytes.fromhex("017c600000") + b"body"))
    assert isinstance(message, HomePlug)
    assert (message.source, message.target, message.header.name) == (
        "04:04:04:04:04:04",
        "02:02:02:02:02:02",
        "CM_SLAC_MATCH_REQ",
    )
    assert content(1, ethernet(0x88E1, b"\1")) is None


@given(st.sampled_from([1, 0, 101, 113, 276]), st.binary(max_size=80), st.sampled_from([b"", ethernet(0x86DD, b"")]))
def test_any_octets_are_a_packet_or_nothing(link_type, data, start):
    content(link_type, start + data)


@given(st.integers(0, len(ethernet(0x86DD, ipv6(6, TCP)))))
def test_a_packet_may_be_cut_anywhere(length):
    content(1, ethernet(0x86DD, ipv6(6, TCP))[:length])
