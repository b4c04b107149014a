"""pcapng written for Wireshark. Wireshark's own verdict is in tests/compliance/test_captures_tshark.py."""

from __future__ import annotations

from v2g.capture_file import CaptureFile
from v2g.capture_writer import CaptureWriter
from v2g.packets import ACK, FIN, SYN, Segment, content_of


def segments(writer: CaptureWriter) -> list[Segment]:
    contents = [content_of(packet) for packet in CaptureFile(writer.octets()).packets()]
    return [content for content in contents if isinstance(content, Segment)]


def test_a_connection_opens_carries_and_closes():
    writer = CaptureWriter()
    writer.tcp(1.0, True, b"x" * 3000)
    writer.tcp(2.0, False, b"y")
    writer.close(3.0, from_vehicle=False)
    found = segments(writer)
    assert [s.flags & (SYN | FIN | ACK) for s in found[:3]] == [SYN, SYN | ACK, ACK]
    assert [len(s.payload) for s in found[3:]] == [1440, 1440, 120, 1, 0, 0]
    assert [s.source[1] for s in found[-2:]] == [61341, 49152]
    assert [s.sequence for s in found[3:6]] == [1001, 2441, 3881]


def test_sequence_numbers_follow_the_octets_and_ports_the_connections():
    writer = CaptureWriter()
    for time in (1.0, 2.0):
        writer.tcp(time, True, b"ab")
        writer.close(time)
    assert {s.source[1] for s in segments(writer)} == {49152, 49153, 61341}


def test_closing_what_is_not_open_is_harmless_and_keys_go_first():
    writer = CaptureWriter()
    writer.close(1.0)
    file = CaptureFile(writer.octets(b"CLIENT_RANDOM 00 00\n"))
    assert list(file.packets()) == []
    assert file.secrets == b"CLIENT_RANDOM 00 00\n"
