"""The status of a certificate through the CSMS: hash data of 2.0.1, and OCSP responses held to RFC 6960."""

from __future__ import annotations

import base64
import binascii
from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID

from backend_client.ocpp.frames import Payload
from ports.contracts import CertificateStatus
from ports.errors import PeerError

_UNREADABLE = (ValueError, UnsupportedAlgorithm, x509.DuplicateExtension, x509.UnsupportedGeneralNameType)
URL_LIMIT = 512  # characters of OCSPRequestDataType.responderURL


def status_request(certificate: bytes, issuer: bytes) -> dict[str, Any]:
    """GetCertificateStatus. Raises PeerError for a certificate that names no responder."""
    one = load(certificate)
    if not responder_url(one):
        raise PeerError("the certificate names no OCSP responder, and OCPP cannot ask without its address", certificate)
    return {"ocspRequestData": hash_data(one, load(issuer))}


def read_status(answer: Payload, certificate: bytes, issuer: bytes, now: datetime) -> CertificateStatus:
    """The OCSP answer inside GetCertificateStatusResponse, its signature and time checked. Raises PeerError."""
    if answer["status"] != "Accepted":
        raise PeerError(f"the CSMS has no certificate status: {detail(answer) or answer['status']}", repr(answer))
    octets = read_base64(answer.get("ocspResult", ""), "ocspResult")
    one, signer = load(certificate), load(issuer)
    try:
        return _read_response(octets, one, signer, now)
    except _UNREADABLE as error:  # the library reads some fields only when they are asked for
        raise PeerError(f"ocspResult is no OCSP response: {error}", octets) from error


def _read_response(octets: bytes, one: x509.Certificate, signer: x509.Certificate, now: datetime) -> CertificateStatus:
    response = ocsp.load_der_ocsp_response(octets)
    if response.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
        raise PeerError(f"the OCSP responder answered {response.response_status.name}", octets)
    asked = _request(one, signer, response.hash_algorithm)
    if (response.serial_number, response.issuer_key_hash) != (one.serial_number, asked.issuer_key_hash):
        raise PeerError("the OCSP response is about another certificate", octets)
    _check_signature(response, signer, now, octets)
    until = response.next_update_utc
    if response.this_update_utc > now or (until is not None and until < now):
        raise PeerError(f"the OCSP response is valid from {response.this_update_utc} to {until}, not at {now}", octets)
    return CertificateStatus(response.certificate_status.name.lower())


def hash_data(
    certificate: x509.Certificate, issuer: x509.Certificate, algorithm: hashes.HashAlgorithm | None = None
) -> dict[str, Any]:
    """OCSPRequestDataType; SHA-256 unless said otherwise."""
    algorithm = algorithm or hashes.SHA256()
    request = _request(certificate, issuer, algorithm)
    return {
        "hashAlgorithm": algorithm.name.upper(),
        "issuerNameHash": request.issuer_name_hash.hex(),
        "issuerKeyHash": request.issuer_key_hash.hex(),
        "serialNumber": f"{certificate.serial_number:x}",
        "responderURL": responder_url(certificate),
    }


def responder_url(certificate: x509.Certificate) -> str:
    """Where its status can be asked for; "" when it does not say."""
    try:
        access = certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    except (x509.ExtensionNotFound, *_UNREADABLE):
        return ""
    found = (one for one in access if one.access_method == AuthorityInformationAccessOID.OCSP)
    url = next((str(one.access_location.value) for one in found), "")
    return url if len(url) <= URL_LIMIT else ""


def _request(
    certificate: x509.Certificate, issuer: x509.Certificate, algorithm: hashes.HashAlgorithm
) -> ocsp.OCSPRequest:
    return ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, algorithm).build()


def _check_signature(response: ocsp.OCSPResponse, issuer: x509.Certificate, now: datetime, octets: bytes) -> None:
    """By the issuer itself, or by a responder that it has certified for that (RFC 6960, 4.2.2.2)."""
    signer = issuer
    try:
        for delegate in response.certificates:
            if delegate.public_key() != issuer.public_key():
                delegate.verify_directly_issued_by(issuer)
                usages = delegate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
                in_time = delegate.not_valid_before_utc <= now <= delegate.not_valid_after_utc
                if ExtendedKeyUsageOID.OCSP_SIGNING not in usages or not in_time:
                    raise ValueError("its certificate is not for OCSP, or not at this time")
                signer = delegate
                break
        key = signer.public_key()
        if response.signature_hash_algorithm is None:
            raise ValueError("no hash algorithm")
        if isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(response.signature, response.tbs_response_bytes, ec.ECDSA(response.signature_hash_algorithm))
        elif isinstance(key, rsa.RSAPublicKey):
            key.verify(
                response.signature,
                response.tbs_response_bytes,
                padding.PKCS1v15(),
                response.signature_hash_algorithm,
            )
        else:
            raise ValueError("a key of another kind")
    except (InvalidSignature, TypeError, x509.ExtensionNotFound, *_UNREADABLE) as error:
        raise PeerError(f"the OCSP response is not signed by a responder of the issuer: {error!r}", octets) from error


def load(certificate: bytes) -> x509.Certificate:
    """From DER. Raises PeerError."""
    try:
        return x509.load_der_x509_certificate(certificate)
    except ValueError as error:
        raise PeerError(f"not a certificate: {error}", certificate) from error


def read_base64(text: str, field: str) -> bytes:
    """The octets of a field. Raises PeerError."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise PeerError(f"{field} is not base64: {error}", text[:200]) from error


def detail(answer: Payload) -> str:
    """StatusInfoType as one text."""
    info = answer.get("statusInfo", {})
    return ": ".join(str(info[key]) for key in ("reasonCode", "additionalInfo") if info.get(key))
