from __future__ import annotations

import base64
import contextlib

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from backends.pki.csr import RequestRefused, read_request
from tests.backends.pki.requests import make_request

NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x")])
GOOD = make_request(ec.generate_private_key(ec.SECP256R1()), "DEPLBC00000001")


@pytest.mark.parametrize("key", [ec.generate_private_key(ec.SECP521R1()), ed448.Ed448PrivateKey.generate()])
def test_der_base64_and_pem(key: ec.EllipticCurvePrivateKey | ed448.Ed448PrivateKey) -> None:
    der = make_request(key, "name", country="AT")
    pem = x509.load_der_x509_csr(der).public_bytes(Encoding.PEM)
    for form in (der, base64.b64encode(der), base64.encodebytes(der), pem, pem.replace(b"\n", b"\r\n")):
        request = read_request(form)
        assert request.attribute("common_name") == "name"
        assert request.attribute("country_name") == "AT"
        assert request.attribute("domain_component") == ""
        assert request.algorithm.name in {"secp521r1", "ed448"}


def test_a_request_that_its_sender_has_no_key_for_is_refused() -> None:
    with pytest.raises(RequestRefused, match="does not verify"):
        read_request(GOOD[:-1] + bytes([GOOD[-1] ^ 1]))


def test_keys_and_signatures_of_other_kinds() -> None:
    key = rsa.generate_private_key(65537, 2048)
    der = x509.CertificateSigningRequestBuilder().subject_name(NAME).sign(key, hashes.SHA256())
    with pytest.raises(RequestRefused, match="key is rsa"):
        read_request(der.public_bytes(Encoding.DER))
    weak = x509.CertificateSigningRequestBuilder().subject_name(NAME)
    der = weak.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA224())
    with pytest.raises(RequestRefused, match="signed with sha224_ecdsa"):
        read_request(der.public_bytes(Encoding.DER))


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"   ",
        b"0",
        b"hello",
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
        b"0\x00",
        bytes(20_000),
    ],
)
def test_what_is_no_request(octets: bytes) -> None:
    with pytest.raises(RequestRefused):
        read_request(octets)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_any_damage_is_refused_or_read(data: st.DataObject) -> None:
    octets = bytearray(GOOD)
    for _ in range(data.draw(st.integers(1, 4))):
        octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(RequestRefused):
        read_request(bytes(octets))
