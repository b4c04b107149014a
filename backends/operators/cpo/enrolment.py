"""SignCertificate: requests of stations go to whoever issues, the chain goes back with CertificateSigned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.hazmat.primitives.serialization.pkcs7 import load_der_pkcs7_certificates

from backend_client.opcp import OpcpClient
from backends.operators.cpo.frames import Version
from backends.operators.cpo.link import StationLink
from backends.pki.csr import RequestRefused, read_request
from ports.clock import Clock
from ports.errors import PeerError, PlugbenchError
from ports.trace import TraceEvent, Tracer
from v2g.certificates import CertificateError, load

STATION, V2G = "ChargingStationCertificate", "V2GCertificate"  # OCPP 2.0.1 CertificateSigningUseEnumType
MAX_CHAIN = 10_000  # characters; CertificateSignedRequest.certificateChain


class Enroller(Protocol):
    """Issues certificates of one use."""

    async def __call__(self, request: bytes, station: str) -> tuple[bytes, ...]:
        """request: PKCS#10, its signature holds. Returns DER, leaf first, no root. Raises PeerError, RigError."""


class PoolEnroller:
    """V2G certificates of the pools' CPO branch, over EST."""

    def __init__(self, pools: OpcpClient, edition: str = "ISO15118-2") -> None:
        self._pools = pools
        self._edition = edition

    async def __call__(self, request: bytes, station: str) -> tuple[bytes, ...]:  # noqa: ARG002 - of the protocol
        """The leaf and the CAs between it and its root."""
        leaf = _certificates(await self._pools.enroll("cpo", request, edition=self._edition))[0]
        authorities = _certificates(await self._pools.ca_certificates("cpo", edition=self._edition))
        chain = [leaf]
        while (issuer := _issuer(chain[-1], authorities)) is not None:
            chain.append(issuer)
        return tuple(one.public_bytes(Encoding.DER) for one in chain)


class EnrolmentDesk:
    """Passes requests on and brings the answers."""

    def __init__(self, enrollers: Mapping[str, Enroller], clock: Clock, name: str, tracer: Tracer) -> None:
        """enrollers: by use, STATION and V2G."""
        self._enrollers = enrollers
        self._clock = clock
        self._name = name
        self._tracer = tracer

    def refusal(self, use: str, csr: str) -> str:
        """Why such a request cannot be passed on; "" = it can."""
        if use not in self._enrollers:
            return f"nobody here issues a {use}"
        try:
            read_request(csr.encode())
        except RequestRefused as error:
            return str(error)
        return ""

    async def enrol(self, link: StationLink, use: str, csr: str) -> None:
        """Have it issued and hand it to the station; what goes wrong is told in the trace."""
        why = ""
        try:
            chain = await self._enrollers[use](csr.encode(), link.station)
            text = "".join(_pem(der) for der in chain)
            if len(text) > MAX_CHAIN:
                raise PeerError(f"the chain has {len(text)} characters, at most {MAX_CHAIN} may be sent")
            answer = await link.call("CertificateSigned", {"certificateChain": text, **_use(link, use)})
            if answer["status"] != "Accepted":
                why = f"the station says {answer['status']} {answer.get('statusInfo', '')}".rstrip()
        except (PlugbenchError, CertificateError) as error:
            why = str(error)
        data = {"station": link.station, "use": use, "issued": not why, "why": why}
        self._tracer(TraceEvent(self._clock.monotonic(), "backend", "csms.enrolled", self._name, data))


def _use(link: StationLink, use: str) -> Mapping[str, str]:
    return {} if link.version is Version.V16 else {"certificateType": use}


def _pem(der: bytes) -> str:
    return x509.load_der_x509_certificate(load(der).dump()).public_bytes(Encoding.PEM).decode()


def _certificates(pkcs7: bytes) -> list[x509.Certificate]:
    try:
        found = load_der_pkcs7_certificates(pkcs7)
    except ValueError as error:
        raise PeerError(f"EST answered with no PKCS#7: {error}", pkcs7[:200]) from None
    if not found:
        raise PeerError("EST answered without a certificate", pkcs7[:200])
    return found


def _issuer(certificate: x509.Certificate, among: list[x509.Certificate]) -> x509.Certificate | None:
    """The one that issued it, unless that is a root."""
    for one in among:
        if one.subject == certificate.issuer and one.subject != one.issuer:
            return one
    return None
