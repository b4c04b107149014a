"""7 bits with parity over 8N1."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from meters.seven_bits import add_parity, check_parity


@settings(deadline=None)  # the machine may be busy
@given(st.binary(max_size=300), st.sampled_from("EO"))
def test_what_was_added_checks(octets: bytes, parity: str) -> None:
    sent = add_parity(octets, parity)
    assert all(octet.bit_count() % 2 == (parity == "O") for octet in sent)
    assert check_parity(sent, parity) == (bytes(octet & 0x7F for octet in octets), 0)


@settings(deadline=None)  # the machine may be busy
@given(st.binary(min_size=1, max_size=50), st.integers(0, 7), st.sampled_from("EO"))
def test_one_flipped_bit_is_found(octets: bytes, bit: int, parity: str) -> None:
    sent = bytearray(add_parity(octets, parity))
    sent[-1] ^= 1 << bit
    good, errors = check_parity(bytes(sent), parity)
    assert errors == 1
    assert good[-1] == 0


def test_the_sign_on_of_d0_meters() -> None:
    assert add_parity(b"/?!", "E").hex() == "af3f21"
