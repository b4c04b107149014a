"""Every encoding of a public key, and which key was valid when."""

import base64
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key
from hypothesis import given
from hypothesis import strategies as st

from ocmf.curves import CURVES, curve_named
from ocmf.keys import KeyEntry, KeyFormatError, PublicKey, decode_public_key, key_from_point, keys_as_of
from ports.errors import LocalError

CLASSES = [ec.SECP192R1, ec.SECP256K1, ec.SECP256R1, ec.BrainpoolP256R1, ec.SECP384R1, ec.BrainpoolP384R1]

ENCODINGS = {
    "hex": lambda key: key.hex(),
    "lower case hex": lambda key: key.hex().lower(),
    "hex in groups": lambda key: " ".join(key.hex()[at : at + 4] for at in range(0, len(key.hex()), 4)),
    "0x": lambda key: "0x" + key.hex(),
    "colons": lambda key: key.spki.hex(":"),
    "DER": lambda key: key.spki,
    "hex octets": lambda key: key.hex().encode(),
    "base64": lambda key: key.base64(),
    "base64 in lines": lambda key: base64.encodebytes(key.spki).decode(),
    "PEM": lambda key: key.pem(),
    "PEM octets": lambda key: key.pem().encode(),
    "OCPP": lambda key: key.oca(),
    "OCPP, not wrapped": lambda key: "oca:base16:asn1:" + key.hex(),
    "OCPP, printed": lambda key: base64.b64encode(("oca:base16:asn1:0x" + key.spki.hex(" ", 2)).encode()).decode(),
    "OCPP, bare hex": lambda key: base64.b64encode(key.hex().encode()).decode(),
    "base32": lambda key: base64.b32encode(key.spki).decode().rstrip("="),
    "point": lambda key: key.point.hex(),
    "point without 04": lambda key: key.point[1:].hex(),
    "point base64": lambda key: base64.b64encode(key.point).decode(),
}


@pytest.mark.parametrize("curve", CLASSES)
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_encoding_on_every_curve(new_key, curve, encoding):
    key = new_key(curve()).public
    assert decode_public_key(ENCODINGS[encoding](key), key.curve) == key


def test_exports_are_those_of_cryptography(key):
    public = key.private.public_key()
    assert key.public.spki == public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert key.public.pem().encode() == public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    assert key.public.point == public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    assert load_pem_public_key(key.public.pem().encode()) == public
    assert key.public.fingerprint == key.public.fingerprint.lower()


def test_a_compressed_point_inside_of_der_is_read(key):
    point = key.private.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    head = key.public.spki[: -len(key.public.point)]
    # the same SubjectPublicKeyInfo with a point of 33 octets: outer and bit string lengths shrink by 32
    spki = bytes([head[0], head[1] - 32]) + head[2:-2] + bytes([head[-2] - 32]) + head[-1:] + point
    assert decode_public_key(spki) == key.public


def test_a_bare_point_needs_its_curve(key):
    with pytest.raises(KeyFormatError, match="does not say its curve"):
        decode_public_key(key.public.point.hex())


@pytest.mark.parametrize("text", ["", "zz", "00", "MA==", "-----BEGIN PUBLIC KEY-----\n\n-----END PUBLIC KEY-----"])
def test_rubbish_is_refused(text):
    with pytest.raises(KeyFormatError):
        decode_public_key(text)


def test_other_keys_are_refused(key):
    numbers = rsa.generate_private_key(65537, 2048).public_key()
    with pytest.raises(KeyFormatError, match="no OCMF curve"):
        decode_public_key(numbers.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    with pytest.raises(KeyFormatError, match="more than"):
        decode_public_key("00" * 5000)
    broken = bytearray(key.public.spki)
    broken[-1] ^= 1
    with pytest.raises(KeyFormatError, match="not on secp256r1"):
        decode_public_key(bytes(broken))
    with pytest.raises(KeyFormatError, match="uncompressed"):
        key_from_point(b"\x04\x00", curve_named("secp192k1"))
    with pytest.raises(KeyFormatError, match="not on secp192k1"):
        key_from_point(b"\x04" + bytes(48), curve_named("secp192k1"))


def test_prefixes_of_all_curves_are_those_of_cryptography(new_key):
    for curve in (*CLASSES, ec.SECP521R1):
        assert isinstance(new_key(curve()).public, PublicKey)
    assert {curve().name for curve in CLASSES} | {"secp192k1"} == {c.name for c in CURVES.values() if c.in_table}


@given(st.text(max_size=200) | st.binary(max_size=200))
def test_any_text_is_a_key_or_refused(text):
    with pytest.raises(KeyFormatError):
        decode_public_key(text)


@pytest.mark.parametrize("name", ["secp256r1", "SECP256R1", "prime256v1", "P256"])
def test_names_of_curves(name):
    assert curve_named(name).name == "secp256r1"


def test_history_finds_the_key_of_that_time(key, other_key):
    swap = datetime(2026, 3, 1, tzinfo=UTC)
    old = KeyEntry(
        key=key.public, valid_from=datetime(2025, 1, 1, tzinfo=UTC), valid_to=swap, meter="M1", evse="DE*ABC*E1"
    )
    new = KeyEntry(key=other_key.public, valid_from=swap, meter="M2", evse="DE*ABC*E1")
    history = (old, new)
    before, second = swap - timedelta(seconds=1), timedelta(seconds=1)
    assert keys_as_of(history, before, evse="DE*ABC*E1") == (key.public,)
    assert keys_as_of(history, swap, evse="DE*ABC*E1") == (other_key.public,)
    assert keys_as_of(history, swap, meter="M1") == ()
    assert keys_as_of(history, before, meter="M2", evse="DE*ABC*E1") == ()
    assert keys_as_of(history, old.valid_from - second, meter="M1") == ()
    assert keys_as_of(history, swap) == ()
    assert keys_as_of((new, new), swap, meter="M2") == (other_key.public,)


def test_history_entries_are_checked(key):
    with pytest.raises(LocalError, match="none of them is named"):
        KeyEntry(key=key.public, valid_from=datetime(2026, 1, 1, tzinfo=UTC))
    with pytest.raises(LocalError, match="zone"):
        KeyEntry(key=key.public, valid_from=datetime(2026, 1, 1), meter="M1")  # noqa: DTZ001 - the point
