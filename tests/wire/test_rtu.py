"""RTU frames: the CRC against published vectors and pymodbus, and which octets count as an answer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymodbus.framer import FramerRTU

from ports.errors import LocalError, PeerError
from tests.wire.test_modbus_pdu import reads
from wire import rtu
from wire.modbus_pdu import ReadRegisters, encode_answer, encode_exception, encode_request

REQUEST = ReadRegisters(4, 0x48, 2)
ANSWER = rtu.frame(1, encode_answer(REQUEST, (0x4348, 0x8000)))
devices = st.integers(1, 247)


def test_published_crc_vectors() -> None:
    """CRC-16/MODBUS check value (reveng catalogue), and the example of Modbus over Serial Line V1.02 6.2.2."""
    assert rtu.crc16(b"123456789") == 0x4B37
    assert rtu.frame(2, b"\x07") == bytes.fromhex("0207 4112")


@given(st.binary(max_size=256))
def test_crc_agrees_with_pymodbus(octets: bytes) -> None:
    assert rtu.crc16(octets).to_bytes(2, "little") == FramerRTU.compute_CRC(octets).to_bytes(2, "big")


@given(devices, st.binary(min_size=1, max_size=253))
def test_frames_survive(device: int, pdu: bytes) -> None:
    assert rtu.open_frame(rtu.frame(device, pdu)) == (device, pdu)


@given(devices, st.binary(min_size=1, max_size=253), st.data())
def test_any_flipped_bit_is_found(device: int, pdu: bytes, data: st.DataObject) -> None:
    octets = bytearray(rtu.frame(device, pdu))
    bit = data.draw(st.integers(0, 8 * len(octets) - 1))
    octets[bit // 8] ^= 1 << bit % 8
    with pytest.raises(PeerError, match="CRC"):
        rtu.open_frame(bytes(octets))


@given(st.binary(max_size=300))
def test_any_octets_open_or_raise_peer_error(octets: bytes) -> None:
    try:
        device, pdu = rtu.open_frame(octets)
    except PeerError:
        return
    assert rtu.frame(device, pdu) == octets


def test_impossible_device() -> None:
    with pytest.raises(LocalError):
        rtu.frame(256, b"\x03")


@given(reads, devices, st.binary(max_size=12), st.binary(max_size=12), st.data())
def test_answer_is_found_behind_noise(
    request: ReadRegisters, device: int, before: bytes, after: bytes, data: st.DataObject
) -> None:
    words = st.integers(0, 0xFFFF)
    registers = tuple(data.draw(st.lists(words, min_size=request.count, max_size=request.count)))
    pdu = encode_answer(request, registers)
    found = rtu.find_answer(before + rtu.frame(device, pdu) + after, device, request, final=True)
    assert found is not None
    assert (found.pdu, found.skipped, found.end) == (pdu, len(before), len(before) + rtu.answer_size(request))


@given(st.lists(st.integers(1, len(ANSWER) - 1), unique=True).map(sorted))
def test_answer_in_pieces_comes_out_whole(cuts: list[int]) -> None:
    for cut in cuts:
        assert rtu.find_answer(ANSWER[:cut], 1, REQUEST) is None
    assert rtu.find_answer(ANSWER, 1, REQUEST) is not None


@given(reads, reads, devices, devices, st.data())
def test_an_answer_to_anything_else_is_never_taken(
    asked: ReadRegisters, other: ReadRegisters, device: int, sender: int, data: st.DataObject
) -> None:
    """Rule 1: device, function and byte count must be those of the request."""
    words = st.integers(0, 0xFFFF)
    registers = tuple(data.draw(st.lists(words, min_size=other.count, max_size=other.count)))
    octets = rtu.frame(sender, encode_answer(other, registers))
    found = rtu.find_answer(octets, device, asked, final=True)
    if (sender, other.function, other.count) != (device, asked.function, asked.count):
        assert found is None or found.skipped > 0  # inside the data only by a CRC that fits by chance
    else:
        assert found is not None


@given(st.binary(max_size=60))
def test_any_octets_can_be_diagnosed(octets: bytes) -> None:
    assert rtu.diagnose(octets, 1, REQUEST).text


def test_limited_skip() -> None:
    assert rtu.find_answer(bytes(4) + ANSWER, 1, REQUEST, max_skip=4) is not None
    assert rtu.find_answer(bytes(5) + ANSWER, 1, REQUEST, max_skip=4) is None


def test_exceptions_are_answers_only_with_a_known_code() -> None:
    found = rtu.find_answer(rtu.frame(1, encode_exception(4, 2)), 1, REQUEST)
    assert found is not None
    assert found.is_exception
    assert rtu.find_answer(rtu.frame(1, b"\x84\x55"), 1, REQUEST, final=True) is None
    assert rtu.find_answer(rtu.frame(1, encode_exception(3, 2)), 1, REQUEST, final=True) is None


@pytest.mark.parametrize(
    ("octets", "kind", "text"),
    [
        (b"", "silence", "no answer"),
        (ANSWER[:-1] + b"\x00", "crc", "wrong CRC"),
        (ANSWER[:6], "truncated", "6 of 9 octets"),
        (rtu.frame(2, ANSWER[1:-2]), "device", "device 2 instead of 1"),
        (rtu.frame(1, b"\x03" + ANSWER[2:-2]), "function", "function 3 instead of 4"),
        (rtu.frame(1, b"\x04\x02\x43\x48"), "length", "2 instead of 4"),
        (rtu.frame(1, b"\x84\x55"), "function", "unknown code 85"),
        (rtu.frame(1, b"\x84\x02")[:-1] + b"\x00", "crc", "exception with a wrong CRC"),
        (b"\x60\x18\x00", "noise", "3 octets that are no frame"),
        (bytes(5) + ANSWER, "noise", "behind 5 octets of noise"),
    ],
)
def test_diagnosis(octets: bytes, kind: str, text: str) -> None:
    seen = rtu.diagnose(octets, 1, REQUEST)
    assert seen.kind == kind
    assert text in seen.text


def test_a_shorter_answer_inside_a_growing_one_waits() -> None:
    """The data of a long answer may contain a whole exception frame; it must not be taken while the rest comes."""
    inner = rtu.frame(1, encode_exception(4, 2))
    request = ReadRegisters(4, 0, 4)
    data = inner + bytes(3)
    registers = tuple(int.from_bytes(data[i : i + 2], "big") for i in range(0, 8, 2))
    octets = rtu.frame(1, encode_answer(request, registers))
    assert rtu.find_answer(octets[:9], 1, request) is None
    found = rtu.find_answer(octets, 1, request)
    assert found is not None
    assert found.skipped == 0


def test_requests_and_answers_differ() -> None:
    """A half-duplex echo is no answer, whatever its address."""
    for address in range(0, 0x1000, 0x47):
        echo = rtu.frame(1, encode_request(ReadRegisters(4, address, 2)))
        assert rtu.find_answer(echo, 1, ReadRegisters(4, address, 2), final=True) is None
