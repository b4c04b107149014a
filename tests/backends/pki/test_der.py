from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.pki.der import check_der
from ports.errors import PeerError


@pytest.mark.parametrize("octets", ["0500", "3000", "30030201ff", "3006 3004 3002 0500", "3081020500"])
def test_elements_that_fit(octets: str) -> None:
    check_der(bytes.fromhex(octets), "it", 100)


@pytest.mark.parametrize(
    ("octets", "complaint"),
    [
        ("", "0 octets"),
        ("30", "length"),
        ("3080 0000", "length"),
        ("300502", "beyond"),
        ("3003 0205 00", "beyond"),
        ("3084 00000001 00", "definite"),
        ("0500 00", "behind its end"),
        ("1f8101 00", "tag of many octets"),
        ("3081", "length"),
        ("05" * 101, "101 octets"),
    ],
)
def test_what_is_refused(octets: str, complaint: str) -> None:
    with pytest.raises(PeerError, match=f"it: .*{complaint}"):
        check_der(bytes.fromhex(octets), "it", 100)


def test_depth_and_number_are_bounded() -> None:
    nested = b""
    for _ in range(25):
        nested = b"\x30" + bytes([len(nested)]) + nested
    with pytest.raises(PeerError, match="deep"):
        check_der(nested, "it", 1000)
    many = b"\x05\x00" * 4000
    with pytest.raises(PeerError, match="more than"):
        check_der(b"\x30\x82" + len(many).to_bytes(2, "big") + many, "it", 10_000)


@given(st.binary(max_size=200))
def test_any_octets_pass_or_are_refused(octets: bytes) -> None:
    with contextlib.suppress(PeerError):
        check_der(octets, "it", 200)
