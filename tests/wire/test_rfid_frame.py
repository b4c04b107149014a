"""ASCII frames of UART readers: published vectors, damage, any cut of the stream."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.rfid_frame import MAX_CONTENT, RfidFrames, checksum, frame

UIDS = st.sampled_from((4, 5, 7, 8, 10)).flatmap(lambda size: st.binary(min_size=size, max_size=size))


def read(*pieces: bytes) -> tuple[list[bytes], int]:
    stream = RfidFrames()
    return [uid for piece in pieces for uid in stream.receive(piece)], stream.skipped


def test_a_tag_that_somebody_read_with_an_rdm6300() -> None:
    """forum.arduino.cc/t/rdm6300/251993: octets as they came, and the number printed on the tag, 0006547886."""
    octets = bytes([2, 48, 49, 48, 48, 54, 51, 69, 57, 65, 69, 50, 53, 3])
    ((uid,), skipped) = read(octets)
    assert uid == bytes.fromhex("010063E9AE")
    assert int.from_bytes(uid[1:], "big") == 6547886
    assert (skipped, frame(uid), checksum(uid)) == (0, octets, 0x25)


def test_readers_that_end_the_line_inside_the_frame() -> None:
    """ID-12 and its like send CR LF before ETX."""
    assert read(b"\x02010063E9AE25\r\n\x03") == ([bytes.fromhex("010063E9AE")], 0)


GOOD = frame(b"\x04\xa2\xb3\xc4")
BROKEN = {
    "wrong XOR": GOOD[:-2] + b"0\x03",
    "an odd digit": b"\x0204A2B3C4D\x03",
    "no digits": b"\x0204A2G3C4D1\x03",
    "too short": frame(b"\x01\x02\x03"),
    "too long": frame(bytes(11)),
    "far too long": b"\x02" + b"0" * 200 + b"\x03",
    "cut by the next one": GOOD[:6],
    "ETX lost": GOOD[:-1],
    "only STX": b"\x02\x02\x02",
    "text": b"hello, world\r\n",
}


@pytest.mark.parametrize("what", BROKEN)
def test_after_damage_the_next_frame_is_read(what: str) -> None:
    found, skipped = read(BROKEN[what] + GOOD)
    assert found == [b"\x04\xa2\xb3\xc4"]
    assert skipped == len(BROKEN[what])


@given(st.lists(UIDS, max_size=5), st.data())
def test_frames_in_any_pieces(uids: list[bytes], data: st.DataObject) -> None:
    octets = b"".join(map(frame, uids))
    pieces = []
    while octets:
        size = data.draw(st.integers(1, len(octets)))
        pieces.append(octets[:size])
        octets = octets[size:]
    assert read(*pieces) == (uids, 0)


@given(st.binary(max_size=200), UIDS)
def test_any_octets_end_and_a_frame_after_silence_is_read(noise: bytes, uid: bytes) -> None:
    stream = RfidFrames()
    stream.receive(noise)
    stream.receive(bytes(MAX_CONTENT + 2))  # whatever had begun is over
    assert stream.receive(frame(uid)) == [uid]


@given(st.lists(st.sampled_from([b"\x02", b"\x03", b"0", b"A", b"\r\n", GOOD]), max_size=60))
def test_octets_are_read_or_skipped_or_held_and_never_kept_for_long(pieces: list[bytes]) -> None:
    stream, given_ = RfidFrames(), 0
    found: list[bytes] = []
    for piece in pieces:
        found += stream.receive(piece)
        given_ += len(piece)
        held = given_ - stream.skipped - sum(len(frame(uid)) for uid in found)
        assert 0 <= held <= MAX_CONTENT + 2
        assert all(checksum(uid) in range(256) for uid in found)
