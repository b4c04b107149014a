"""One open transaction: what all its records share, and the next record to keep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from gateway.journal import Draft, Place
from gateway.journal_entry import Entry, Stream
from gateway.plausibility import JudgedReading, kwh
from gateway.record import Source, build_payload, read_back
from gateway.record_time import RecordTime
from ocmf.payload import User
from ocmf.terms import Tx
from ports.clock import Clock, TimeStatus
from ports.meter import Quality, Reading

BEGIN, SAMPLE, END = "Transaction.Begin", "Sample.Periodic", "Transaction.End"


@dataclass(frozen=True, slots=True)
class KeptReading:
    """A good reading and the record that holds it, signed or not yet."""

    reading: Reading
    entry: Entry


@dataclass(slots=True)
class OpenTransaction:
    """begin: the reading it began with. last: the newest good reading, what plausibility is judged against.

    kept: the newest good reading that stands in a record of this run.
    """

    transaction_id: str
    connector: str
    source: Source
    user: User
    begin: Reading
    last: Reading
    times: RecordTime
    boot_id: str
    kept: KeptReading | None = None

    @classmethod
    def starting(
        cls, number: int, connector: str, source: Source, user: User, begin: Reading, boot_id: str
    ) -> OpenTransaction:
        """A transaction that is about to begin with page T`number`; its id is that page, unique for all time."""
        transaction_id = f"{source.gateway_serial}-{source.meter.serial}-T{number}"
        return cls(transaction_id, connector, source, user, begin, begin, RecordTime(begin), boot_id)

    @classmethod
    def recovered(cls, entries: Sequence[Entry], boot_id: str) -> OpenTransaction:
        """A transaction that was open when the gateway went down, from its kept records. Raises JournalError."""
        kept = [read_back(entry) for entry in entries]
        same_boot = all(entry.boot_id == boot_id for entry in entries)
        begun, times = kept[0], RecordTime(kept[0].reading, same_boot=same_boot)
        for later in kept[1:]:
            times.stamp(*_moment(later.reading))
        last = next(record.reading for record in reversed(kept) if record.reading.quality is Quality.GOOD)
        if not same_boot:
            last = replace(last, monotonic=float("-inf"))  # nobody knows for how long energy may have flown
        return cls(begun.transaction_id, begun.connector, begun.source, begun.user, begun.reading, last, times, boot_id)

    @property
    def stream(self) -> Stream:
        """Whose pages its records take."""
        return Stream(self.source.gateway_serial, self.source.meter.serial)

    @property
    def energy_kwh(self) -> Decimal:
        """What has flown up to the last good reading."""
        return kwh(self.last) - kwh(self.begin)

    def draft(self, kind: str, tx: Tx, judged: JudgedReading, clock: Clock) -> Draft:
        """The record of a reading; a value that stands in is stamped with the time of now."""
        reading = judged.reading
        at = (clock.now(), clock.status(), clock.monotonic()) if judged.stale else _moment(reading)
        stamp = self.times.stamp(*at)

        def build(place: Place) -> bytes:
            return build_payload(self.source, self.user, judged, tx, stamp, place)

        return Draft(
            stream=self.stream,
            kind=kind,
            transaction_id=self.transaction_id,
            connector=self.connector,
            boot_id=self.boot_id,
            boottime=at[2],
            build=build,
        )


def _moment(reading: Reading) -> tuple[datetime, TimeStatus, float]:
    return reading.time, reading.time_status, reading.monotonic
