"""The payload as our signer writes it: typed fields in, the exact bytes to be signed out.

Written in the profile that all public verifiers accept: one line, no white space outside strings, no "|", UTF-8, every
field of a reading explicit, numbers with the decimals of the register, and the lowest format version that covers
the fields.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeAlias

import msgspec

from ocmf.obis import parse_register
from ocmf.terms import CURRENT_TYPES, ERROR_FLAGS, IDENTIFICATION_FLAGS, UNITS, IdType, Level, PointType, Tx
from ports.clock import TimeStatus
from ports.errors import LocalError
from ports.meter import Quality

JsonValue: TypeAlias = "bool | int | str | Decimal | list[JsonValue] | dict[str, JsonValue] | None"

# Our vendor key: SHA-256 (hex) of the previous payload of the same gateway and meter; "" in the first.
CHAIN_KEY = "ZH"


class PayloadError(LocalError):
    """A payload that must not be signed; `key` is the OCMF key that is wrong."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(f"OCMF payload, {key}: {message}")
        self.key = key


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Who charges: IS (assigned), IL (level), IF (flags), IT (id_type), ID (id)."""

    assigned: bool
    level: Level = Level.NONE
    flags: tuple[str, ...] = ()
    id_type: IdType = IdType.NONE
    id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LossCompensation:
    """LC: cable resistance LR in LU (mOhm or uOhm), its name LN (up to 20 characters) and identification LI."""

    resistance: Decimal
    unit: str
    name: str | None = None
    identification: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PayloadReading:
    """One reading.

    time, time_status: TM (written to the millisecond, with its zone). tx: TX, None exactly in fiscal records.
    value, register, unit: RV (written with the decimals it has), RI, RU. current_type: RT, "AC" or "DC".
    error_flags: EF, characters of "Et". status: ST. cumulated_loss: CL, in `unit`.
    """

    time: datetime
    time_status: TimeStatus
    tx: Tx | None
    value: Decimal
    register: str = "1-b:1.8.0"
    unit: str = "kWh"
    current_type: str = "AC"
    error_flags: str = ""
    status: Quality = Quality.GOOD
    cumulated_loss: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """What one record says.

    gateway_id GI, gateway_serial GS, gateway_version GV; page PG ("T17", "F3");
    meter_vendor MV, meter_model MM, meter_serial MS, meter_firmware MF;
    user: IS, IL, IF, IT, ID, given exactly when the page is of context T; tariff_text TT;
    controller_firmware CF; loss LC; point_type CT, point_id CI; readings RD.
    previous_hash: the hash chain, written as vendor key ZH; "" starts a stream, None writes no chain.
    vendor: further top-level keys that start with U to Z.
    """

    gateway_id: str
    gateway_serial: str
    gateway_version: str
    page: str
    meter_vendor: str
    meter_model: str
    meter_serial: str
    meter_firmware: str = ""
    user: User | None
    point_type: PointType = PointType.EVSEID
    point_id: str
    readings: tuple[PayloadReading, ...]
    tariff_text: str | None = None
    controller_firmware: str | None = None
    loss: LossCompensation | None = None
    previous_hash: str | None = None
    vendor: Mapping[str, JsonValue] = field(default_factory=dict)


def write_payload(payload: Payload) -> bytes:
    """The bytes to sign. Raises PayloadError for content that no verifier would accept."""
    _check(payload)
    fields: dict[str, Any] = {
        "FV": lowest_version(payload),
        "GI": payload.gateway_id,
        "GS": payload.gateway_serial,
        "GV": payload.gateway_version,
        "PG": payload.page,
        "MV": payload.meter_vendor,
        "MM": payload.meter_model,
        "MS": payload.meter_serial,
        "MF": payload.meter_firmware,
    }
    if payload.user is not None:
        fields |= {
            "IS": payload.user.assigned,
            "IL": payload.user.level,
            "IF": list(payload.user.flags),
            "IT": payload.user.id_type,
            "ID": payload.user.id,
        }
    if payload.tariff_text is not None:
        fields["TT"] = payload.tariff_text
    if payload.controller_firmware is not None:
        fields["CF"] = payload.controller_firmware
    if payload.loss is not None:
        fields["LC"] = _loss_fields(payload.loss)
    fields |= {"CT": payload.point_type, "CI": payload.point_id}
    fields |= {key: _exact(key, value) for key, value in payload.vendor.items()}
    if payload.previous_hash is not None:
        fields[CHAIN_KEY] = payload.previous_hash
    fields["RD"] = [_reading_fields(reading) for reading in payload.readings]
    try:
        octets = _ENCODER.encode(fields)
    except UnicodeEncodeError:
        octets = b""
    if not octets or b"|" in octets:
        _refuse_text("payload", fields)
    return octets


def payload_hash(payload: bytes) -> str:
    """SHA-256 in hex: the identity of a record, and what the next payload of the stream carries in ZH."""
    return hashlib.sha256(payload).hexdigest()


def lowest_version(payload: Payload) -> str:
    """FV: the official verifier refuses 1.4 and absent versions, so the lowest that covers the fields is written."""
    if payload.controller_firmware is not None:
        return "1.3"
    if payload.loss is not None or any(
        reading.cumulated_loss is not None or reading.unit in {"mOhm", "uOhm"} for reading in payload.readings
    ):
        return "1.2"
    return "1.1" if payload.tariff_text is not None else "1.0"


def write_time(time: datetime, status: TimeStatus) -> str:
    """TM: local time to the millisecond with a comma, the zone without a colon, and the status letter."""
    offset = time.utcoffset()
    if offset is None:
        raise PayloadError("TM", f"{time.isoformat()} has no zone")
    if offset.total_seconds() % 60:
        raise PayloadError("TM", f"{time.isoformat()}: the zone is not a whole number of minutes")
    text = time.isoformat(timespec="milliseconds")  # 2026-01-01T00:00:00.000+00:00
    return f"{text[:19]},{text[20:26]}{text[27:]} {status}"


def _reading_fields(reading: PayloadReading) -> dict[str, Any]:
    fields: dict[str, Any] = {"TM": write_time(reading.time, reading.time_status)}
    if reading.tx is not None:
        fields["TX"] = reading.tx
    fields |= {
        "RV": _exact("RV", reading.value),
        "RI": reading.register,
        "RU": reading.unit,
        "RT": reading.current_type,
    }
    if reading.cumulated_loss is not None:
        fields["CL"] = _exact("CL", reading.cumulated_loss)
    return fields | {"EF": reading.error_flags, "ST": reading.status}


def _loss_fields(loss: LossCompensation) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    if loss.name is not None:
        fields["LN"] = loss.name
    if loss.identification is not None:
        fields["LI"] = loss.identification
    return fields | {"LR": _exact("LR", loss.resistance), "LU": loss.unit}


def _text(value: Any) -> str:
    """Subclasses of str, which the encoder leaves to us, and nothing else."""
    if isinstance(value, str):
        return str(value)
    raise PayloadError("payload", f"{type(value).__name__} {value!r} cannot be written exactly")


_ENCODER = msgspec.json.Encoder(enc_hook=_text)  # no white space, UTF-8 unescaped


def _exact(key: str, value: JsonValue) -> Any:
    """The value as the encoder writes it exactly: decimals with the digits that they have. Raises PayloadError."""
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, Decimal):
        if not value.is_finite() or value.adjusted() > 20 or int(value.as_tuple().exponent) < -20:
            raise PayloadError(key, f"{value} is not a number that a register can hold")
        return msgspec.Raw(f"{value:f}".encode())
    if isinstance(value, list):
        return [_exact(key, item) for item in value]
    if isinstance(value, dict):
        return {name: _exact(name, item) for name, item in value.items()}
    raise PayloadError(key, f"{type(value).__name__} {value!r} cannot be written exactly")


def _refuse_text(key: str, value: Any) -> None:
    """Say which string must not be in a record. Raises PayloadError."""
    if isinstance(value, str):
        if "|" in value:
            raise PayloadError(key, f"{value!r} contains '|', which separates the sections")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise PayloadError(key, f"{value!r} is not valid Unicode") from None
    elif isinstance(value, list):
        for item in value:
            _refuse_text(key, item)
    elif isinstance(value, dict):
        for name, item in value.items():
            _refuse_text(name, name)
            _refuse_text(name, item)


_ID_FORMS: dict[IdType, tuple[re.Pattern[str], str]] = {  # table 17
    IdType.NONE: (re.compile(""), "empty"),
    IdType.ISO14443: (re.compile("(?:[0-9A-Fa-f]{8}|[0-9A-Fa-f]{14})"), "4 or 7 bytes in hex"),
    IdType.ISO15693: (re.compile("[0-9A-Fa-f]{16}"), "8 bytes in hex"),
    IdType.EMAID: (re.compile("[0-9A-Za-z]{14,15}"), "14 or 15 letters and digits"),
}
_CHAIN = re.compile("(?:[0-9a-f]{64})?")
_PAGE = re.compile("[TF](?:0|[1-9][0-9]*)")
_VENDOR_KEY = re.compile("[U-Z].*", re.DOTALL)


def _check(payload: Payload) -> None:
    """Refuse what the standard forbids; every row: OCMF key, condition, message."""
    transaction = payload.page.startswith("T")
    rows = [
        ("PG", bool(_PAGE.fullmatch(payload.page)), f"{payload.page!r} is not T or F and a number"),
        ("GS", bool(payload.gateway_serial), "the gateway's serial number is empty"),
        ("MS", bool(payload.meter_serial), "the meter's serial number is empty"),
        ("CI", bool(payload.point_id), "the charge point's identification is empty"),
        ("IS", transaction == (payload.user is not None), "user fields belong to pages T and only to them"),
        ("RD", bool(payload.readings), "there is no reading"),
        ("TT", len(payload.tariff_text or "") <= 250, "more than 250 characters"),
        ("CF", len(payload.controller_firmware or "") <= 25, "more than 25 characters"),
        (
            CHAIN_KEY,
            bool(_CHAIN.fullmatch(payload.previous_hash or "")) and CHAIN_KEY not in payload.vendor,
            "neither empty nor one SHA-256 in lower case hex",
        ),
    ]
    rows += [(key, bool(_VENDOR_KEY.fullmatch(key)), "a vendor key starts with U to Z") for key in payload.vendor]
    for key, good, message in rows:
        if not good:
            raise PayloadError(key, message)
    if payload.user is not None:
        check_user(payload.user)
    if payload.loss is not None:
        _check_loss(payload.loss)
    for index, reading in enumerate(payload.readings):
        _check_reading(index, reading, transaction)
    if transaction:
        _check_registers(payload.readings)


def check_user(user: User) -> None:
    """Raise PayloadError for a user that no record may name."""
    groups = [name.split("_", 1)[0] for name in user.flags]
    for flag, group in zip(user.flags, groups, strict=True):
        if flag not in IDENTIFICATION_FLAGS.get(group, ()):
            raise PayloadError("IF", f"{flag!r} is not in tables 13 to 16")
    if len(set(groups)) != len(groups):
        raise PayloadError("IF", f"more than one flag of a group: {', '.join(user.flags)}")
    if len(user.id) > 40:
        raise PayloadError("ID", "more than 40 characters")
    form = _ID_FORMS.get(user.id_type)
    if form is not None and not form[0].fullmatch(user.id):
        raise PayloadError("ID", f"{user.id!r} is not {form[1]}, as {user.id_type} asks")


def _check_loss(loss: LossCompensation) -> None:
    if loss.unit not in {"mOhm", "uOhm"}:
        raise PayloadError("LU", f"{loss.unit!r} is not mOhm or uOhm")
    if len(loss.name or "") > 20:
        raise PayloadError("LN", "more than 20 characters")


def _check_reading(index: int, reading: PayloadReading, transaction: bool) -> None:
    rows = [
        ("TX", transaction == (reading.tx is not None), "stands in pages T and only in them"),
        ("RI", bool(reading.register), "empty"),
        ("RU", reading.unit in UNITS, f"{reading.unit!r} is not in table 20"),
        ("RT", reading.current_type in CURRENT_TYPES, f"{reading.current_type!r} is not AC or DC"),
        ("EF", set(reading.error_flags) <= ERROR_FLAGS, f"{reading.error_flags!r} has other characters than E and t"),
        ("CL", reading.tx != Tx.BEGIN or not reading.cumulated_loss, "must be 0 at the begin of a transaction"),
    ]
    for key, good, message in rows:
        if not good:
            raise PayloadError(f"RD[{index}].{key}", message)


def _check_registers(readings: tuple[PayloadReading, ...]) -> None:
    """The official verifier takes one billed register, or one at the mains with one compensated (see rules.py)."""
    judged = {
        reading.register: register
        for reading in readings
        if (register := parse_register(reading.register)) and register.is_energy
    }
    if not judged:
        raise PayloadError("RI", f"none of {sorted({reading.register for reading in readings})} is a billed register")
    compensated = sum(register.is_compensated for register in judged.values())
    if compensated > 1 or len(judged) - compensated > 1:
        raise PayloadError("RI", f"verifiers cannot tell which of {sorted(judged)} is billed")
