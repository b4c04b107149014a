"""Finished transactions as OICP 2.3 charge detail records: `ports.charge_detail.ChargeDetailSink` towards a hub."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import ROUND_HALF_EVEN, Decimal

from backend_client.ocpi_types import utc
from backend_client.oicp_authoriser import identification
from backend_client.oicp_messages import (
    CDR_PATH,
    MAX_SIGNED_VALUE,
    MAX_SIGNED_VALUES,
    Acknowledgement,
    CalibrationLawVerificationInfo,
    ChargeDetailRecord,
    MeteringStatus,
    SignedMeteringValue,
)
from backend_client.oicp_session import OicpSession, checked
from ocmf.container import FormatError, Record, parse
from ports.backend import Ack
from ports.charge_detail import ChargeDetail, Nature, SignedValue
from ports.errors import LocalError

DUPLICATE = "duplicate"  # what our hub says of a record that it has already, in AdditionalInfo
_WH = Decimal("0.001")  # OICP 2.3: Decimal (,3)
STATUS: dict[Nature, MeteringStatus] = {Nature.START: "Start", Nature.INTERMEDIATE: "Progress", Nature.END: "End"}


def extract(values: Sequence[SignedValue]) -> list[SignedValue]:
    """At most ten: begin, end, and as many between them, evenly chosen."""
    last, steps = len(values) - 1, MAX_SIGNED_VALUES - 1
    if last <= steps:
        return list(values)
    return [values[round(Decimal(step * last) / steps)] for step in range(steps + 1)]


def record_of(detail: ChargeDetail, session_id: str, certificate_id: str = "", url: str = "") -> ChargeDetailRecord:
    """The charge detail record of a finished transaction.

    certificate_id: of the type examination. url: where all signed values can be had. Raises LocalError naming the field
    and its limit when something does not fit.
    """
    carried = extract(detail.values)
    records = [_parsed(detail, one) for one in carried]
    left_out = len(detail.values) - len(carried)
    version = records[0].string("FV") if records else ""
    record = ChargeDetailRecord(
        session_id=session_id,
        cpo_partner_session_id=detail.id,
        evse_id=detail.evse_id,
        identification=identification(detail.user_id, detail.id_type),
        session_start=utc(detail.began),
        session_end=utc(detail.ended),
        charging_start=utc(detail.began),
        charging_end=utc(detail.ended),
        consumed_energy=detail.energy_kwh.quantize(_WH, ROUND_HALF_EVEN),
        meter_value_start=_kwh(records[:1], 0),
        meter_value_end=_kwh(records[-1:], -1),
        signed_metering_values=[
            SignedMeteringValue(signed_metering_value=one.ocmf, metering_status=STATUS[one.nature]) for one in carried
        ],
        calibration_law_verification_info=CalibrationLawVerificationInfo(
            calibration_law_certificate_id=certificate_id or None,
            public_key=detail.public_key,
            metering_signature_url=url or None,
            metering_signature_encoding_format=f"OCMF: V{version}",
            signed_metering_values_verification_instruction=_instruction(records, left_out),
        ),
    )
    return checked(record, f"charge detail record {detail.id}")


class OicpCdrs:
    """Sends charge detail records to one hub, as one operator."""

    def __init__(
        self,
        session: OicpSession,
        operator_id: str,
        session_of: Callable[[ChargeDetail], str],
        *,
        certificate_id: str = "",
        url: str = "",
    ) -> None:
        """session_of: the hub's SessionID, see `OicpAuthoriser.session_of`. Others: see `record_of`."""
        self._session = session
        self._operator_id = operator_id
        self._session_of = session_of
        self._certificate_id = certificate_id
        self._url = url

    async def push(self, detail: ChargeDetail) -> Ack:
        """Raises LocalError (does not fit OICP), PeerError (refused for good) or RigError (try again)."""
        record = record_of(detail, self._session_of(detail), self._certificate_id, self._url)
        path = CDR_PATH.format(operator=self._operator_id)
        answer = await self._session.post(path, record, Acknowledgement)
        return Ack.DUPLICATE if answer.status_code.additional_info == DUPLICATE else Ack.STORED


def _parsed(detail: ChargeDetail, value: SignedValue) -> Record:
    if len(value.ocmf) > MAX_SIGNED_VALUE:
        raise LocalError(
            f"charge detail {detail.id}: the {value.nature} record has {len(value.ocmf)} characters, OICP's "
            f"SignedMeteringValue takes {MAX_SIGNED_VALUE}: take fewer readings into one record"
        )
    try:
        return parse(value.ocmf)
    except FormatError as error:
        raise LocalError(f"charge detail {detail.id}: the {value.nature} record cannot be read: {error}") from None


def _kwh(records: Sequence[Record], place: int) -> Decimal | None:
    """The register at the first or last reading."""
    readings = records[0].readings if records else ()
    value = readings[place].kwh if readings else None
    return None if value is None else value.quantize(_WH, ROUND_HALF_EVEN)


def _instruction(records: Sequence[Record], left_out: int) -> str:
    text = "OCMF records as signed, for the S.A.F.E. transparency software."
    if left_out:
        pages = f"{records[0].string('PG')} to {records[-1].string('PG')}"
        total = len(records) + left_out
        text += f" Extract: {len(records)} of {total} records of pages {pages}: begin, end, others evenly chosen."
    return text[:400]
