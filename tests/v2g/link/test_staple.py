"""OCSP responses: what a vehicle accepts, and what it says about the rest."""

from __future__ import annotations

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from hypothesis import given
from hypothesis import strategies as st

from tests.v2g.link.chains import DAY, made, ocsp_response
from tests.v2g.link.doubles import START
from v2g.certificates import load
from v2g.link.staple import StapleError, check_staple

ROOT, SUB, LEAF, _, SUB_KEY = made("A")


def check(staple, leaf=LEAF, issuer=SUB, at=START):
    check_staple(staple, *(load(one.public_bytes(Encoding.DER)) for one in (leaf, issuer)), at)


def delegated(usage):
    """A response signed by a responder with a certificate of the issuer."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Responder")])
    builder = x509.CertificateBuilder(SUB.subject, name, key.public_key(), 7, START - DAY, START + DAY)
    if usage:
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    responder = builder.sign(SUB_KEY, hashes.SHA256())
    answer = ocsp.OCSPResponseBuilder().add_response(
        LEAF, SUB, hashes.SHA1(), ocsp.OCSPCertStatus.GOOD, START - DAY, START + DAY, None, None
    )
    answer = answer.responder_id(ocsp.OCSPResponderEncoding.HASH, responder).certificates([responder])
    return answer.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


GOOD = ocsp_response(LEAF, SUB, SUB_KEY, "GOOD")


def test_good_ones():
    check(GOOD)
    check(delegated(x509.ExtendedKeyUsageOID.OCSP_SIGNING))


@pytest.mark.parametrize(
    ("staple", "how", "text"),
    [
        (b"", {}, "cannot be read"),
        (GOOD[:-5], {}, "cannot be read"),
        (
            ocsp.OCSPResponseBuilder.build_unsuccessful(ocsp.OCSPResponseStatus.TRY_LATER).public_bytes(Encoding.DER),
            {},
            "answers TRY_LATER",
        ),
        (GOOD, {"leaf": SUB}, "is about serial"),
        (ocsp_response(LEAF, made("B")[1], made("B")[4], "GOOD"), {}, "signature does not verify"),
        (GOOD, {"issuer": ROOT}, "signature does not verify"),
        (delegated(None), {}, "which is no OCSP responder"),
        (delegated(x509.ExtendedKeyUsageOID.SERVER_AUTH), {}, "which is no OCSP responder"),
        (GOOD, {"at": START - timedelta(days=3)}, "later than now"),
        (GOOD, {"at": START + timedelta(days=3)}, "was good until"),
        (ocsp_response(LEAF, SUB, SUB_KEY, "REVOKED"), {}, "the certificate is revoked"),
        (ocsp_response(LEAF, SUB, SUB_KEY, "UNKNOWN"), {}, "the certificate is unknown"),
    ],
)
def test_others_are_refused_with_the_reason(staple, how, text):
    with pytest.raises(StapleError, match=text) as caught:
        check(staple, **how)
    assert caught.value.received == staple
    assert "SECC A" in str(caught.value) or how


@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
def test_no_changed_octet_passes(at, change):
    octets = bytearray(GOOD)
    octets[at] ^= change
    with pytest.raises(StapleError):
        check(bytes(octets))
