"""Finished transactions as OCPI CDRs: `ports.charge_detail.ChargeDetailSink` towards a mobility operator."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import TypeVar

import msgspec

from backend_client.ocpi_messages import (
    AuthorizationInfo,
    Cdr,
    CdrDimension,
    CdrLocation,
    CdrToken,
    ChargingPeriod,
    ConnectorFormat,
    ConnectorType,
    GeoLocation,
    PowerType,
    Price,
    SignedData,
    SignedValue,
    TokenType,
)
from backend_client.ocpi_session import OcpiSession, Party
from backend_client.ocpi_types import encode, number, utc
from ocmf.container import FormatError, parse
from ports.backend import Ack
from ports.charge_detail import ChargeDetail
from ports.charge_detail import SignedValue as PortValue
from ports.errors import LocalError

M = TypeVar("M", bound=msgspec.Struct)
MAX_SIGNED = 5000  # 10.4.8, signed_data
MAX_OCMF = MAX_SIGNED // 4 * 3  # octets before base64
CENT = Decimal("0.01")
_RFID = frozenset({"ISO14443", "ISO15693"})
_APP = frozenset({"CENTRAL", "CENTRAL_1", "CENTRAL_2"})
InfoOf = Callable[[str], AuthorizationInfo | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class OcpiSite:
    """Where the stations of one CPO stand, as CDRs must say (10.4.4), and what the CPO charges the MO.

    price_per_kwh: in `currency`, without VAT. country: ISO 3166-1 alpha-3.
    """

    location_id: str
    address: str
    city: str
    postal_code: str
    country: str
    latitude: str
    longitude: str
    connector_standard: ConnectorType = "IEC_62196_T2"
    connector_format: ConnectorFormat = "SOCKET"
    power_type: PowerType = "AC_3_PHASE"
    currency: str = "EUR"
    price_per_kwh: Decimal = Decimal(0)


def token_type(id_type: str) -> TokenType:
    """OCPI's word for an OCMF identification type (table 17). 2.2.1 has none for contracts: OTHER."""
    return "RFID" if id_type in _RFID else "APP_USER" if id_type in _APP else "OTHER"


def cdr_of(
    detail: ChargeDetail, operator: Party, site: OcpiSite, now: datetime, info: AuthorizationInfo | None = None
) -> Cdr:
    """The CDR of a finished transaction. info: what the MO said when the token was authorised, None = nothing kept.

    Raises LocalError naming the field and its limit when something does not fit: it would be refused by any MO.
    """
    energy = number(detail.energy_kwh)
    hours = number(Decimal(int((detail.ended - detail.began).total_seconds())) / 3600)
    cost = (detail.energy_kwh * site.price_per_kwh).quantize(CENT, ROUND_HALF_UP)
    began = utc(detail.began)
    cdr = Cdr(
        country_code=operator.country_code,
        party_id=operator.party_id,
        id=detail.id,
        start_date_time=began,
        end_date_time=utc(detail.ended),
        session_id=detail.transaction_id,
        cdr_token=_token(detail, info),
        auth_method="AUTH_REQUEST" if info else "WHITELIST",
        authorization_reference=info.authorization_reference if info else None,
        cdr_location=_location(detail, site),
        meter_id=detail.meter,
        currency=site.currency,
        charging_periods=[
            ChargingPeriod(
                start_date_time=began,
                dimensions=[CdrDimension(type="ENERGY", volume=energy), CdrDimension(type="TIME", volume=hours)],
            )
        ],
        signed_data=_signed(detail),
        total_cost=Price(excl_vat=cost),
        total_energy=energy,
        total_time=hours,
        remark=f"stopped: {detail.stop_reason}"[:255] if detail.stop_reason else None,
        last_updated=utc(now),
    )
    return checked(cdr, f"CDR {detail.id}")


def checked(message: M, name: str) -> M:
    """The message as it is. Raises LocalError when a field breaks a published limit: better here than at the peer."""
    try:
        msgspec.json.decode(encode(message), type=type(message))
    except msgspec.ValidationError as error:
        raise LocalError(f"OCPI 2.2.1, {name}: {error}") from None
    return message


class OcpiCdrs:
    """POSTs CDRs to one mobility operator (10.2.2)."""

    def __init__(
        self,
        session: OcpiSession,
        operator: Party,
        site: OcpiSite,
        now: Callable[[], datetime],
        info_of: InfoOf = lambda _uid: None,
    ) -> None:
        """operator: the CPO. now: civil time. info_of: the MO's last word about a token, see `OcpiAuthoriser.info`."""
        self._session = session
        self._operator = operator
        self._site = site
        self._now = now
        self._info_of = info_of

    async def push(self, detail: ChargeDetail) -> Ack:
        """Raises LocalError (does not fit OCPI), PeerError (refused for good) or RigError (try again)."""
        cdr = cdr_of(detail, self._operator, self._site, self._now(), self._info_of(detail.user_id))
        answer = await self._session.request("POST", await self._session.endpoint("cdrs", "RECEIVER"), cdr)
        return Ack.STORED if answer.http == 201 else Ack.DUPLICATE


def _token(detail: ChargeDetail, info: AuthorizationInfo | None) -> CdrToken:
    if info is not None:
        token = info.token
        return CdrToken(
            country_code=token.country_code,
            party_id=token.party_id,
            uid=token.uid,
            type=token.type,
            contract_id=token.contract_id,
        )
    provider = detail.user_id if detail.id_type == "EMAID" else ""
    return CdrToken(
        country_code=provider[:2] or "ZZ",  # nobody's: the owner of a card is known to its MO alone
        party_id=provider.replace("-", "")[2:5] or "ZZZ",
        uid=detail.user_id,
        type=token_type(detail.id_type),
        contract_id=detail.user_id,
    )


def _location(detail: ChargeDetail, site: OcpiSite) -> CdrLocation:
    return CdrLocation(
        id=site.location_id,
        address=site.address,
        city=site.city,
        postal_code=site.postal_code,
        country=site.country,
        coordinates=GeoLocation(latitude=site.latitude, longitude=site.longitude),
        evse_uid=detail.evse_id,
        evse_id=detail.evse_id,
        connector_id=str(detail.connector),
        connector_standard=site.connector_standard,
        connector_format=site.connector_format,
        connector_power_type=site.power_type,
    )


def _signed(detail: ChargeDetail) -> SignedData:
    try:
        key = base64.b64encode(bytes.fromhex(detail.public_key)).decode()
    except ValueError:
        raise LocalError(f"CDR {detail.id}: the public key is not hexadecimal") from None
    return SignedData(
        encoding_method="OCMF",
        public_key=key,
        signed_values=[_value(detail.id, value) for value in detail.values],
    )


def _value(cdr: str, value: PortValue) -> SignedValue:
    octets = value.ocmf.encode()
    if len(octets) > MAX_OCMF:
        raise LocalError(
            f"CDR {cdr}: the {value.nature} record has {len(octets)} octets, OCPI's signed_data takes {MAX_OCMF} "
            f"({MAX_SIGNED} in base64): take fewer readings into one record"
        )
    return SignedValue(
        nature=value.nature.value, plain_data=_plain(cdr, value), signed_data=base64.b64encode(octets).decode()
    )


def _plain(cdr: str, value: PortValue) -> str:
    """One line for people; the record itself does not fit 512 characters."""
    try:
        record = parse(value.ocmf)
    except FormatError as error:
        raise LocalError(f"CDR {cdr}: the {value.nature} record cannot be read: {error}") from None
    readings = (f"{one.tx} {one.kwh} kWh" for one in record.readings)
    return f"{record.string('MS')} {record.string('PG')}: {', '.join(readings)}"[:512]
