"""What a signed record says about itself: everything that a message about it needs is read from the signed bytes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from ocmf.container import Record, parse
from ocmf.reading import EXACT
from ports.backend import SignedRecord
from ports.errors import PeerError, RigError
from ports.station import Station

BEGIN, END = "Transaction.Begin", "Transaction.End"


@dataclass(frozen=True, slots=True)
class Value:
    """The last reading of a record. tx: OCMF letter. good: ST is G."""

    time: datetime
    tx: str
    value: Decimal
    unit: str
    good: bool

    @property
    def timestamp(self) -> str:
        """As OCPP wants it."""
        return rfc3339(self.time)

    @property
    def wh(self) -> int:
        """In whole Wh, for the unsigned fields of 1.6 (never billed)."""
        factor = {"kWh": Decimal(1000), "Wh": Decimal(1)}[self.unit]
        return int(EXACT.multiply(self.value, factor).to_integral_value())


@dataclass(frozen=True, slots=True)
class RecordFacts:
    """connector: as the CSMS counts. number: 0 at the begin, +1 for every record of the transaction."""

    record: SignedRecord
    value: Value
    connector: int
    number: int
    user_id: str
    id_type: str
    flags: tuple[str, ...]


def rfc3339(time: datetime) -> str:
    """RFC 3339 with milliseconds, in UTC: not every CSMS reads another zone."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def facts_of(record: SignedRecord, station: Station | None) -> RecordFacts:
    """Read a record. Raises PeerError (no record that OCPP can carry) or RigError (no such connector)."""
    parsed = parse(record.ocmf)
    flags = parsed.fields.get("IF")
    return RecordFacts(
        record=record,
        value=_value(parsed, record.page),
        connector=_connector(parsed, station),
        number=_number(record),
        user_id=parsed.string("ID"),
        id_type=parsed.string("IT"),
        flags=tuple(flags) if isinstance(flags, list) else (),
    )


def value_of(ocmf: str) -> Value:
    """The value of a record that is kept. Raises PeerError."""
    return _value(parse(ocmf), "of the begin")


def _value(parsed: Record, page: str) -> Value:
    reading = parsed.readings[-1] if parsed.readings else None
    if reading is None or reading.time is None or reading.value is None or reading.unit not in {"kWh", "Wh"}:
        raise PeerError(f"page {page}: no reading with time, value and kWh or Wh", parsed.text)
    return Value(reading.time, reading.tx, reading.value, reading.unit, reading.status == "G")


def _number(record: SignedRecord) -> int:
    """Pages run without gaps within a transaction, and its id ends in the page that it began with."""
    if record.context == BEGIN or not record.transaction_id:
        return 0
    page, begin = record.page[1:], record.transaction_id.rpartition("-T")[2]
    if not (page.isdecimal() and begin.isdecimal() and int(page) >= int(begin)):
        raise PeerError(f"page {record.page} does not belong to transaction {record.transaction_id}", record.ocmf)
    return int(page) - int(begin)


def _connector(parsed: Record, station: Station | None) -> int:
    if station is None:
        return 1
    evse_id = parsed.string("CI")
    found = next((news.number for news in station.connectors() if news.evse_id == evse_id), None)
    if found is None:
        raise RigError(f"no connector of this station has the EVSE id {evse_id!r} that the record names; add it again")
    return found
