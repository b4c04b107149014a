"""MeterInfo of V2G messages: the billing register as it was read, with the signature of the record that holds it."""

from __future__ import annotations

from gateway.open_transaction import KeptReading, OpenTransaction
from gateway.plausibility import kwh
from gateway.receipt import METER_ID_LIMIT, meter_signature
from ports.meter import Quality, Reading
from v2g.session.station_side import MeterReport


def meter_report(transaction: OpenTransaction, shown: KeptReading | None, quality: Quality) -> MeterReport:
    """What the vehicle sees: the newest reading, or the one that it is to sign.

    MeterStatus is 0 while the meter answers well, else the code of its letter in OCMF (table 10): 84 is T, a time-out.
    """
    reading = shown.reading if shown is not None else transaction.last
    record = shown or transaction.kept
    signature = None
    if record is not None and record.reading == reading and record.entry.is_signed:
        signature = meter_signature(record.entry.section)
    return MeterReport(
        transaction.source.meter.serial[:METER_ID_LIMIT],
        whole_wh(reading),
        signature,
        0 if quality is Quality.GOOD else ord(quality.value),
        int(reading.time.timestamp()),
    )


def whole_wh(reading: Reading) -> int:
    """MeterReading counts whole Wh; what the register has beyond them is cut off."""
    return int((kwh(reading) * 1000).to_integral_value(rounding="ROUND_FLOOR"))
