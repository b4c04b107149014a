from __future__ import annotations

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from backends.pools.certificates import (
    MAX_OCTETS,
    Chain,
    check_self_signature,
    curve_of,
    fingerprint_of,
    key_hash,
    path_to_root,
    read_certificate,
)
from backends.refusals import Refusal, Refused
from tests.backends.chains import FROM, NOW, TO, issue, tree, vehicle
from v2g.certificate_profiles import Role
from v2g.certificates import load

GOOD = issue("Root", 1).der
PCID = "WMIprov0000000001"


def refusal(octets: bytes) -> Refusal:
    with pytest.raises(Refused) as refused:
        read_certificate(octets, "field")
    assert refused.value.field == "field"
    return refused.value.reason


@pytest.mark.parametrize(
    "octets",
    [b"", b"0", GOOD[:-1], GOOD + b"x", b"\x30\x80" * 1000, GOOD.ljust(MAX_OCTETS + 1, b"\0"), b"-----BEGIN CERT"],
)
def test_what_is_no_certificate(octets: bytes) -> None:
    assert refusal(octets) is Refusal.CERTIFICATE_FORMAT


@given(st.binary(max_size=200))
def test_any_octets_are_refused(octets: bytes) -> None:
    assert refusal(octets) is Refusal.CERTIFICATE_FORMAT


@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
def test_a_changed_octet_is_read_or_refused_and_never_a_root(place: int, flip: int) -> None:
    octets = bytearray(GOOD)
    octets[place] ^= flip
    with pytest.raises(Refused):
        check_self_signature(read_certificate(bytes(octets), "field"), "field")


def self_signed(key: ec.EllipticCurvePrivateKey | ed448.Ed448PrivateKey | rsa.RSAPrivateKey, digest: object) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Root")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(FROM).not_valid_after(TO)
    return builder.sign(key, digest).public_bytes(Encoding.DER)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("der", "curve"),
    [
        (self_signed(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256()), "secp256r1"),
        (self_signed(ec.generate_private_key(ec.SECP521R1()), hashes.SHA512()), "secp521r1"),
        (self_signed(ed448.Ed448PrivateKey.generate(), None), "ed448"),
    ],
)
def test_curves_of_both_editions_sign_themselves(der: bytes, curve: str) -> None:
    certificate = read_certificate(der, "field")
    check_self_signature(certificate, "field")
    assert curve_of(certificate) == curve


def test_other_keys_do_not() -> None:
    der = self_signed(rsa.generate_private_key(public_exponent=65537, key_size=2048), hashes.SHA256())
    with pytest.raises(Refused) as refused:
        check_self_signature(load(der), "field")
    assert refused.value.reason is Refusal.CERTIFICATE_PROFILE


def test_the_same_key_in_two_certificates() -> None:
    one, two = load(issue("A", 7).der), load(issue("B", 7).der)
    assert key_hash(one) == key_hash(two)
    assert fingerprint_of(one) != fingerprint_of(two)


def test_an_expired_root_is_named_as_the_reason() -> None:
    early = NOW - timedelta(days=1)
    root = issue("OEM Root CA", 1, valid_to=early)
    sub = issue("Sub", 2, root, path_length=0)
    leaf = issue(PCID, 4, sub, ca=False, component="OEM")
    chain = Chain(load(leaf.der), (load(sub.der),), Role.OEM_PROVISIONING, "field")
    with pytest.raises(Refused, match="OEM Root CA") as refused:
        path_to_root(chain, [load(root.der)], NOW)
    assert refused.value.reason is Refusal.CERTIFICATE_EXPIRED


def test_a_forged_signature_inside_the_chain_is_no_chain() -> None:
    real = tree()
    forged_sub = issue("OEM Sub-CA 2", 3, issue("OEM Sub-CA 1", 8, path_length=1), path_length=0)
    leaf = vehicle(real, PCID)
    chain = Chain(load(leaf), (load(forged_sub.der), load(real.sub_1.der)), Role.OEM_PROVISIONING, "field")
    with pytest.raises(Refused) as refused:
        path_to_root(chain, [load(real.root.der)], NOW)
    assert refused.value.reason is Refusal.CHAIN
