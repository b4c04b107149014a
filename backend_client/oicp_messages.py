"""Messages of OICP 2.3 with their published limits: charge detail records and authorisation.

Fields, lengths, patterns: hubject/oicp, OICP-2.3, Charge Detail Record API v2.2 and Authorization API v2.1 (Swagger),
data types (CPO, 03); where the two differ, the data types, which are newer.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal, TypeAlias

import msgspec

from backend_client.ocpi_types import S20, S100, TEXT

CDR_PATH = "/api/oicp/cdrmgmt/v22/operators/{operator}/charge-detail-record"
GET_CDRS_PATH = "/api/oicp/cdrmgmt/v22/providers/{provider}/get-charge-detail-records-request"
AUTHORIZE_START_PATH = "/api/oicp/charging/v21/operators/{operator}/authorize/start"
MAX_SIGNED_VALUES = 10
MAX_SIGNED_VALUE = 3000

PROVIDER = r"^([A-Za-z]{2}-?[A-Za-z0-9]{3}|[A-Za-z]{2}[*|-]?[A-Za-z0-9]{3})\Z"
OPERATOR = r"^(([A-Za-z]{2}\*?[A-Za-z0-9]{3})|(\+?[0-9]{1,3}\*[0-9]{3}))\Z"
ProviderId: TypeAlias = Annotated[str, msgspec.Meta(pattern=PROVIDER)]
OperatorId: TypeAlias = Annotated[str, msgspec.Meta(pattern=OPERATOR)]
SessionId: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9]{8}(-[A-Za-z0-9]{4}){3}-[A-Za-z0-9]{12}\Z")]
EvseId: TypeAlias = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^(([A-Za-z]{2}\*?[A-Za-z0-9]{3}\*?E[A-Za-z0-9*]{1,30})|(\+?[0-9]{1,3}\*[0-9]{3}\*[0-9*]{1,32}))\Z"
    ),
]
EvcoId: TypeAlias = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^(([A-Za-z]{2}-?[A-Za-z0-9]{3}-?C[A-Za-z0-9]{8}-?[0-9A-Za-z])"
        r"|([A-Za-z]{2}[*-]?[A-Za-z0-9]{3}[*-]?[A-Za-z0-9]{6}[*-]?[0-9X]))\Z"
    ),
]
Uid: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"^([0-9A-F]{8}|[0-9A-F]{14}|[0-9A-F]{20})\Z")]
S50: TypeAlias = Annotated[str, msgspec.Meta(max_length=50, pattern=TEXT)]
S200: TypeAlias = Annotated[str, msgspec.Meta(max_length=200, pattern=TEXT)]
S250: TypeAlias = Annotated[str, msgspec.Meta(max_length=250, pattern=TEXT)]
S400: TypeAlias = Annotated[str, msgspec.Meta(max_length=400, pattern=TEXT)]
S1000: TypeAlias = Annotated[str, msgspec.Meta(max_length=1000, pattern=TEXT)]
S3000: TypeAlias = Annotated[str, msgspec.Meta(max_length=MAX_SIGNED_VALUE, pattern=TEXT)]
Code: TypeAlias = Literal[
    "000", "001", "002", "009", "017", "018", "019", "021", "022", "101", "102", "103", "105", "106", "110", "120",
    "121", "122", "200", "210", "300", "310", "320", "400", "501", "510", "601", "602", "603", "604", "700",
]  # fmt: skip
MeteringStatus: TypeAlias = Literal["Start", "Progress", "End"]


class Message(msgspec.Struct, rename="pascal", kw_only=True, omit_defaults=True):
    """An object of OICP; optional fields that are not set are left out."""


class StatusCode(Message):
    """code "000" is success."""

    code: Code
    description: S200 | None = None
    additional_info: S1000 | None = None


class RfidMifare(Message):
    """A card: 4, 7 or 10 octets, hexadecimal."""

    uid: Uid = msgspec.field(name="UID")


class Contract(Message):
    """A contract: of Plug & Charge, or one that is charged from afar."""

    evco_id: EvcoId = msgspec.field(name="EvcoID")


class QrCode(Message):
    """A printed contract. pin: clear text, asked for at authorisation."""

    evco_id: EvcoId = msgspec.field(name="EvcoID")
    pin: S20 | None = msgspec.field(name="PIN", default=None)


class Rfid(Message):
    """A card of a named kind; not for authorisation."""

    uid: Uid = msgspec.field(name="UID")
    rfid: Literal["mifareCls", "mifareDes", "calypso", "nfc", "mifareFamily"] = msgspec.field(name="RFID")
    evco_id: EvcoId | None = msgspec.field(name="EvcoID", default=None)


class Identification(Message):
    """Exactly one of them."""

    rfid_mifare: RfidMifare | None = msgspec.field(name="RFIDMifareFamilyIdentification", default=None)
    plug_and_charge: Contract | None = msgspec.field(name="PlugAndChargeIdentification", default=None)
    remote: Contract | None = msgspec.field(name="RemoteIdentification", default=None)
    qr_code: QrCode | None = msgspec.field(name="QRCodeIdentification", default=None)
    rfid: Rfid | None = msgspec.field(name="RFIDIdentification", default=None)

    def __post_init__(self) -> None:
        given = (self.rfid_mifare, self.plug_and_charge, self.remote, self.qr_code, self.rfid)
        if sum(one is not None for one in given) != 1:
            raise ValueError("exactly one identification is needed")

    @property
    def evco_id(self) -> str:
        """The contract, "" for a card that names none."""
        contract = self.plug_and_charge or self.remote or self.qr_code or self.rfid
        return (contract.evco_id or "") if contract else ""

    @property
    def value(self) -> str:
        """What the driver showed: the card's UID or the contract."""
        card = self.rfid_mifare or self.rfid
        return card.uid if card else self.evco_id


class SignedMeteringValue(Message):
    """A value in the form that transparency software reads."""

    signed_metering_value: S3000
    metering_status: MeteringStatus


class CalibrationLawVerificationInfo(Message):
    """How the signed values are checked."""

    calibration_law_certificate_id: S100 | None = msgspec.field(name="CalibrationLawCertificateID", default=None)
    public_key: S1000 | None = None
    metering_signature_url: S200 | None = None  # Swagger still has 100
    metering_signature_encoding_format: S50 | None = None
    signed_metering_values_verification_instruction: S400 | None = None


class MeterValueInBetween(Message):
    """Values in kWh."""

    meter_values: list[Decimal] = msgspec.field(name="meterValues", default_factory=list)


class ChargeDetailRecord(Message):
    """eRoamingChargeDetailRecord: one for a session."""

    session_id: SessionId = msgspec.field(name="SessionID")
    evse_id: EvseId = msgspec.field(name="EvseID")
    identification: Identification
    charging_start: datetime
    charging_end: datetime
    session_start: datetime
    session_end: datetime
    consumed_energy: Decimal
    cpo_partner_session_id: S250 | None = msgspec.field(name="CPOPartnerSessionID", default=None)
    emp_partner_session_id: S250 | None = msgspec.field(name="EMPPartnerSessionID", default=None)
    partner_product_id: S100 | None = msgspec.field(name="PartnerProductID", default=None)
    meter_value_start: Decimal | None = None
    meter_value_end: Decimal | None = None
    meter_value_in_between: MeterValueInBetween | None = None
    signed_metering_values: Annotated[list[SignedMeteringValue], msgspec.Meta(max_length=MAX_SIGNED_VALUES)] = []
    calibration_law_verification_info: CalibrationLawVerificationInfo | None = None
    hub_operator_id: OperatorId | None = msgspec.field(name="HubOperatorID", default=None)
    hub_provider_id: ProviderId | None = msgspec.field(name="HubProviderID", default=None)


class Acknowledgement(Message):
    """eRoamingAcknowledgement: the answer to most requests."""

    result: bool
    status_code: StatusCode
    session_id: SessionId | None = msgspec.field(name="SessionID", default=None)
    cpo_partner_session_id: S250 | None = msgspec.field(name="CPOPartnerSessionID", default=None)
    emp_partner_session_id: S250 | None = msgspec.field(name="EMPPartnerSessionID", default=None)


class AuthorizeStart(Message):
    """eRoamingAuthorizeStart."""

    operator_id: OperatorId = msgspec.field(name="OperatorID")
    identification: Identification
    evse_id: EvseId | None = msgspec.field(name="EvseID", default=None)
    session_id: SessionId | None = msgspec.field(name="SessionID", default=None)
    cpo_partner_session_id: S250 | None = msgspec.field(name="CPOPartnerSessionID", default=None)
    emp_partner_session_id: S250 | None = msgspec.field(name="EMPPartnerSessionID", default=None)
    partner_product_id: S100 | None = msgspec.field(name="PartnerProductID", default=None)


class AuthorizationStart(Message):
    """eRoamingAuthorizationStart: the answer."""

    authorization_status: Literal["Authorized", "NotAuthorized"]
    status_code: StatusCode
    session_id: SessionId | None = msgspec.field(name="SessionID", default=None)
    provider_id: ProviderId | None = msgspec.field(name="ProviderID", default=None)
    cpo_partner_session_id: S250 | None = msgspec.field(name="CPOPartnerSessionID", default=None)
    emp_partner_session_id: S250 | None = msgspec.field(name="EMPPartnerSessionID", default=None)


class GetChargeDetailRecords(Message):
    """eRoamingGetChargeDetailRecords."""

    provider_id: ProviderId = msgspec.field(name="ProviderID")
    from_: datetime = msgspec.field(name="From")
    to: datetime = msgspec.field(name="To")
    session_ids: list[SessionId] = msgspec.field(name="SessionID", default_factory=list)
    operator_ids: list[OperatorId] = msgspec.field(name="OperatorID", default_factory=list)
    cdr_forwarded: bool | None = msgspec.field(name="CDRForwarded", default=None)


class Page(msgspec.Struct, kw_only=True, rename="camel"):
    """A page of charge detail records."""

    content: list[ChargeDetailRecord]
    number: int
    size: int
    total_elements: int
    total_pages: int
    first: bool
    last: bool
    number_of_elements: int
    status_code: StatusCode | None = msgspec.field(name="StatusCode", default=None)
