"""Signature algorithms and the forms of a signature value."""

from __future__ import annotations

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from hypothesis import given
from hypothesis import strategies as st

from ports.errors import LocalError
from v2g.signature_suites import ED448, P256, P521, SUITES, Suite, signer, suite_for

KEYS = {
    P256.name: ec.generate_private_key(ec.SECP256R1()),
    P521.name: ec.generate_private_key(ec.SECP521R1()),
    ED448.name: ed448.Ed448PrivateKey.generate(),
}
ALL = pytest.mark.parametrize("suite", [P256, P521, ED448], ids=lambda s: s.name)


@ALL
def test_what_is_signed_verifies_and_nothing_else(suite: Suite):
    key = KEYS[suite.name]
    value = suite.raw_value(signer(key)(b"octets"))
    assert len(value) == suite.value_length
    suite.check(key.public_key(), value, b"octets")
    for wrong_value, octets in (
        (value, b"other"),
        (bytes([value[0] ^ 1]) + value[1:], b"octets"),
        (bytes(len(value)), b"octets"),
    ):
        with pytest.raises(InvalidSignature):
            suite.check(key.public_key(), wrong_value, octets)


@ALL
def test_a_suite_is_found_by_key_and_by_method(suite: Suite):
    key = KEYS[suite.name]
    assert suite_for(key) is suite_for(key.public_key()) is suite
    assert SUITES[suite.signature_method] is suite


def test_the_uris_are_those_of_the_standards():
    assert P256.signature_method == "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256"
    assert P256.digest_method == "http://www.w3.org/2001/04/xmlenc#sha256"
    assert P521.signature_method == "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha512"
    assert ED448.signature_method == "http://www.w3.org/2021/04/xmldsig-more#eddsa-ed448"
    assert [suite.value_length for suite in (P256, P521, ED448)] == [64, 132, 114]


@given(st.integers(1, 2**256 - 1), st.integers(1, 2**256 - 1))
def test_der_and_raw_values_are_the_same(r: int, s: int):
    raw = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    assert P256.raw_value(encode_dss_signature(r, s)) == raw
    assert P256.raw_value(raw) == raw


def test_der_may_be_as_long_as_the_raw_value():
    r, s = 2**230, 2**230
    assert len(encode_dss_signature(r, s)) == P256.value_length
    assert P256.raw_value(encode_dss_signature(r, s)) == r.to_bytes(32, "big") + s.to_bytes(32, "big")


@pytest.mark.parametrize("answer", [b"", b"\x30\x03\x02\x01", bytes(63), encode_dss_signature(2**256, 1)])
def test_other_answers_of_a_signer_are_refused(answer: bytes):
    with pytest.raises(LocalError, match="no signature of ECDSA P-256"):
        P256.raw_value(answer)


@pytest.mark.parametrize("key", [ec.generate_private_key(ec.SECP256K1()), ed25519.Ed25519PrivateKey.generate()])
def test_other_curves_have_no_suite(key):
    with pytest.raises(LocalError, match="no V2G signature"):
        suite_for(key)
