"""Whether a reading may be believed: the meter's identity, the direction of its register, and its slope."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from ports.meter import MeterIdentity, Quality, Reading

_TO_KWH = {"kWh": Decimal(1), "Wh": Decimal("0.001")}


@dataclass(frozen=True, slots=True)
class JudgedReading:
    """A reading and what it is worth.

    reading: what the meter's register said; when it said nothing, the last value known (`stale`).
    quality: ST. error_flags: EF. reason: why it is not good, in words; "" when it is.
    found_serial: the serial number of another meter that answered in its place.
    """

    reading: Reading
    quality: Quality = Quality.GOOD
    error_flags: str = ""
    reason: str = ""
    found_serial: str = ""
    stale: bool = False

    @property
    def is_good(self) -> bool:
        """Whether it may be billed."""
        return self.quality is Quality.GOOD and not self.error_flags


def kwh(reading: Reading) -> Decimal:
    """The value in kWh, exactly. Raises KeyError for a unit that is no energy."""
    return reading.value * _TO_KWH[reading.unit]


def judge(
    reading: Reading, found: MeterIdentity, expected: MeterIdentity, before: Reading | None, max_power_kw: Decimal
) -> JudgedReading:
    """Judge a reading against the meter that should have given it and the last good reading of the transaction.

    max_power_kw: what the connector can carry at most; a steeper register has jumped.
    """
    if (found.vendor, found.serial) != (expected.vendor, expected.serial):
        reason = f"meter {found.serial} answers in the place of meter {expected.serial}"
        return JudgedReading(before or reading, Quality.EXCHANGED, "E", reason, found.serial, stale=True)
    if reading.quality is not Quality.GOOD:
        return JudgedReading(reading, reading.quality, "E", f"the meter marks the value {reading.quality.name}")
    if reading.unit not in _TO_KWH:
        return JudgedReading(
            reading, Quality.INCOMPATIBLE, "E", f"the billing register is in {reading.unit!r}, not energy"
        )
    if before is None:
        return JudgedReading(reading)
    delta = kwh(reading) - kwh(before)
    if delta < 0:
        reason = f"the register ran backwards, from {before.value} {before.unit} to {reading.value} {reading.unit}"
        return JudgedReading(reading, Quality.OUT_OF_RANGE, "E", reason)
    hours = Decimal(str(max(0.0, reading.monotonic - before.monotonic))) / 3600
    step = Decimal(1).scaleb(int(reading.value.as_tuple().exponent)) * _TO_KWH[reading.unit]
    most = max_power_kw * hours * Decimal("1.2") + 2 * step  # class B allows 1 %; the clocks and the register the rest
    if delta > most:
        reason = f"the register jumped by {delta} kWh where at most {most:.4f} kWh can have flown"
        return JudgedReading(reading, Quality.OUT_OF_RANGE, "E", reason)
    return JudgedReading(reading)


def stand_in(last: Reading, quality: Quality, reason: str) -> JudgedReading:
    """No value worth the name: the last one known stands in, marked as unusable, and is never billed."""
    return JudgedReading(last, quality, "E", reason, stale=True)
