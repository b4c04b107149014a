"""pcap and pcapng files."""

from __future__ import annotations

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from v2g.capture_file import CaptureError, CaptureFile, Packet, is_capture
from v2g.capture_writer import CaptureWriter

MAGICS = [("<", 0xA1B2C3D4, 10**6), (">", 0xA1B2C3D4, 10**6), ("<", 0xA1B23C4D, 10**9), (">", 0xA1B23C4D, 10**9)]


def pcap(order="<", magic=0xA1B2C3D4, units=10**6, packets=((1.5, b"one", 3), (2.25, b"two!", 9))) -> bytes:
    octets = struct.pack(order + "IHHIIII", magic, 2, 4, 0, 0, 65535, 1)
    for time, data, length in packets:
        octets += struct.pack(order + "IIII", int(time), round(time % 1 * units), len(data), length) + data
    return octets


def block(order: str, kind: int, body: bytes) -> bytes:
    body += b"\0" * (-len(body) % 4)
    return struct.pack(order + "II", kind, len(body) + 12) + body + struct.pack(order + "I", len(body) + 12)


def section(order: str) -> bytes:
    return block(order, 0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1))


def interface(order: str, options: bytes = b"", snap=0) -> bytes:
    return block(order, 1, struct.pack(order + "HHI", 1, 0, snap) + options)


def read(octets: bytes) -> tuple[list[Packet], CaptureFile]:
    file = CaptureFile(octets)
    return list(file.packets()), file


@pytest.mark.parametrize(("order", "magic", "units"), MAGICS)
def test_every_pcap_variant_reads(order, magic, units):
    packets, file = read(pcap(order, magic, units))
    assert packets == [Packet(1, 1.5, 1, b"one"), Packet(2, 2.25, 1, b"two!", cut=5)]
    assert file.notes == []


@pytest.mark.parametrize("order", ["<", ">"])
def test_pcapng_packets_times_and_secrets(order):
    resolution = struct.pack(order + "HHB3x", 9, 1, 9)
    offset = struct.pack(order + "HHq", 14, 8, 1000)
    ticks = 2_500_000_000
    enhanced = struct.pack(order + "IIIII", 0, ticks >> 32, ticks & 0xFFFFFFFF, 5, 7) + b"hello"
    octets = (
        section(order)
        + interface(order, resolution + offset)
        + block(order, 10, struct.pack(order + "II", 0x544C534B, 3) + b"KEY")
        + block(order, 0x0BAD, b"an unknown block")
        + block(order, 6, enhanced)
        + block(order, 2, struct.pack(order + "HHIIII", 0, 0, 0, 0, 2, 2) + b"ok")
    )
    packets, file = read(octets)
    assert packets == [Packet(1, 1002.5, 1, b"hello", cut=2), Packet(2, 1000.0, 1, b"ok")]
    assert file.secrets == b"KEY"


def test_pcapng_default_and_binary_resolution_and_simple_packets():
    octets = section("<") + interface("<", snap=4) + block("<", 3, struct.pack("<I", 6) + b"abcd")
    octets += block("<", 6, struct.pack("<IIIII", 0, 0, 3_000_000, 1, 1) + b"x")
    assert read(octets)[0] == [Packet(1, 0.0, 1, b"abcd", cut=2), Packet(2, 3.0, 1, b"x")]
    octets = section("<") + interface("<", struct.pack("<HHB3x", 9, 1, 0x8A))
    octets += block("<", 6, struct.pack("<IIIII", 0, 0, 1536, 1, 1) + b"x")
    assert read(octets)[0][0].time == 1.5


def test_a_new_section_forgets_the_interfaces_of_the_old_one():
    packet = block(">", 6, struct.pack(">IIIII", 0, 0, 0, 1, 1) + b"x")
    with pytest.raises(CaptureError, match="broken"):
        read(section("<") + interface("<") + section(">") + packet)


@pytest.mark.parametrize("octets", [pcap(), section("<") + interface("<") + CaptureWriter().octets()])
def test_a_cut_file_gives_what_is_whole_and_a_note(octets):
    for end in range(25, len(octets)):
        packets, file = read(octets[:end])
        assert len(packets) <= 2
        assert is_capture(octets[:end])
    packets, file = read(pcap()[:-1])
    assert len(packets) == 1
    assert "cut off: 19 octets" in file.notes[0]


@pytest.mark.parametrize(
    ("octets", "complaint"),
    [
        (b"", "starts with nothing"),
        (b"hello world", "starts with 68656c6c"),
        (pcap()[:20], "pcap header has 24 octets, file has 20"),
        (section("<")[:8] + b"\0" * 20, "byte order magic 00000000"),
        (section("<") + struct.pack("<III", 1, 7, 0), "block at offset 28 says it has 7"),
        (section("<") + block("<", 6, b"short"), "block at offset 28 is broken"),
    ],
)
def test_other_files_are_refused(octets, complaint):
    with pytest.raises(CaptureError, match=complaint):
        read(octets)


@given(st.binary(max_size=100), st.sampled_from([b"", pcap()[:24], section("<"), section(">") + interface(">")]))
def test_any_octets_give_packets_or_a_documented_error(octets, start):
    with contextlib.suppress(CaptureError):
        read(start + octets)
