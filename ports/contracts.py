"""Contract certificates: where a vehicle's installation and update requests are answered, and their status known."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol


class ContractAction(StrEnum):
    """What the vehicle asked for; names as in OCPP 2.0.1 CertificateActionEnumType."""

    INSTALL = "Install"
    UPDATE = "Update"


@dataclass(frozen=True, slots=True)
class ContractAnswer:
    """exi: CertificateInstallationRes or CertificateUpdateRes, whole, as the backend signed and encoded it.

    accepted: False when the backend has none for this vehicle (exi may still carry its FAILED answer, or be empty).
    detail: for people, in traces.
    """

    exi: bytes = field(repr=False)
    accepted: bool = True
    detail: str = ""


class ContractSource(Protocol):
    """The pools, directly or behind a CSMS."""

    @property
    def name(self) -> str:
        """Its resource in the rig file, for traces."""

    async def fetch(self, action: ContractAction, exi: bytes, namespace: str, deadline_s: float) -> ContractAnswer:
        """exi: the vehicle's request, octet by octet. namespace: of its schema, e.g. "urn:iso:15118:2:2013:MsgDef".

        deadline_s: seconds for all of it. Never sends a request twice. Raises RigError (no answer in time) or PeerError
        (refused, or an answer that makes no sense).
        """


class CertificateStatus(StrEnum):
    """OCSP's words (RFC 6960)."""

    GOOD = "good"
    REVOKED = "revoked"
    UNKNOWN = "unknown"


class CertificateStatusSource(Protocol):
    """An OCSP responder, asked directly or through a CSMS (GetCertificateStatus)."""

    @property
    def name(self) -> str:
        """Its resource in the rig file, for traces."""

    async def status(self, certificate: bytes, issuer: bytes, deadline_s: float) -> CertificateStatus:
        """Both DER; signature and time of the answer were checked. Raises RigError (none), PeerError (a bad one)."""
