"""What OPCP v1 says, as plain types. Octets are octets here, base64 is on the wire only."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

import msgspec

from ports.errors import PeerError

ISO2 = "urn:iso:15118:2:2013:MsgDef"
ISO20 = "urn:iso:15118:20:2022:MsgDef"


class OpcpError(PeerError):
    """A pool said no, or something that is no answer.

    operation: e.g. "PUT /v1/oem/provCerts". status: HTTP, 0 = no answer came. messages, trace_id: of the error body.
    """

    def __init__(
        self, operation: str, status: int, messages: tuple[str, ...] = (), trace_id: str = "", received: bytes = b""
    ) -> None:
        said = "; ".join(messages) or "without a message"
        trace = f" (traceId {trace_id})" if trace_id else ""
        super().__init__(f"{operation}: {status or 'no answer'}: {said}{trace}", received)
        self.operation = operation
        self.status = status
        self.messages = messages
        self.trace_id = trace_id


def octets(text: str) -> bytes:
    """Of base64, line breaks allowed. Raises ValueError."""
    return base64.b64decode("".join(text.split()), validate=True)


def text(content: bytes) -> str:
    """Base64 without line breaks."""
    return base64.b64encode(content).decode("ascii")


class Message(msgspec.Struct, rename="camel", kw_only=True):
    """An object of OPCP; what we do not know is ignored."""


class ErrorBody(Message):
    """Body of an error."""

    error_messages: list[str] = []
    trace_id: str = ""


class Token(msgspec.Struct):
    """Answer of the token service."""

    access_token: str
    expires_in: float


class Root(Message):
    """A root of the RCP."""

    root_certificate_id: str
    ca_certificate: str
    distinguished_name: str = ""
    root_type: str = ""
    common_name: str = ""
    root_authority_key_identifier: str = ""
    root_issuer_serial_number: str = ""
    valid_from: str = ""
    valid_to: str = ""
    fingerprint: str = ""

    @property
    def certificate(self) -> bytes:
        """DER."""
        return octets(self.ca_certificate)


class Roots(Message):
    """List of roots."""

    root_certificates: list[Root] = []


class RootCollection(msgspec.Struct):
    """Envelope of the list."""

    collection: Roots = msgspec.field(name="RootCertificateCollection")


class RootResponse(msgspec.Struct):
    """Envelope of one."""

    root: Root = msgspec.field(name="RootResponse")


class Vehicle(Message):
    """An entry of the PCP."""

    vehicle_certificate: str
    sub_ca1_certificate: str = msgspec.field(name="subCA1Certificate")
    sub_ca2_certificate: str = msgspec.field(name="subCA2Certificate", default="")
    xsd_msg_def_namespace: str = ISO2
    root_issuer_distinguished_name: str = ""
    root_issuer_serial_number: str = ""
    root_authority_key_identifier: str = ""
    v2g_root_authority_key_identifiers: list[str] = msgspec.field(
        name="v2gRootAuthorityKeyIdentifiers", default_factory=list
    )
    previous_pcid: str = ""

    @property
    def certificate(self) -> bytes:
        """DER of the leaf."""
        return octets(self.vehicle_certificate)


class VehicleResponse(msgspec.Struct):
    """Envelope of one."""

    vehicle: Vehicle = msgspec.field(name="OEMMessage")


class SignedContract(Message):
    """Answer of the CPS."""

    emaid: str
    signed_data: str
    xsd_msg_def_namespace: str
    pcid: str | None = None
    root: str = msgspec.field(name="cpsV2GRootCertificateFingerprint", default="")
    cps_root_distinguished_name: str = ""

    @property
    def xml(self) -> bytes:
        """The CertificateInstallationRes as XML."""
        return octets(self.signed_data)


class Signer(Message):
    """A CPS certificate. Two spellings of the sub-CA fields are in use."""

    cps_certificate: str
    cps_distinguished_name: str = ""
    xsd_msg_def_namespace: str = ""
    valid_from: str = ""
    valid_to: str = ""
    cps_root_distinguished_name: str = ""
    root: str = msgspec.field(name="cpsV2GRootCertificateFingerprint", default="")
    root_id: str = msgspec.field(name="cpsRootCertificateId", default="")
    cps_sub_ca1_certificate: str = ""
    cps_sub_ca2_certificate: str = ""
    cps_ca1_certificate: str = ""
    cps_ca2_certificate: str = ""

    @property
    def chain(self) -> list[bytes]:
        """DER: leaf, Sub-CA 2, Sub-CA 1."""
        subs = (
            self.cps_sub_ca2_certificate or self.cps_ca2_certificate,
            self.cps_sub_ca1_certificate or self.cps_ca1_certificate,
        )
        return [octets(one) for one in (self.cps_certificate, *subs) if one]


class Signers(Message):
    """List of signers."""

    cps_certificates: list[Signer] = []


class MessageDef(Message):
    """One answer for a vehicle."""

    certificate_installation_res: str
    emaid: str = ""
    meta_data: str = ""
    root: str = msgspec.field(name="cpsV2GRootCertificateFingerprint", default="")


class EmaidContent(Message):
    """Envelope of one answer."""

    message_def: MessageDef


class EmaidContents(Message):
    """All answers."""

    emaid_content: list[EmaidContent] = []


class CcpResponse(msgspec.Struct):
    """Envelope of the answers."""

    response: EmaidContents = msgspec.field(name="CCPResponse")


class Provided(Message):
    """An answer for the OEM."""

    certificate_installation_res: str
    xsd_msg_def_namespace: str = ISO2
    root: str = msgspec.field(name="cpsV2GRootCertificateFingerprint", default="")

    @property
    def message(self) -> bytes:
        """EXI."""
        return octets(self.certificate_installation_res)


class ListedContract(Message):
    """A contract in a list."""

    emaid: str
    pcid: str = ""
    contract_certificate: str = ""
    xsd_msg_def_namespace: str = ISO2
    default_contract: bool = False
    cert_valid_from: str = ""
    cert_valid_to: str = ""
    root: str = msgspec.field(name="cpsV2GRootCertificateFingerprint", default="")


class ListedContracts(msgspec.Struct):
    """List of contracts."""

    contracts: list[ListedContract] = msgspec.field(name="XMLContracts", default_factory=list)


class Endpoint(Message):
    """A webhook endpoint. secret: hex key of the signatures, in the answer to its making."""

    id: str
    url: str
    status: str = ""
    description: str = ""
    secret: str = ""
    enabled_events: list[str] = []
    metadata: dict[str, Any] = {}


@dataclass(frozen=True, slots=True)
class InstallationAnswer:
    """What a vehicle gets. message: EXI. available: False when it says that there is nothing."""

    message: bytes
    emaid: str
    note: str
    available: bool


@dataclass(frozen=True, slots=True)
class ContractData:
    """A contract that an MO has issued itself: certificates DER, the key in its envelope."""

    certificate: bytes
    sub_ca_1: bytes
    sub_ca_2: bytes | None
    encrypted_private_key: bytes
    dh_public_key: bytes
