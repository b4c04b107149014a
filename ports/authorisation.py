"""Authorisation: the backend's word on who may charge."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol


class AuthorisationStatus(StrEnum):
    """May this identification charge? Names as OCPP 2.0.1 AuthorizationStatusEnumType; 1.6 knows the first five."""

    ACCEPTED = "Accepted"
    BLOCKED = "Blocked"
    EXPIRED = "Expired"
    INVALID = "Invalid"
    CONCURRENT = "ConcurrentTx"
    NO_CREDIT = "NoCredit"
    NOT_ALLOWED_HERE = "NotAtThisLocation"
    NOT_NOW = "NotAtThisTime"
    UNKNOWN = "Unknown"


class ContractStatus(StrEnum):
    """What the backend found out about a contract certificate (OCPP 2.0.1 AuthorizeCertificateStatusEnumType)."""

    ACCEPTED = "Accepted"
    SIGNATURE_ERROR = "SignatureError"
    CERTIFICATE_EXPIRED = "CertificateExpired"
    CERTIFICATE_REVOKED = "CertificateRevoked"
    NO_CERTIFICATE_AVAILABLE = "NoCertificateAvailable"
    CERT_CHAIN_ERROR = "CertChainError"
    CONTRACT_CANCELLED = "ContractCancelled"


@dataclass(frozen=True, slots=True)
class AuthorisationRequest:
    """Who wants to charge where.

    connector: name in the gateway. evse_id: of the connector. id: a UID in hex, an EMAID, a key code ...
    id_type: its OCMF name (table 17), e.g. "ISO14443", "EMAID". certificates: DER of a contract, leaf first, then its
    sub-CAs; empty for everything but contracts. With a contract, its possession has been proven already.
    """

    connector: str
    evse_id: str
    id: str
    id_type: str
    certificates: tuple[bytes, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Authorisation:
    """The answer. contract: None when nothing was said about a certificate. detail: for people, in traces."""

    status: AuthorisationStatus
    contract: ContractStatus | None = None
    detail: str = ""

    @property
    def is_accepted(self) -> bool:
        """Both the identification and, where it was judged, the certificate."""
        return self.status is AuthorisationStatus.ACCEPTED and self.contract in {None, ContractStatus.ACCEPTED}


class Authoriser(Protocol):
    """Gives the backend's word."""

    @property
    def name(self) -> str:
        """Its resource in the rig file, for traces."""

    @property
    def ocmf_flag(self) -> str:
        """What OCMF says of an identification that it accepted (table 14), e.g. "OCPP_AUTH", "OCPP_AUTH_TLS"."""

    async def authorise(self, request: AuthorisationRequest) -> Authorisation:
        """Ask. Raises RigError (no answer: away, too slow) or PeerError (an answer that makes no sense)."""
