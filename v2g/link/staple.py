"""The OCSP response that a station staples to its certificate (RFC 6960, ISO 15118-2 [V2G2-873])."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from asn1crypto.ocsp import OCSPResponse  # type: ignore[import-untyped]
from asn1crypto.x509 import Certificate  # type: ignore[import-untyped]
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from ports.errors import PeerError
from v2g.certificates import describe, load, public_key


class StapleError(PeerError):
    """An OCSP response that does not say that the certificate is good; the octets are in `received`."""


def check_staple(staple: bytes, leaf: Certificate, issuer: Certificate, at: datetime) -> None:
    """Raise StapleError unless the response is the issuer's, about this certificate, of this time, and good."""
    subject = describe(leaf.subject)

    def refuse(text: str, cause: Exception | None = None) -> StapleError:
        error = StapleError(f"OCSP response for {subject}: {text}", staple)
        error.__cause__ = cause
        return error

    try:
        response = ocsp.load_der_ocsp_response(staple)
        _check(response, leaf, issuer, at, refuse)
        if OCSPResponse.load(staple).basic_ocsp_response["signature"].contents[:1] != b"\0":
            raise refuse("its signature is no whole number of octets")
    except (ValueError, UnsupportedAlgorithm) as error:  # some parts are read when they are asked for
        raise refuse("cannot be read", error) from error


def _check(response: ocsp.OCSPResponse, leaf: Certificate, issuer: Certificate, at: datetime, refuse: Any) -> None:
    if response.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
        raise refuse(f"the responder answers {response.response_status.name}")
    if response.serial_number != leaf.serial_number:
        raise refuse(f"is about serial {response.serial_number:x}, the certificate has {leaf.serial_number:x}")
    _check_signature(response, issuer, refuse)
    if response.this_update_utc > at:
        raise refuse(f"is of {response.this_update_utc:%Y-%m-%d %H:%M:%S}, later than now")
    if response.next_update_utc is not None and response.next_update_utc < at:
        raise refuse(f"was good until {response.next_update_utc:%Y-%m-%d %H:%M:%S}")
    if response.certificate_status is not ocsp.OCSPCertStatus.GOOD:
        raise refuse(f"the certificate is {response.certificate_status.name.lower()}")


def _check_signature(response: ocsp.OCSPResponse, issuer: Certificate, refuse: Any) -> None:
    """By the issuer, or by a responder that it has certified for this (RFC 6960 4.2.2.2)."""
    key: Any = public_key(issuer)
    algorithm = response.signature_hash_algorithm
    if not isinstance(key, ec.EllipticCurvePublicKey) or algorithm is None:
        raise refuse("its signature is of no kind that ISO 15118-2 has")
    try:
        for responder in response.certificates[:1]:
            if responder.public_bytes(Encoding.DER) == issuer.dump():
                continue
            use = load(responder.public_bytes(Encoding.DER)).extended_key_usage_value
            if use is None or "ocsp_signing" not in use.native:
                raise refuse(f"signed by {responder.subject.rfc4514_string()}, which is no OCSP responder")
            hash_of_it = responder.signature_hash_algorithm
            if hash_of_it is None:
                raise refuse("its responder's certificate is of no kind that ISO 15118-2 has")
            key.verify(responder.signature, responder.tbs_certificate_bytes, ec.ECDSA(hash_of_it))
            key = responder.public_key()
        key.verify(response.signature, response.tbs_response_bytes, ec.ECDSA(algorithm))
    except InvalidSignature as error:
        raise refuse("its signature does not verify", error) from error
