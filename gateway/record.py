"""From a judged reading to the payload of a record, and back from a kept payload to what recovery needs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from gateway.journal import Place
from gateway.journal_entry import Entry, JournalError
from gateway.plausibility import JudgedReading
from gateway.record_time import Stamp
from ocmf.payload import JsonValue, Payload, PayloadReading, User, write_payload, write_time
from ocmf.reading import read_readings
from ocmf.terms import IdType, Level, PointType, Tx
from ports.clock import TimeStatus
from ports.meter import MeterIdentity, Quality, Reading

DEFAULT_REGISTER = "1-b:1.8.0"
REMARK_KEY = "ZE"  # our vendor key: why a value is not good, and since when it is known
FOUND_KEY = "ZM"  # our vendor key: serial number of a meter found in the place of another
GRADE_KEY = "ZG"  # our vendor key: false when the value passed through a float register


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What all records of one transaction share. gateway_*: GI, GS, GV; point_*: CT, CI."""

    gateway_id: str
    gateway_serial: str
    gateway_version: str
    meter: MeterIdentity
    point_id: str
    point_type: PointType = PointType.EVSEID
    current_type: str = "AC"
    tariff_text: str | None = None
    controller_firmware: str | None = None


def build_payload(
    source: Source, user: User | None, judged: JudgedReading, tx: Tx | None, stamp: Stamp, place: Place
) -> bytes:
    """The exact octets of a record with one reading. Raises PayloadError.

    user and tx are None exactly in fiscal records (pages F).
    """
    reading = judged.reading
    vendor: dict[str, JsonValue] = {}
    if judged.reason:
        known = write_time(reading.time, reading.time_status)
        vendor[REMARK_KEY] = {"reason": judged.reason.replace("|", "/"), "value_of": known}
    if judged.found_serial:
        vendor[FOUND_KEY] = judged.found_serial.replace("|", "/")
    if not reading.billing_grade:
        vendor[GRADE_KEY] = False
    return write_payload(
        Payload(
            gateway_id=source.gateway_id,
            gateway_serial=source.gateway_serial,
            gateway_version=source.gateway_version,
            page=place.page,
            meter_vendor=source.meter.vendor,
            meter_model=source.meter.model,
            meter_serial=source.meter.serial,
            meter_firmware=source.meter.firmware,
            user=user,
            point_type=source.point_type,
            point_id=source.point_id,
            readings=(
                PayloadReading(
                    time=stamp.time,
                    time_status=stamp.status,
                    tx=tx,
                    value=reading.value,
                    register=reading.obis or DEFAULT_REGISTER,
                    unit=reading.unit,
                    current_type=source.current_type,
                    error_flags="".join(sorted(set(judged.error_flags + stamp.error_flags))),
                    status=judged.quality,
                ),
            ),
            tariff_text=source.tariff_text,
            controller_firmware=source.controller_firmware,
            previous_hash=place.previous,
            vendor=vendor,
        )
    )


@dataclass(frozen=True, slots=True)
class Kept:
    """What a kept record of a transaction says: enough to end it."""

    transaction_id: str
    connector: str
    source: Source
    user: User
    reading: Reading


def read_back(entry: Entry) -> Kept:
    """Take a record of a transaction apart. Raises JournalError when its payload is not one of ours."""
    try:
        fields: dict[str, Any] = json.loads(entry.payload, parse_float=Decimal, parse_int=Decimal)
        (reading,) = read_readings(fields, [])
        if reading.time is None or reading.value is None:
            raise ValueError("no time or no value")
        return Kept(
            transaction_id=entry.transaction_id,
            connector=entry.connector,
            source=Source(
                gateway_id=fields["GI"],
                gateway_serial=fields["GS"],
                gateway_version=fields["GV"],
                meter=MeterIdentity(fields["MV"], fields["MM"], fields["MS"], fields["MF"]),
                point_id=fields["CI"],
                point_type=PointType(fields["CT"]),
                current_type=reading.fields["RT"],
                tariff_text=fields.get("TT"),
                controller_firmware=fields.get("CF"),
            ),
            user=User(
                assigned=fields["IS"],
                level=Level(fields["IL"]),
                flags=tuple(fields["IF"]),
                id_type=IdType(fields["IT"]),
                id=fields["ID"],
            ),
            reading=Reading(
                name="energy",
                value=reading.value,
                unit=reading.unit,
                obis=reading.register,
                time=reading.time,
                time_status=TimeStatus(reading.time_status),
                monotonic=entry.boottime,
                quality=Quality(reading.status),
            ),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise JournalError(
            f"page {entry.page} of meter {entry.stream.meter} is no record of this program ({error!r}); "
            "keep the journal as evidence and start with a new one"
        ) from error
