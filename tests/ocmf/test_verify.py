"""Signatures of records: valid, invalid or undecidable, each in its own way."""

import base64
import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from ecdsa import SigningKey
from hypothesis import given, settings
from hypothesis import strategies as st

from ocmf import secp192k1
from ocmf.container import FormatError, join, parse
from ocmf.curves import curve_named
from ocmf.der import decode_signature, encode_signature, raw_to_der
from ocmf.keys import key_from_point
from ocmf.payload import write_payload
from ocmf.verify import InvalidRecordError, Reason, UndecidableError, verify_record

CLASSES = [
    ec.SECP192R1,
    ec.SECP256K1,
    ec.SECP256R1,
    ec.BrainpoolP256R1,
    ec.SECP384R1,
    ec.BrainpoolP384R1,
]


def rules(verified):
    return {finding.rule for finding in verified.findings}


@pytest.mark.parametrize("curve", CLASSES)
def test_all_curves_of_cryptography(new_key, payload, curve):
    key = new_key(curve())
    text = key.sign(write_payload(payload()))
    assert verify_record(text, key.public.hex()).key == key.public
    with pytest.raises(InvalidRecordError, match="record T1 does not fit"):
        verify_record(text.replace("129.500", "129.501"), key.public)


def test_secp192k1_which_cryptography_lacks(payload):
    private = SigningKey.from_secret_exponent(0xC0FFEE, curve=secp192k1._curve())
    key = key_from_point(b"\x04" + private.verifying_key.to_string(), curve_named("secp192k1"))
    written = write_payload(payload())
    text = join(written, raw_to_der(private.sign(written, hashfunc=hashlib.sha256, allow_truncate=True)), key.curve)
    assert verify_record(text, key.hex()).key == key
    with pytest.raises(InvalidRecordError):
        verify_record(text.replace("129.500", "129.501"), key)


def test_another_meters_key_is_invalid(record, other_key):
    with pytest.raises(InvalidRecordError):
        verify_record(record(), other_key.public)


def test_no_key_is_undecidable(record):
    for nothing in (None, "", "  ", b""):
        with pytest.raises(UndecidableError) as error:
            verify_record(record(), nothing)
        assert error.value.reason is Reason.NO_KEY


def test_unreadable_key_is_undecidable(record):
    with pytest.raises(UndecidableError) as error:
        verify_record(record(), "no key at all")
    assert error.value.reason is Reason.KEY_UNREADABLE


def test_key_on_another_curve_is_undecidable_never_a_fallback(record, new_key):
    with pytest.raises(UndecidableError) as error:
        verify_record(record(), new_key(ec.SECP256K1()).public)
    assert error.value.reason is Reason.KEY_CURVE


@pytest.mark.parametrize(
    "algorithm", ['"RSA-2048-SHA256"', '"ECDSA-secp256r1-MD5"', '"ECDSA-nistp999-SHA256"', '""', "7", '"ECDSA"']
)
def test_unknown_algorithms_are_undecidable(record, key, algorithm):
    with pytest.raises(UndecidableError) as error:
        verify_record(record().replace('"ECDSA-secp256r1-SHA256"', algorithm), key.public)
    assert error.value.reason is Reason.ALGORITHM


def test_other_formats_are_undecidable(key):
    with pytest.raises(UndecidableError) as error:
        verify_record("OCMF2|{}|{}", key.public)
    assert error.value.reason is Reason.FORMAT


def test_broken_records_are_format_errors(key):
    with pytest.raises(FormatError):
        verify_record("OCMF|{", key.public)


def _with_signature(payload, change):
    """The record with its signature section changed: (r, s, DER) -> text of the section."""

    def make(key):
        text = key.sign(write_payload(payload()))
        head, _, _ = text.rpartition("|")
        der = bytes.fromhex(parse(text).signature["SD"])
        return f"{head}|{change(der, *decode_signature(der))}"

    return make


def _section(octets, algorithm="ECDSA-secp256r1-SHA256"):
    return f'{{"SA":"{algorithm}","SD":"{octets.hex()}"}}'


def _long_zeros(r, s):
    first, second = (b"\x00\x00" + value.to_bytes(32, "big") for value in (r, s))
    content = b"\x02" + bytes([len(first)]) + first + b"\x02" + bytes([len(second)]) + second
    return b"\x30" + bytes([len(content)]) + content


ORDER = curve_named("secp256r1").order


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (lambda der, r, s: _section(r.to_bytes(32, "big") + s.to_bytes(32, "big")), "signature form"),
        (lambda der, r, s: _section(der + b"\x00"), "signature form"),
        (lambda der, r, s: _section(b"\x30\x81" + der[1:]), "signature form"),
        (lambda der, r, s: _section(_long_zeros(r, s)), "signature form"),
        (lambda der, r, s: _section(encode_signature(r, max(s, ORDER - s))), "high s"),
        (lambda der, r, s: _section(der, "ecdsa-SECP256R1-sha256"), "algorithm"),
    ],
)
def test_odd_signatures_are_judged_by_mathematics_and_warned_about(payload, key, change, rule):
    assert rule in rules(verify_record(_with_signature(payload, change)(key), key.public))


@pytest.mark.parametrize(
    "change",
    [
        lambda der, r, s: '{"SA":"ECDSA-secp256r1-SHA256"}',
        lambda der, r, s: '{"SD":17}',
        lambda der, r, s: '{"SD":" "}',
        lambda der, r, s: '{"SD":"xyz"}',
        lambda der, r, s: '{"SE":"base64","SD":"*"}',
        lambda der, r, s: _section(der[:-1]),
        lambda der, r, s: _section(der[:20]),
        lambda der, r, s: _section(encode_signature(0, s)),
        lambda der, r, s: _section(encode_signature(r, 0)),
        lambda der, r, s: _section(encode_signature(r, s + ORDER)),
        lambda der, r, s: _section(encode_signature(s, r)),
        lambda der, r, s: _section(b"\x30\x00"),
    ],
)
def test_broken_signatures_are_invalid(payload, key, change):
    with pytest.raises(InvalidRecordError):
        verify_record(_with_signature(payload, change)(key), key.public)


def test_low_s_of_canonical_der_has_no_finding(payload, key):
    text = _with_signature(payload, lambda der, r, s: _section(encode_signature(r, min(s, ORDER - s))))(key)
    assert verify_record(text, key.public).findings == ()


def test_base64_signature_and_default_algorithm(payload, key):
    def base64_section(der, r, s):
        return f'{{"SE":"base64","SD":"{base64.b64encode(der).decode()}"}}'

    assert verify_record(_with_signature(payload, base64_section)(key), key.public)


def test_carried_key_is_never_used(record, key, other_key):
    carried = f"{record()}|{key.public.hex()}"
    assert "form" in rules(verify_record(carried, key.public))
    with pytest.raises(InvalidRecordError):
        verify_record(carried, other_key.public)
    with pytest.raises(UndecidableError):
        verify_record(carried, None)


@given(st.integers(0, 600), st.integers(1, 255))
@settings(max_examples=200)
def test_no_flipped_byte_of_the_payload_verifies(record, key, at, mask):
    text = bytearray(record().encode())
    start, end = 5, text.rindex(b"|")
    text[start + at % (end - start)] ^= mask
    with pytest.raises((InvalidRecordError, FormatError, UndecidableError)):
        verify_record(bytes(text), key.public)


@given(st.integers(1, 2**400), st.integers(1, 2**400))
def test_der_of_any_numbers_comes_back(r, s):
    assert decode_signature(encode_signature(r, s)) == (r, s)


@given(st.binary(max_size=80))
def test_any_octets_are_der_or_not(octets):
    for text in (octets, b"\x30" + octets, b"\x30\x06\x02" + octets):
        numbers = decode_signature(text)
        assert numbers is None or min(numbers) >= 0
