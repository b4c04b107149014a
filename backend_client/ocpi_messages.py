"""Messages of OCPI 2.2.1 with their published limits; what we do not know is ignored, as the standard asks.

Lengths, cardinalities and words: ocpi/ocpi, release 2.2.1, modules versions (6), credentials (7), sessions (9), cdrs
(10), tokens (12), commands (13).
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, TypeAlias

import msgspec

from backend_client.ocpi_types import (
    S2,
    S10,
    S20,
    S45,
    S64,
    S100,
    S255,
    S512,
    S5000,
    Ci32,
    Ci36,
    Ci39,
    Ci48,
    Country3,
    CountryCode,
    Currency,
    Latitude,
    Longitude,
    PartyId,
    Url,
)

VERSION = "2.2.1"

TokenType: TypeAlias = Literal["AD_HOC_USER", "APP_USER", "OTHER", "RFID"]  # 12.4.4
Allowed: TypeAlias = Literal["ALLOWED", "BLOCKED", "EXPIRED", "NO_CREDIT", "NOT_ALLOWED"]  # 12.4.1
AuthMethod: TypeAlias = Literal["AUTH_REQUEST", "COMMAND", "WHITELIST"]  # 10.4.1
ConnectorFormat: TypeAlias = Literal["SOCKET", "CABLE"]  # 8.4.4
PowerType: TypeAlias = Literal["AC_1_PHASE", "AC_2_PHASE", "AC_2_PHASE_SPLIT", "AC_3_PHASE", "DC"]  # 8.4.19
SessionStatus: TypeAlias = Literal["ACTIVE", "COMPLETED", "INVALID", "PENDING", "RESERVATION"]  # 9.4.3
ConnectorType: TypeAlias = Literal[  # 8.4.5
    "CHADEMO", "CHAOJI", "DOMESTIC_A", "DOMESTIC_B", "DOMESTIC_C", "DOMESTIC_D", "DOMESTIC_E", "DOMESTIC_F",
    "DOMESTIC_G", "DOMESTIC_H", "DOMESTIC_I", "DOMESTIC_J", "DOMESTIC_K", "DOMESTIC_L", "DOMESTIC_M", "DOMESTIC_N",
    "DOMESTIC_O", "GBT_AC", "GBT_DC", "IEC_60309_2_single_16", "IEC_60309_2_three_16", "IEC_60309_2_three_32",
    "IEC_60309_2_three_64", "IEC_62196_T1", "IEC_62196_T1_COMBO", "IEC_62196_T2", "IEC_62196_T2_COMBO",
    "IEC_62196_T3A", "IEC_62196_T3C", "NEMA_5_20", "NEMA_6_30", "NEMA_6_50", "NEMA_10_30", "NEMA_10_50", "NEMA_14_30",
    "NEMA_14_50", "PANTOGRAPH_BOTTOM_UP", "PANTOGRAPH_TOP_DOWN", "TESLA_R", "TESLA_S",
]  # fmt: skip
DimensionType: TypeAlias = Literal[  # 10.4.3
    "CURRENT", "ENERGY", "ENERGY_EXPORT", "ENERGY_IMPORT", "MAX_CURRENT", "MIN_CURRENT", "MAX_POWER", "MIN_POWER",
    "PARKING_TIME", "POWER", "RESERVATION_TIME", "STATE_OF_CHARGE", "TIME",
]  # fmt: skip
CommandAnswer: TypeAlias = Literal["NOT_SUPPORTED", "REJECTED", "ACCEPTED", "UNKNOWN_SESSION"]  # 13.4.1
CommandOutcome: TypeAlias = Literal[  # 13.4.2
    "ACCEPTED", "CANCELED_RESERVATION", "EVSE_OCCUPIED", "EVSE_INOPERATIVE", "FAILED", "NOT_SUPPORTED", "REJECTED",
    "TIMEOUT", "UNKNOWN_RESERVATION",
]  # fmt: skip
InterfaceRole: TypeAlias = Literal["SENDER", "RECEIVER"]  # 6.2.2


class Message(msgspec.Struct, kw_only=True, omit_defaults=True):
    """An object of OCPI; optional fields that are not set are left out."""


class Envelope(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Every answer (4.1.7). status_code: 1xxx is success (chapter 5)."""

    status_code: int
    timestamp: datetime
    data: Any = None
    status_message: S255 | None = None


class DisplayText(Message):
    """16.3."""

    language: S2
    text: S512


class Price(Message):
    """16.5, in the currency of the object around it."""

    excl_vat: Decimal
    incl_vat: Decimal | None = None


# --- versions and credentials (6, 7) ---------------------------------------------------------------------------------


class Version(Message):
    """One version that a platform speaks."""

    version: str
    url: Url


class Endpoint(Message):
    """Where a module is. identifier: ModuleID, e.g. "cdrs"."""

    identifier: Ci36
    role: InterfaceRole
    url: Url


class VersionDetails(Message):
    """The modules of one version."""

    version: str
    endpoints: Annotated[list[Endpoint], msgspec.Meta(min_length=1)]


class BusinessDetails(Message):
    """8.4.2."""

    name: S100


class CredentialsRole(Message):
    """7.4.1: one party on a platform."""

    role: Literal["CPO", "EMSP", "HUB", "NAP", "NSP", "OTHER", "SCSP"]
    business_details: BusinessDetails
    party_id: PartyId
    country_code: CountryCode


class Credentials(Message):
    """7.3.1. token: what the reader must show to the writer from now on."""

    token: S64
    url: Url
    roles: Annotated[list[CredentialsRole], msgspec.Meta(min_length=1)]


# --- tokens (12) -----------------------------------------------------------------------------------------------------


class LocationReferences(Message):
    """12.4.3."""

    location_id: Ci36
    evse_uids: list[Ci36] = []


class Token(Message):
    """12.3.2: what identifies a driver."""

    country_code: CountryCode
    party_id: PartyId
    uid: Ci36
    type: TokenType
    contract_id: Ci36
    issuer: S64
    valid: bool
    whitelist: Literal["ALWAYS", "ALLOWED", "ALLOWED_OFFLINE", "NEVER"]
    last_updated: datetime
    visual_number: S64 | None = None
    group_id: Ci36 | None = None
    language: S2 | None = None


class AuthorizationInfo(Message):
    """12.3.1: the answer to a real-time authorisation."""

    allowed: Allowed
    token: Token
    location: LocationReferences | None = None
    authorization_reference: Ci36 | None = None
    info: DisplayText | None = None


# --- CDRs (10) and sessions (9) --------------------------------------------------------------------------------------


class GeoLocation(Message):
    """8.4.13."""

    latitude: Latitude
    longitude: Longitude


class CdrToken(Message):
    """10.4.5."""

    country_code: CountryCode
    party_id: PartyId
    uid: Ci36
    type: TokenType
    contract_id: Ci36


class CdrLocation(Message):
    """10.4.4."""

    id: Ci36
    address: S45
    city: S45
    country: Country3
    coordinates: GeoLocation
    evse_uid: Ci36
    evse_id: Ci48
    connector_id: Ci36
    connector_standard: ConnectorType
    connector_format: ConnectorFormat
    connector_power_type: PowerType
    name: S255 | None = None
    postal_code: S10 | None = None
    state: S20 | None = None


class CdrDimension(Message):
    """10.4.2."""

    type: DimensionType
    volume: Decimal


class ChargingPeriod(Message):
    """10.4.6."""

    start_date_time: datetime
    dimensions: Annotated[list[CdrDimension], msgspec.Meta(min_length=1)]
    tariff_id: Ci36 | None = None


class SignedValue(Message):
    """10.4.8. nature: Start, End, Intermediate, others may come. signed_data: base64."""

    nature: Ci32
    plain_data: S512
    signed_data: S5000


class SignedData(Message):
    """10.4.7. public_key: base64."""

    encoding_method: Ci36
    signed_values: Annotated[list[SignedValue], msgspec.Meta(min_length=1)]
    encoding_method_version: int | None = None
    public_key: S512 | None = None
    url: S512 | None = None


class Cdr(Message):
    """10.3.1: a charge detail record."""

    country_code: CountryCode
    party_id: PartyId
    id: Ci39
    start_date_time: datetime
    end_date_time: datetime
    cdr_token: CdrToken
    auth_method: AuthMethod
    cdr_location: CdrLocation
    currency: Currency
    charging_periods: Annotated[list[ChargingPeriod], msgspec.Meta(min_length=1)]
    total_cost: Price
    total_energy: Decimal
    total_time: Decimal
    last_updated: datetime
    session_id: Ci36 | None = None
    authorization_reference: Ci36 | None = None
    meter_id: S255 | None = None
    tariffs: list[dict[str, Any]] = []
    signed_data: SignedData | None = None
    total_fixed_cost: Price | None = None
    total_energy_cost: Price | None = None
    total_time_cost: Price | None = None
    total_parking_time: Decimal | None = None
    total_parking_cost: Price | None = None
    total_reservation_cost: Price | None = None
    remark: S255 | None = None
    invoice_reference_id: Ci39 | None = None
    credit: bool | None = None
    credit_reference_id: Ci39 | None = None
    home_charging_compensation: bool | None = None


class Session(Message):
    """9.3.1: a session under way, or done."""

    country_code: CountryCode
    party_id: PartyId
    id: Ci36
    start_date_time: datetime
    kwh: Decimal
    cdr_token: CdrToken
    auth_method: AuthMethod
    location_id: Ci36
    evse_uid: Ci36
    connector_id: Ci36
    currency: Currency
    status: SessionStatus
    last_updated: datetime
    end_date_time: datetime | None = None
    authorization_reference: Ci36 | None = None
    meter_id: S255 | None = None
    charging_periods: list[ChargingPeriod] = []
    total_cost: Price | None = None


# --- commands (13) ---------------------------------------------------------------------------------------------------


class StartSession(Message):
    """13.3.5. response_url: where the result is posted."""

    response_url: Url
    token: Token
    location_id: Ci36
    evse_uid: Ci36 | None = None
    connector_id: Ci36 | None = None
    authorization_reference: Ci36 | None = None


class StopSession(Message):
    """13.3.6."""

    response_url: Url
    session_id: Ci36


class CommandResponse(Message):
    """13.3.2: the CPO's answer at once. timeout: seconds until the result is given up."""

    result: CommandAnswer
    timeout: int
    message: list[DisplayText] = []


class CommandResult(Message):
    """13.3.3: what the station made of it."""

    result: CommandOutcome
    message: list[DisplayText] = []
