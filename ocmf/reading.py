"""Readings as they are found in records: every variant of the field, omitted fields carried forward."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from decimal import Context, Decimal, Inexact
from functools import cached_property
from typing import Any

# what read_value lets through never needs rounding: it would raise
EXACT = Context(prec=200, traps=[Inexact])
_KEYS = ("TM", "TX", "RV", "RI", "RU", "RT", "CL", "EF", "ST")
_TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)[,.](\d{3})(?:([+-])(\d\d):?(\d\d)|(Z))(?: ([A-Za-z]))?", re.ASCII
)
_ONE = Decimal(1)
_TO_KWH: dict[str, Decimal] = {"kwh": _ONE, "wh": Decimal("1E-3"), "mwh": Decimal("1E+3")}


@dataclass(frozen=True)
class RecordReading:
    """One reading of a received record; texts are "" and values None when absent or unreadable.

    index: its place in RD. fields: all keys after carrying forward. carried: keys that were omitted here.
    time, time_status: TM taken apart; time is None for an impossible date.
    value: RV; unit: RU; register: RI.
    """

    index: int
    fields: Mapping[str, Any]
    carried: frozenset[str]
    time: datetime | None
    time_status: str
    tx: str
    value: Decimal | None
    register: str
    unit: str
    error_flags: str
    status: str

    @cached_property
    def kwh(self) -> Decimal | None:
        """The value in kWh, exactly; None when the unit is no energy."""
        factor = _TO_KWH.get(self.unit.lower())
        if self.value is None or factor is None:
            return None
        return self.value if factor is _ONE else EXACT.multiply(self.value, factor)


def read_time(text: str) -> tuple[datetime | None, str]:
    """TM as (time, status letter); the time is None when malformed or impossible, such as 30 February."""
    match = _TIME.fullmatch(text.strip())
    if match is None:
        return None, ""
    year, month, day, hour, minute, second, milli, sign, zone_h, zone_m, _, letter = match.groups()
    zone = timedelta(0) if sign is None else timedelta(hours=int(zone_h), minutes=int(zone_m))
    try:
        time = datetime(
            int(year),
            int(month),
            int(day),
            int(hour),
            int(minute),
            int(second),
            int(milli) * 1000,
            timezone(-zone if sign == "-" else zone),
        )
        time.astimezone(UTC)  # refuses what lies outside of the calendar
    except (ValueError, OverflowError):
        return None, letter or ""
    return time, letter or ""


def read_value(value: Any) -> Decimal | None:
    """RV or CL: a number, or a string of one, padded or with leading zeros as some meters write; None if neither."""
    if isinstance(value, str):
        text = value.strip()
        if not re.fullmatch(r"[+-]?\d{1,30}(\.\d{1,30})?([eE][+-]?\d{1,2})?", text, re.ASCII):
            return None
        value = Decimal(text)
    if not isinstance(value, Decimal) or not value.is_finite():
        return None
    # a register has no hundred digits: larger exponents only serve to exhaust memory
    if not -40 <= value.adjusted() <= 40 or int(value.as_tuple().exponent) < -40:
        return None if value else Decimal(0)
    return value


def read_readings(fields: Mapping[str, Any], deviations: list[str]) -> tuple[RecordReading, ...]:
    """RD of a payload; what is odd but readable is added to `deviations`."""
    items = fields.get("RD")
    if items is None:
        return ()
    if not isinstance(items, list):
        deviations.append("RD is not an array")
        return ()
    readings: list[RecordReading] = []
    before: dict[str, Any] = {}
    for index, item in enumerate(items):
        if not isinstance(item, dict):
            deviations.append(f"RD[{index}] is not an object")
            continue
        if isinstance(item.get("RV"), str):
            deviations.append(f"RD[{index}].RV is a string")
        # "fields that have an identical value to the previous reading are omitted" (OCMF 1.4.1, Readings)
        carried = frozenset(key for key in before if key not in item)
        current = before | item
        readings.append(_reading(index, current, carried))
        before = {key: current[key] for key in _KEYS if key in current}
    return tuple(readings)


def _reading(index: int, fields: dict[str, Any], carried: frozenset[str]) -> RecordReading:
    time, status = read_time(_text(fields, "TM"))
    return RecordReading(
        index=index,
        fields=fields,
        carried=carried,
        time=time,
        time_status=status,
        tx=_text(fields, "TX"),
        value=read_value(fields.get("RV")),
        register=_text(fields, "RI"),
        unit=_text(fields, "RU").strip(),
        error_flags=_text(fields, "EF"),
        status=_text(fields, "ST"),
    )


def _text(fields: Mapping[str, Any], key: str) -> str:
    value = fields.get(key)
    return value if isinstance(value, str) else ""
