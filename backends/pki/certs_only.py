"""Certificates as EST sends them: a PKCS#7 SignedData without signers (RFC 5652 5.1), base64 (RFC 7030 4.1.3)."""

from __future__ import annotations

import base64
from collections.abc import Iterable

from asn1crypto import cms  # type: ignore[import-untyped]
from asn1crypto.x509 import Certificate  # type: ignore[import-untyped]

from ocmf.der import encode, encode_oid

_SIGNED_DATA, _DATA = "1.2.840.113549.1.7.2", "1.2.840.113549.1.7.1"
_SEQUENCE, _SET, _CONTEXT_0 = 0x30, 0x31, 0xA0
_VERSION_1 = b"\x02\x01\x01"
LINE = 64


def certs_only(certificates: Iterable[Certificate]) -> bytes:
    """DER, with the certificates in the given order: clients take the first or the last, so it is not sorted."""
    chosen = encode(_CONTEXT_0, b"".join(certificate.dump() for certificate in certificates))
    content = encode(_SEQUENCE, encode_oid(_DATA))
    signed = encode(_SEQUENCE, _VERSION_1 + encode(_SET, b"") + content + chosen + encode(_SET, b""))
    return encode(_SEQUENCE, encode_oid(_SIGNED_DATA) + encode(_CONTEXT_0, signed))


def as_base64(der: bytes) -> bytes:
    """Lines of 64 characters, which PEM and MIME readers take."""
    text = base64.b64encode(der)
    return b"".join(text[at : at + LINE] + b"\n" for at in range(0, len(text), LINE))


def read_certs_only(der: bytes) -> list[Certificate]:
    """The certificates, in their order. Raises ValueError when it is something else."""
    signed = cms.ContentInfo.load(der, strict=True)["content"]
    return [one.chosen for one in signed["certificates"]]
