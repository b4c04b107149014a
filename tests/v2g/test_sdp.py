"""SDP messages."""

from __future__ import annotations

import contextlib
from ipaddress import IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from v2g.sdp import SdpError, SdpRequest, SdpResponse, Security, Transport, WirelessSdp, parse, response_problems
from v2g.v2gtp import Frame, HeaderError, IncompleteFrameError, PayloadType

REQUEST = bytes.fromhex("01fe9000000000021000")  # a car, DIN
RESPONSE = bytes.fromhex("01fe900100000014fe800000000000008dd4cefb813a7c37ef9d1000")  # a station, -2


def test_a_car_asks_without_tls():
    request = parse(REQUEST)
    assert request == SdpRequest(Security.NONE, Transport.TCP)
    assert bytes(request.frame()) == REQUEST


def test_a_station_answers():
    response = parse(RESPONSE)
    assert response == SdpResponse(IPv6Address("fe80::8dd4:cefb:813a:7c37"), 61341, Security.NONE, Transport.TCP)
    assert bytes(response.frame()) == RESPONSE


def test_every_captured_sdp_message_reads_and_writes(v2g_rows):
    seen = 0
    for name in ("audi-dc-iso2", "vw-ac-iso2", "tesla-3-din"):
        for row in v2g_rows(name):
            if row["protocol"] == "SDP":
                octets = bytes.fromhex(row["hex"])
                assert bytes(parse(octets).frame()) == octets
                seen += 1
    assert seen == 6


def test_less_security_than_asked_and_other_oddities_are_named():
    asked = SdpRequest(Security.TLS)
    good = SdpResponse(IPv6Address("fe80::1"), 50000)
    assert response_problems(asked, good) == []
    bad = SdpResponse(IPv6Address("2001:db8::1"), 80, Security.NONE, Transport.UDP)
    assert response_problems(asked, bad) == [
        "asked for security 0x00, offered 0x10",
        "transport 0x10 is not TCP",
        "port 80 is outside 49152-65535",
        "address 2001:db8::1 is not link-local",
    ]
    assert response_problems(asked, SdpResponse(IPv6Address("fe80::1"), 50000, 0x42)) == ["security 0x42 is reserved"]


@pytest.mark.parametrize("kind", [PayloadType.SDP_REQUEST_WIRELESS, PayloadType.SDP_RESPONSE_WIRELESS])
def test_wireless_messages_keep_their_octets(kind: PayloadType):
    frame = Frame(kind, b"\x00\x00\x01\x02\x03")
    message = parse(bytes(frame))
    assert message == WirelessSdp(kind, frame.payload)
    assert message.frame() == frame


@pytest.mark.parametrize(
    ("frame", "complaint"),
    [
        (Frame(PayloadType.SDP_REQUEST, b"\0"), "SDP_REQUEST has 2 octets, got 1"),
        (Frame(PayloadType.SDP_RESPONSE, b"\0" * 21), "SDP_RESPONSE has 20 octets, got 21"),
        (Frame(PayloadType.EXI, b"\0\0"), "not SDP: payload type EXI"),
    ],
)
def test_other_messages_are_refused(frame: Frame, complaint: str):
    with pytest.raises(SdpError, match=complaint) as raised:
        parse(bytes(frame))
    assert raised.value.received == bytes(frame)


@given(st.binary(max_size=40))
def test_any_datagram_gives_a_message_or_a_documented_error(octets: bytes):
    with contextlib.suppress(SdpError, HeaderError, IncompleteFrameError):
        parse(octets)
