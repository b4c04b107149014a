"""A charge detail record as it came, whichever protocol carried it."""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

import msgspec

from backend_client.cpo_messages import decode
from backend_client.ocpi_messages import Cdr
from backend_client.ocpi_types import encode, utc
from backend_client.oicp_messages import ChargeDetailRecord, MeteringStatus
from ports.charge_detail import Nature, SignedValue
from ports.errors import PeerError

OICP_NATURES: dict[MeteringStatus, Nature] = {
    "Start": Nature.START,
    "Progress": Nature.INTERMEDIATE,
    "End": Nature.END,
}


class Channel(StrEnum):
    """What carried it."""

    OCPI = "OCPI"
    OICP = "OICP"


class UnreadableCdr(PeerError):
    """Signed values that cannot be taken out of their envelope."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedCdr:
    """operator: who sent it, e.g. "DEPLB". id: of the record there. uid: what started the session.

    energy_kwh: as claimed; None when nothing was. values: as carried, begin first. body: what is kept as evidence.
    credits: id of the record that this one takes back, "" for a normal one.
    """

    channel: Channel
    operator: str
    id: str
    session_id: str
    uid: str
    evse_id: str
    meter: str
    began: datetime
    ended: datetime
    energy_kwh: Decimal | None
    values: tuple[SignedValue, ...]
    credits: str = ""
    body: bytes = field(default=b"", repr=False)

    @property
    def content(self) -> str:
        """SHA-256 of what counts: equal in every repetition, whenever it is sent."""
        counted = (
            self.uid,
            self.evse_id,
            self.meter,
            utc(self.began),
            utc(self.ended),
            self.energy_kwh,
            self.credits,
            [(one.nature, one.ocmf) for one in self.values],
        )
        return hashlib.sha256(msgspec.json.encode(counted)).hexdigest()


def from_ocpi(cdr: Cdr) -> ReceivedCdr:
    """Raises UnreadableCdr."""
    signed = cdr.signed_data
    if signed is not None and signed.encoding_method.upper() != "OCMF":
        raise UnreadableCdr(f"signed_data is in {signed.encoding_method!r}: only OCMF can be checked here")
    return ReceivedCdr(
        channel=Channel.OCPI,
        operator=f"{cdr.country_code}{cdr.party_id}".upper(),
        id=cdr.id,
        session_id=cdr.session_id or "",
        uid=cdr.cdr_token.uid,
        evse_id=cdr.cdr_location.evse_id,
        meter=cdr.meter_id or "",
        began=utc(cdr.start_date_time),
        ended=utc(cdr.end_date_time),
        energy_kwh=cdr.total_energy,
        values=tuple(
            SignedValue(_nature(value.nature), _record(value.signed_data))
            for value in (signed.signed_values if signed else ())
        ),
        credits=(cdr.credit_reference_id or "?") if cdr.credit else "",
        body=encode(cdr),
    )


def from_oicp(record: ChargeDetailRecord, operator: str) -> ReceivedCdr:
    """operator: who sent it. The contract counts where the card says none. Raises UnreadableCdr."""
    info = record.calibration_law_verification_info
    form = (info.metering_signature_encoding_format if info else None) or "OCMF"
    if record.signed_metering_values and not form.upper().startswith("OCMF"):
        raise UnreadableCdr(f"signed metering values are in {form!r}: only OCMF can be checked here")
    return ReceivedCdr(
        channel=Channel.OICP,
        operator=plain_operator(operator),
        id=record.session_id,
        session_id=record.cpo_partner_session_id or record.session_id,
        uid=record.identification.value,
        evse_id=record.evse_id,
        meter="",  # OICP has no field for it
        began=utc(record.charging_start),
        ended=utc(record.charging_end),
        energy_kwh=record.consumed_energy,
        values=tuple(
            SignedValue(OICP_NATURES[value.metering_status], value.signed_metering_value)
            for value in record.signed_metering_values
        ),
        body=encode(record),
    )


def from_body(channel: Channel, operator: str, body: bytes) -> ReceivedCdr:
    """What was kept as evidence, once more. Raises MessageError, UnreadableCdr."""
    if channel is Channel.OCPI:
        return from_ocpi(decode(body, Cdr, len(body)))
    return from_oicp(decode(body, ChargeDetailRecord, len(body)), operator)


def plain_operator(operator: str) -> str:
    """DE*PLB and DEPLB are the same operator."""
    return operator.replace("*", "").upper()


def _nature(word: str) -> Nature:
    try:
        return Nature(word.capitalize())  # CiString: case does not matter
    except ValueError:
        raise UnreadableCdr(f"nature {word!r} is not Start, Intermediate or End") from None


def _record(text: str) -> str:
    """OCPI wants base64 (10.4.8); some senders leave it out."""
    if text.startswith("OCMF|"):
        return text
    try:
        return base64.b64decode("".join(text.split()), validate=True).decode()
    except (binascii.Error, ValueError):
        raise UnreadableCdr(f"signed_data {text[:20]!r} is no base64 of text", text[:2000]) from None
