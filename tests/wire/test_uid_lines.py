"""Cards as lines of text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.uid_lines import MAX_LINE, UidLines

UID = bytes.fromhex("04A2B3C4D5E680")


def read(*pieces: bytes) -> tuple[list[bytes], int]:
    stream = UidLines()
    return [uid for piece in pieces for uid in stream.receive(piece)], stream.skipped


@pytest.mark.parametrize(
    "line",
    [
        b"04A2B3C4D5E680\r\n",
        b"04a2b3c4d5e680\n",
        b"04 A2 B3 C4 D5 E6 80\r",
        b"04:A2:B3:C4:D5:E6:80\n",
        b"04-a2-b3-c4-d5-e6-80\n",
        b" UID: 04 A2 B3 C4 D5 E6 80 \r\n",
        b"UID=04A2B3C4D5E680\n",
        b"\r\n\r\n04A2B3C4D5E680\r\n\r\n",
    ],
)
def test_what_readers_write(line: bytes) -> None:
    assert read(line) == ([UID], 0)
    assert read(*(bytes([one]) for one in line)) == ([UID], 0)


@pytest.mark.parametrize(
    "line",
    [
        b"04A2B3\n",
        b"04A2B3C\n",
        b"04A2B3C4D5E680A1B2C3D4\n",
        b"hello\n",
        b"04A2G3C4\n",
        b"\xff\xfe\x00\n",
        b"9" * 200 + b"\n",
    ],
)
def test_no_uid(line: bytes) -> None:
    found, skipped = read(line + b"04A2B3C4\n")
    assert found == [bytes.fromhex("04A2B3C4")]
    assert skipped == len(line) - 1


def test_the_end_of_a_line_that_is_too_long_is_no_uid() -> None:
    assert read(b"x" * (MAX_LINE + 1), b"04A2B3C4\n", b"DEADBEEF\n")[0] == [bytes.fromhex("DEADBEEF")]


def test_half_a_line_is_no_uid() -> None:
    assert read(b"04A2B3C4D5E680") == ([], 0)


@given(st.binary(max_size=300), st.integers(1, 20))
def test_any_octets_end_and_the_next_line_is_read(noise: bytes, size: int) -> None:
    stream = UidLines()
    for at in range(0, len(noise), size):
        assert all(4 <= len(uid) <= 10 for uid in stream.receive(noise[at : at + size]))
    stream.receive(b"\n")
    assert stream.receive(b"04A2B3C4\r\n") == [bytes.fromhex("04A2B3C4")]
