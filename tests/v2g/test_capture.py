"""From a capture file to V2GTP frames."""

from __future__ import annotations

import contextlib
from ipaddress import IPv6Address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from v2g.capture import Capture, ClearText, Sender, read_capture
from v2g.capture_file import CaptureError
from v2g.capture_writer import CaptureWriter
from v2g.v2gtp import Frame, PayloadType

SDP_REQUEST = bytes.fromhex("01fe9000000000021000")
SDP_RESPONSE = bytes.fromhex("01fe900100000014fe8000000000000000000000000000 5eef9d1000".replace(" ", ""))
ONE, TWO = bytes(Frame(PayloadType.EXI, b"\x80one")), bytes(Frame(PayloadType.DC, b"\x80two" * 1000))


def session(*sent: tuple[bool, bytes], discovery=True) -> Capture:
    writer = CaptureWriter()
    if discovery:
        writer.udp(1.0, True, SDP_REQUEST)
        writer.udp(1.1, False, SDP_RESPONSE)
    for index, (from_vehicle, octets) in enumerate(sent):
        writer.tcp(2.0 + index, from_vehicle, octets)
    writer.close(100.0)
    return read_capture(writer.octets())


def test_a_session_comes_out_in_order_with_its_roles():
    capture = session((True, ONE), (False, TWO), (True, TWO + ONE))
    assert [(f.time, f.stream, f.sender, bytes(f.frame)) for f in capture.frames] == [
        (1.0, None, "vehicle", SDP_REQUEST),
        (1.1, None, "station", SDP_RESPONSE),
        (2.0, 0, "vehicle", ONE),
        (3.0, 0, "station", TWO),
        (4.0, 0, "vehicle", TWO),
        (4.0, 0, "vehicle", ONE),
    ]
    assert capture.notes == []
    assert capture.frames[2].target == (IPv6Address("fe80::5e"), 61341)


def test_frames_split_and_glued_by_tcp():
    capture = session((True, ONE[:3]), (True, ONE[3:] + TWO + ONE[:9]), (True, ONE[9:]))
    assert [bytes(f.frame) for f in capture.frames[2:]] == [ONE, TWO, ONE]
    assert [f.time for f in capture.frames[2:]] == [3.0, 3.0, 4.0]


def test_a_frame_cut_by_the_end_is_noted():
    capture = session((True, ONE + TWO[:100]))
    assert len(capture.frames) == 3
    assert capture.notes == ["packet 6, stream 0, vehicle: ends 100 octets into a frame"]


def test_a_bad_header_ends_a_direction_and_is_noted_with_its_octets():
    capture = session((True, ONE + b"\x02\xfe\x80\x01\0\0\0\1" + ONE), (False, ONE))
    assert [f.sender for f in capture.frames[2:]] == [Sender.VEHICLE, Sender.STATION]
    assert "version 0x02" in capture.notes[0]
    assert "02fe800100000001" in capture.notes[0]


def test_a_bad_header_at_the_start_is_a_bad_header():
    capture = session((True, b"\x01\xfd\x80\x01\0\0\0\1x"), (True, ONE))
    assert len(capture.frames) == 2
    assert "inverse version 0xfd" in capture.notes[0]
    assert capture.notes[0].endswith(f"{len(ONE)} octets in later packets unread")


def test_after_a_loss_the_next_header_is_found():
    writer = CaptureWriter()
    for octets in (ONE, TWO, ONE, TWO):
        writer.tcp(1.0, True, octets)
    packets = writer._blocks
    assert len(packets) == 3 + 1 + 3 + 1 + 3
    del packets[5]  # the second third of a frame
    capture = read_capture(writer.octets())
    assert [bytes(f.frame) for f in capture.frames] == [ONE, ONE, TWO]
    assert "1440 octets are not in the capture, 1440 before them unusable" in capture.notes[0]
    assert "1128 octets before the next V2GTP header skipped" in capture.notes[1]


def test_a_capture_that_starts_inside_a_frame_finds_the_next_one():
    writer = CaptureWriter()
    for octets in (TWO, ONE, TWO):
        writer.tcp(1.0, True, octets)
    writer.tcp(2.0, False, ONE)
    del writer._blocks[:4]
    capture = read_capture(writer.octets())
    frames = [(f.sender, bytes(f.frame)) for f in capture.frames]
    assert frames == [("vehicle", ONE), ("vehicle", TWO), ("station", ONE)]
    assert "2568 octets before the next V2GTP header skipped" in capture.notes[0]


def test_octets_in_which_no_header_is_found_are_counted():
    writer = CaptureWriter()
    writer.tcp(1.0, False, ONE)
    writer.tcp(1.0, True, b"\x80" * 2000)
    del writer._blocks[:3]
    assert read_capture(writer.octets()).notes == ["packet 3, stream 0, station: 2000 octets without a V2GTP header"]


def test_who_is_the_vehicle_without_the_handshake():
    """The announced port is the station's, even when the first message of the capture is the station's."""
    writer = CaptureWriter()
    writer.tcp(1.0, False, ONE)
    writer.tcp(1.1, True, ONE)
    announced = CaptureWriter()
    announced.udp(0.0, False, SDP_RESPONSE)
    announced._blocks += writer._blocks[3:]
    assert [f.sender for f in read_capture(announced.octets()).frames] == ["station", "station", "vehicle"]


def test_other_connections_are_left_out_and_tls_is_noted():
    assert session((True, b"GET / HTTP/1.1\r\n"), discovery=False).frames == []
    capture = session((True, b"\x16\x03\x01\x00\x05hello"))
    assert [c.number for c in capture.tls] == [0]
    assert len(capture.frames) == 2
    assert session((False, b"\x17\x03\x03\x00\x05hello"), discovery=False).tls


def test_decrypted_octets_become_frames():
    capture = session((True, b"\x16\x03\x01\x00\x05hello"))
    vehicle, station = (IPv6Address("fe80::e0"), 49152), (IPv6Address("fe80::5e"), 61341)
    capture.open_tls(
        [
            ClearText(8, 5.0, vehicle, station, ONE[:5]),
            ClearText(9, 6.0, vehicle, station, ONE[5:]),
            ClearText(10, 7.0, station, vehicle, TWO),
        ]
    )
    assert [(f.number, f.sender, bytes(f.frame)) for f in capture.frames[2:]] == [
        (9, "vehicle", ONE),
        (10, "station", TWO),
    ]
    assert capture.tls == []


def test_a_connection_that_nobody_decrypted_stays_closed():
    capture = session((True, b"\x16\x03\x01\x00\x05hello"))
    capture.open_tls([])
    assert [c.number for c in capture.tls] == [0]


def test_a_datagram_that_is_no_sdp_is_noted():
    writer = CaptureWriter()
    writer.udp(1.0, True, b"hello there")
    capture = read_capture(writer.octets())
    assert capture.frames == []
    assert capture.notes[0].startswith("packet 1: no SDP message: V2GTP version 0x68")


def test_two_sessions_in_one_file():
    writer = CaptureWriter()
    for time in (1.0, 2.0):
        writer.tcp(time, True, ONE)
        writer.close(time + 0.5)
    assert [f.stream for f in read_capture(writer.octets()).frames] == [0, 1]


@pytest.mark.parametrize("name", ["audi-dc-iso2", "vw-ac-iso2", "tesla-3-din"])
def test_recorded_sessions_survive_pcapng(v2g_rows, name):
    rows = v2g_rows(name)
    capture = read_capture(written(rows).octets())
    senders = {"ev->secc": "vehicle", "secc->ev": "station"}
    assert [bytes(f.frame).hex() for f in capture.frames] == [row["hex"] for row in rows]
    assert [f.sender for f in capture.frames] == [senders[row["direction"]] for row in rows]
    assert [round(f.time, 6) for f in capture.frames] == [row["t"] for row in rows]
    assert capture.notes == []


def written(rows) -> CaptureWriter:
    writer = CaptureWriter(station_address=IPv6Address(bytes.fromhex(rows[1]["hex"])[8:24]))
    for row in rows:
        send = writer.udp if row["protocol"] == "SDP" else writer.tcp
        send(row["t"], row["direction"].startswith("ev"), bytes.fromhex(row["hex"]))
    return writer


@settings(max_examples=200)
@given(data=st.data())
def test_changed_captures_give_frames_and_notes_or_a_documented_error(data):
    """Flipped bits, lost, repeated and swapped blocks of a capture file."""
    writer = CaptureWriter()
    writer.udp(1.0, True, SDP_REQUEST)
    for from_vehicle in (True, False, True):
        writer.tcp(2.0, from_vehicle, ONE + TWO[:1600])
    blocks = writer._blocks
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, len(blocks)))
        blocks[at : at + 1] = data.draw(st.sampled_from([[], blocks[at : at + 1] * 2, blocks[at::-1]]))
    octets = bytearray(writer.octets())
    for _ in range(data.draw(st.integers(0, 4))):
        bit = data.draw(st.integers(0, len(octets) * 8 - 1))
        octets[bit // 8] ^= 1 << bit % 8
    with contextlib.suppress(CaptureError):
        capture = read_capture(bytes(octets[: data.draw(st.integers(0, len(octets)))]))
        assert all(bytes(frame.frame) for frame in capture.frames)
