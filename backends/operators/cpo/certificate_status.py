"""Certificate status for stations: OCSP requests made of the hashes that OCPP carries (RFC 6960)."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from asn1crypto import ocsp  # type: ignore[import-untyped]
from asn1crypto.x509 import Certificate  # type: ignore[import-untyped]
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.x509.ocsp import OCSPCertStatus, OCSPResponse, OCSPResponseStatus, load_der_ocsp_response
from cryptography.x509.oid import ExtendedKeyUsageOID

from backends.guarded_http import GuardedHttp
from backends.pki.der import check_der
from backends.pki.revocation import MAX_ANSWER, RevocationRules, Status
from ports.clock import Clock
from ports.errors import PeerError

MAX_OCSP_RESULT = 5500  # characters of base64; OCPP 2.0.1 GetCertificateStatusResponse
CLOCK_SKEW = timedelta(minutes=5)  # of responders
_HEADERS = {"Content-Type": "application/ocsp-request", "Accept": "application/ocsp-response"}
_STATUS = {
    OCSPCertStatus.GOOD: Status.GOOD,
    OCSPCertStatus.REVOKED: Status.REVOKED,
    OCSPCertStatus.UNKNOWN: Status.UNKNOWN,
}


@dataclass(frozen=True, slots=True)
class CertificateId:
    """A certificate by its hashes. algorithm: "sha256", "sha384", "sha512". responder: URL."""

    algorithm: str
    issuer_name_hash: bytes
    issuer_key_hash: bytes
    serial: int
    responder: str

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> CertificateId:
        """From OCSPRequestDataType, valid by the schema. Raises PeerError."""
        algorithm = str(data["hashAlgorithm"]).lower()
        try:
            name, key = bytes.fromhex(data["issuerNameHash"]), bytes.fromhex(data["issuerKeyHash"])
            serial = int(data["serialNumber"], 16)
        except ValueError as error:
            raise PeerError(f"OCSP request data are not hexadecimal: {error}", str(data)) from None
        length = hashlib.new(algorithm).digest_size
        if {len(name), len(key)} != {length}:
            raise PeerError(f"a hash by {algorithm} has {length} octets, these have {len(name)} and {len(key)}")
        return cls(algorithm, name, key, serial, str(data["responderURL"]))

    def request(self) -> bytes:
        """An OCSP request without nonce, DER."""
        cert_id = {
            "hash_algorithm": {"algorithm": self.algorithm},
            "issuer_name_hash": self.issuer_name_hash,
            "issuer_key_hash": self.issuer_key_hash,
            "serial_number": self.serial,
        }
        der: bytes = ocsp.OCSPRequest({"tbs_request": {"request_list": [{"req_cert": cert_id}]}}).dump()
        return der

    def is_issued_by(self, issuer: Certificate) -> bool:
        """Whether the hashes are those of this CA."""
        name, key = issuer.subject.dump(), bytes(issuer.public_key["public_key"])
        hashed = [hashlib.new(self.algorithm, octets).digest() for octets in (name, key)]
        return hashed == [self.issuer_name_hash, self.issuer_key_hash]


class StatusDesk:
    """Asks the responders that stations name, through the guarded client."""

    def __init__(self, http: GuardedHttp, rules: RevocationRules, clock: Clock) -> None:
        self._http = http
        self._rules = rules
        self._clock = clock

    async def ask(self, one: CertificateId) -> bytes:
        """The responder's answer, DER: it is about this certificate and fresh; whether it is signed by whom it should,
        the station judges. Raises PeerError."""
        answer = await self._http.post(
            one.responder, one.request(), _HEADERS, timeout_s=self._rules.timeout_s, max_answer=MAX_ANSWER
        )
        if answer.status != 200:
            raise PeerError(f"{one.responder} answered {answer.status}", answer.body[:256])
        self._read(answer.body, one)
        return answer.body

    async def result(self, one: CertificateId) -> str:
        """As base64 for GetCertificateStatus. Raises PeerError, also when it does not fit in there."""
        text = base64.b64encode(await self.ask(one)).decode()
        if len(text) > MAX_OCSP_RESULT:
            raise PeerError(f"the OCSP response has {len(text)} characters, at most {MAX_OCSP_RESULT} may be sent")
        return text

    async def status(self, one: CertificateId, known: Iterable[Certificate]) -> tuple[Status, str]:
        """The status and why. It is unknown unless the response is signed for a CA that we know."""
        try:
            response = self._read(await self.ask(one), one)
        except PeerError as error:
            return Status.UNKNOWN, str(error)
        issuer = next((ca for ca in known if one.is_issued_by(ca)), None)
        if issuer is None:
            return Status.UNKNOWN, f"{one.responder}: the issuer of serial {one.serial:x} is not known here"
        if not _is_signed_for(response, x509.load_der_x509_certificate(issuer.dump())):
            return Status.UNKNOWN, f"{one.responder}: its response is not signed by the issuer or for it"
        return _STATUS[response.certificate_status], f"{one.responder} says {response.certificate_status.name.lower()}"

    def _read(self, octets: bytes, one: CertificateId) -> OCSPResponse:
        check_der(octets, "OCSP response", MAX_ANSWER)
        now = self._clock.now()
        try:
            response = load_der_ocsp_response(octets)
            if response.response_status is not OCSPResponseStatus.SUCCESSFUL:
                raise PeerError(f"{one.responder} says {response.response_status.name.lower()}", octets)
            if response.serial_number != one.serial or response.issuer_key_hash != one.issuer_key_hash:
                raise PeerError(f"{one.responder} answers about another certificate", octets)
            fresh = _is_fresh(response.this_update_utc, response.next_update_utc, now)
        except (ValueError, UnsupportedAlgorithm) as error:
            raise PeerError(f"{one.responder}: its response cannot be read: {error}", octets) from None
        if not fresh:
            raise PeerError(f"{one.responder}: its response is not of now ({now.isoformat()})", octets)
        return response


def _is_fresh(since: datetime, until: datetime | None, now: datetime) -> bool:
    return since - CLOCK_SKEW <= now and (until is None or now <= until + CLOCK_SKEW)


def _is_signed_for(response: OCSPResponse, issuer: x509.Certificate) -> bool:
    """By the issuer itself, or by a signer that it made for this (RFC 6960 4.2.2.2)."""
    for signer in (issuer, *response.certificates):
        try:
            if signer is not issuer:
                signer.verify_directly_issued_by(issuer)
                usage = signer.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
                if ExtendedKeyUsageOID.OCSP_SIGNING not in usage:
                    continue
            _verify(signer, response)
        except (InvalidSignature, ValueError, TypeError, x509.ExtensionNotFound, UnsupportedAlgorithm):
            continue
        return True
    return False


def _verify(signer: x509.Certificate, response: OCSPResponse) -> None:
    key, hashed = signer.public_key(), response.signature_hash_algorithm
    if isinstance(key, ed448.Ed448PublicKey):
        key.verify(response.signature, response.tbs_response_bytes)
    elif isinstance(key, ec.EllipticCurvePublicKey) and hashed is not None:
        key.verify(response.signature, response.tbs_response_bytes, ec.ECDSA(hashed))
    elif isinstance(key, rsa.RSAPublicKey) and hashed is not None:
        key.verify(response.signature, response.tbs_response_bytes, PKCS1v15(), hashed)
    else:
        raise InvalidSignature
