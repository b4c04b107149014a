"""Times inside one transaction: order and duration from the boot-time clock, whatever happens to civil time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ports.clock import TimeStatus
from ports.meter import Reading

STEP_S = 1.0  # what a slewing clock stays below between two readings
DRIFT = 0.0005  # and what it may slew for longer (adjtime slews by 500 ppm)


@dataclass(frozen=True, slots=True)
class Stamp:
    """TM of a reading. error_flags: "t" when not even the order of times is known."""

    time: datetime
    status: TimeStatus
    error_flags: str = ""


class RecordTime:
    """Stamps the readings of one transaction.

    While civil time and boot time agree, a reading keeps its own time. Once civil time was set, times go on from the
    begin by the boot-time clock, and a synchronised begin is worth a relative end, never more.
    """

    def __init__(self, begin: Reading, *, same_boot: bool = True) -> None:
        """same_boot: False when the machine was started anew, so that no duration since the begin is known."""
        self._begin = begin
        self._same_boot = same_boot
        self._last = begin.time
        self.stepped = False

    def stamp(self, time: datetime, status: TimeStatus, monotonic: float) -> Stamp:
        """The time to sign for a moment, never before that of the moment before it."""
        if not self._same_boot:
            return self._after_restart(time, status)
        elapsed = timedelta(seconds=monotonic - self._begin.monotonic)
        by_boot_time = self._begin.time.astimezone(UTC) + elapsed
        difference = abs((_utc(time) - by_boot_time).total_seconds())
        if difference > STEP_S + DRIFT * elapsed.total_seconds() or _utc(time) < _utc(self._last):
            self.stepped = True
        if not self.stepped:
            self._last = time
            return Stamp(time, status)
        time = self._last = max(by_boot_time.astimezone(time.tzinfo), self._last, key=_utc)
        begin = self._begin.time_status
        return Stamp(time, TimeStatus.RELATIVE if begin is TimeStatus.SYNCHRONISED else begin)

    def _after_restart(self, time: datetime, status: TimeStatus) -> Stamp:
        if _utc(time) >= _utc(self._last):
            self._last = time
            return Stamp(time, status)
        self.stepped = True
        return Stamp(self._last, TimeStatus.UNKNOWN, "t")


def _utc(time: datetime) -> datetime:
    """Times of one zone compare by their wall clock, which summer time turns back: compare in UTC."""
    return time.astimezone(UTC)
