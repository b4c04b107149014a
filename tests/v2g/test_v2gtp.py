"""V2GTP: headers and reassembly."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ports.errors import LocalError
from v2g.v2gtp import (
    Frame,
    FrameStream,
    HeaderError,
    IncompleteFrameError,
    PayloadType,
    SkippedFrame,
    parse_frame,
    parse_header,
    payload_type_name,
)

SAP_RES = bytes.fromhex("01fe80010000000480400040")  # supportedAppProtocolRes, OK, SchemaID 1


def frames() -> st.SearchStrategy[Frame]:
    return st.builds(Frame, st.sampled_from(list(PayloadType)).map(int), st.binary(max_size=40))


def test_a_published_frame_reads_and_writes():
    frame = parse_frame(SAP_RES)
    assert frame == Frame(PayloadType.EXI, bytes.fromhex("80400040"))
    assert bytes(frame) == SAP_RES


@given(st.lists(frames(), max_size=6), st.lists(st.integers(1, 30), max_size=40))
def test_any_split_gives_the_same_frames(sent: list[Frame], cuts: list[int]):
    octets = b"".join(map(bytes, sent))
    stream, got = FrameStream(), []
    for size in [*cuts, len(octets)]:
        got += stream.receive(octets[:size])
        octets = octets[size:]
    stream.end()
    assert got == sent
    assert stream.pending == 0


def test_one_octet_at_a_time():
    stream = FrameStream()
    got = [frame for octet in SAP_RES * 3 for frame in stream.receive(bytes((octet,)))]
    assert [bytes(frame) for frame in got] == [SAP_RES] * 3


def test_an_unknown_type_is_skipped_by_its_length_and_reported():
    odd = bytes(Frame(0x1234, b"odd"))
    got = FrameStream().receive(SAP_RES + odd + bytes(Frame(0xA001, b"")) + SAP_RES)
    assert [type(frame) for frame in got] == [Frame, SkippedFrame, SkippedFrame, Frame]
    assert bytes(got[1]) == odd
    assert payload_type_name(got[1].payload_type) == "unknown 0x1234"
    assert payload_type_name(got[2].payload_type) == "manufacturer 0xa001"


@pytest.mark.parametrize(
    ("header", "complaint"),
    [
        ("02fe800100000004", "version 0x02, expected 0x01"),
        ("01ff800100000004", "inverse version 0xff, expected 0xfe"),
        ("01fe800100010001", "payload of 65537 octets, limit is 65536"),
        ("01fe8001ffffffff", "limit is 65536"),
    ],
)
def test_a_bad_header_is_reported_with_its_octets(header: str, complaint: str):
    with pytest.raises(HeaderError, match=complaint) as raised:
        FrameStream().receive(bytes.fromhex(header))
    assert raised.value.received == bytes.fromhex(header)


def test_frames_before_a_bad_header_are_not_lost_and_the_stream_stays_ended():
    stream = FrameStream()
    assert len(stream.receive(SAP_RES + b"\x00" * 8 + SAP_RES)) == 1
    for call in (lambda: stream.receive(SAP_RES), stream.end):
        with pytest.raises(HeaderError):
            call()


def test_the_limit_can_be_set():
    assert FrameStream(length_limit=4).receive(SAP_RES)
    with pytest.raises(HeaderError, match="limit is 3"):
        FrameStream(length_limit=3).receive(SAP_RES)


def test_a_stream_that_ends_inside_a_frame_says_so():
    stream = FrameStream()
    assert stream.receive(SAP_RES[:-1]) == []
    assert stream.pending == len(SAP_RES) - 1
    with pytest.raises(IncompleteFrameError, match="11 octets into"):
        stream.end()


@pytest.mark.parametrize("octets", [SAP_RES[:-1], SAP_RES + b"\0"])
def test_a_datagram_holds_exactly_one_frame(octets: bytes):
    with pytest.raises(IncompleteFrameError):
        parse_frame(octets)


def test_a_short_header_is_reported():
    with pytest.raises(HeaderError, match="got 3: 01fe80"):
        parse_header(bytes.fromhex("01fe80"))


@pytest.mark.parametrize("payload_type", [-1, 0x10000])
def test_a_payload_type_outside_16_bits_is_our_fault(payload_type: int):
    with pytest.raises(LocalError):
        bytes(Frame(payload_type, b""))


@given(st.binary(max_size=64))
def test_any_octets_give_frames_or_a_documented_error(octets: bytes):
    stream = FrameStream(length_limit=32)
    try:
        stream.receive(octets)
        stream.end()
    except (HeaderError, IncompleteFrameError):
        pass


def test_captured_frames_survive_being_glued(v2g_rows):
    octets = [bytes.fromhex(row["hex"]) for row in v2g_rows("audi-dc-iso2") if row["protocol"] != "SDP"]
    stream, got = FrameStream(), []
    glued = b"".join(octets)
    for start in range(0, len(glued), 1460):
        got += stream.receive(glued[start : start + 1460])
    stream.end()
    assert [bytes(frame) for frame in got] == octets
