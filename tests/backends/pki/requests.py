"""Certificate signing requests, made by pyca/cryptography."""

from __future__ import annotations

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID


def make_request(
    key: ec.EllipticCurvePrivateKey | ed448.Ed448PrivateKey,
    common_name: str,
    *,
    organisation: str = "Station Maker",
    country: str = "",
) -> bytes:
    """DER."""
    parts = [
        (NameOID.COMMON_NAME, common_name),
        (NameOID.ORGANIZATION_NAME, organisation),
        (NameOID.COUNTRY_NAME, country),
    ]
    name = x509.Name([x509.NameAttribute(oid, text) for oid, text in parts if text])
    digest = None
    if isinstance(key, ec.EllipticCurvePrivateKey):
        digest = hashes.SHA512() if key.key_size == 521 else hashes.SHA256()
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, digest)
    return request.public_bytes(Encoding.DER)
