"""What EST answers with: PKCS#7 that holds certificates and nothing else (RFC 7030 4.1.3)."""

from __future__ import annotations

from asn1crypto import cms  # type: ignore[import-untyped]

from backends.pki.der import check_der
from ports.errors import PeerError

MAX_OCTETS = 65536


def certificates_of(pkcs7: bytes) -> list[bytes]:
    """DER of the certificates, in the order of the answer. Raises PeerError when there are none.

    Servers keep an order of their own (root last) where DER asks for a sorted set; that is tolerated.
    """
    check_der(pkcs7, "PKCS#7 of EST", MAX_OCTETS)
    try:
        signed = cms.ContentInfo.load(pkcs7)["content"]
        found = [one.chosen.dump() for one in signed["certificates"] if one.name == "certificate"]
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise PeerError(f"EST answered with no PKCS#7: {error}"[:300], pkcs7[:200]) from None
    if not found:
        raise PeerError("EST answered without a certificate", pkcs7[:200])
    return found
