"""SignCertificate: requests of stations go to whoever issues, the chain goes back with CertificateSigned."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Protocol

from asn1crypto import pem  # type: ignore[import-untyped]
from asn1crypto.x509 import Certificate  # type: ignore[import-untyped]

from backend_client.opcp import OpcpClient
from backends.operators.cpo.certs_only import certificates_of
from backends.operators.cpo.frames import Version
from backends.operators.cpo.link import StationLink
from backends.pki.csr import RequestRefused, read_request
from ports.clock import Clock
from ports.errors import PeerError, PlugbenchError
from ports.trace import TraceEvent, Tracer

STATION, V2G = "ChargingStationCertificate", "V2GCertificate"  # OCPP 2.0.1 CertificateSigningUseEnumType
MAX_LENGTH = 4  # certificates of a chain
MAX_CHAIN = 10_000  # characters; CertificateSignedRequest.certificateChain


class Enroller(Protocol):
    """Issues certificates of one use."""

    async def __call__(self, request: bytes, station: str) -> tuple[bytes, ...]:
        """request: PKCS#10, DER; its signature holds. Returns DER, leaf first, no root. Raises PeerError, RigError."""


class PoolEnroller:
    """V2G certificates of one branch of the pools' PKI, over EST."""

    def __init__(self, pools: OpcpClient, edition: str = "ISO15118-2", ca: str = "cpo") -> None:
        """ca: the branch, e.g. "cpo", "oem"."""
        self._pools = pools
        self._edition = edition
        self._ca = ca

    async def __call__(self, request: bytes, station: str) -> tuple[bytes, ...]:  # noqa: ARG002 - of the protocol
        """The leaf and the CAs between it and its root."""
        issued = certificates_of(await self._pools.enroll(self._ca, request, edition=self._edition))
        authorities = certificates_of(await self._pools.ca_certificates(self._ca, edition=self._edition))
        chain = issued[:1]
        while (issuer := _issuer(chain[-1], authorities)) is not None and len(chain) < MAX_LENGTH:
            chain.append(issuer)
        return tuple(one.dump() for one in chain)


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
            chain = await self._enrollers[use](_der(csr), link.station)
            text = "".join(_pem(der) for der in chain)
            if len(text) > MAX_CHAIN:
                raise PeerError(f"the chain has {len(text)} characters, at most {MAX_CHAIN} may be sent")
            answer = await link.call("CertificateSigned", {"certificateChain": text, **_use(link, use)})
            if answer["status"] != "Accepted":
                why = f"the station says {answer['status']} {answer.get('statusInfo', '')}".rstrip()
        except PlugbenchError as error:
            why = str(error)
        data = {"station": link.station, "use": use, "issued": not why, "why": why}
        self._tracer(TraceEvent(self._clock.monotonic(), "backend", "csms.enrolled", self._name, data))


def _use(link: StationLink, use: str) -> Mapping[str, str]:
    return {} if link.version is Version.V16 else {"certificateType": use}


def _der(csr: str) -> bytes:
    """Of a request that `refusal` has read."""
    octets = csr.encode()
    return bytes(pem.unarmor(octets)[2] if pem.detect(octets) else base64.b64decode(octets))


def _pem(der: bytes) -> str:
    return bytes(pem.armor("CERTIFICATE", der)).decode()


def _issuer(certificate: Certificate, among: Sequence[Certificate]) -> Certificate | None:
    """The one that issued it, unless that is a root."""
    return next((one for one in among if one.subject == certificate.issuer and one.subject != one.issuer), None)
