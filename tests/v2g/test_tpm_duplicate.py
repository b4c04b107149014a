"""The form of contract keys wrapped for a TPM."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from v2g.tpm_duplicate import SHORTEST_SENSITIVE, TpmDuplicate, TpmDuplicateError, parse


@pytest.mark.parametrize("length", [SHORTEST_SENSITIVE, SHORTEST_SENSITIVE + 64])
def test_the_form_is_kept(length):
    duplicate = TpmDuplicate(b"h" * 64, b"e" * length)
    assert parse(bytes(duplicate)) == duplicate
    assert len(bytes(duplicate)) <= 206


@pytest.mark.parametrize(
    ("octets", "complaint"),
    [
        (b"", "integrity of 0 octets"),
        (b"\0\x20" + bytes(120), "integrity of 32 octets, expected 64"),
        (b"\0\x40" + bytes(205), "207 octets, at most 206"),
        (b"\0\x40" + bytes(100), "36 octets encrypted"),
    ],
)
def test_other_forms_are_refused(octets, complaint):
    with pytest.raises(TpmDuplicateError, match=complaint):
        parse(octets)


@given(st.binary(max_size=220))
def test_any_octets_are_a_duplicate_or_a_documented_error(octets):
    with contextlib.suppress(TpmDuplicateError):
        assert bytes(parse(octets)) == octets
