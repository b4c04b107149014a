"""What EST answers with: PKCS#7 that holds certificates and nothing else (RFC 7030 4.1.3), read from strangers."""

from __future__ import annotations

from asn1crypto.x509 import Certificate  # type: ignore[import-untyped]

from backends.pki.certs_only import read_certs_only
from backends.pki.der import check_der
from ports.errors import PeerError
from v2g.certificates import load

MAX_OCTETS = 65536


def certificates_of(pkcs7: bytes) -> list[Certificate]:
    """The certificates, in the order of the answer. Raises PeerError when there are none, or one cannot be read."""
    check_der(pkcs7, "PKCS#7 of EST", MAX_OCTETS)
    try:
        found = [load(one.dump()) for one in read_certs_only(pkcs7)]
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise PeerError(f"EST answered with no PKCS#7: {error}"[:300], pkcs7[:200]) from None
    if not found:
        raise PeerError("EST answered without a certificate", pkcs7[:200])
    return found
