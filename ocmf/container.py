"""The container OCMF|payload|signature: joined for sending, parsed without touching a signed byte.

Signed are the octets between the first and the second separator, exactly as they came. No public verifier agrees with
another on white space around the object, so it is kept, signed and reported as a deviation.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any

from ocmf.curves import Curve, curve_named
from ocmf.payload import payload_hash
from ocmf.reading import RecordReading, read_readings
from ports.errors import LocalError, PeerError

HEADER = "OCMF|"
MAX_RECORD = 1 << 20  # characters: a day of one reading per second fits; more is an attack
_SPACE = " \t\r\n"


class FormatError(PeerError):
    """Not a readable OCMF record. `position`: character where it fails; `field`: the key, where one is concerned."""

    def __init__(self, message: str, received: bytes | str = b"", *, position: int = 0, field: str = "") -> None:
        place = f"OCMF record, character {position}" + (f", {field}" if field else "")
        super().__init__(f"{place}: {message}", received)
        self.position = position
        self.field = field


class UnknownFormatError(FormatError):
    """Something else than OCMF: no verdict about it is possible."""


@dataclass(frozen=True)
class Record:
    """A record as it was received.

    text: all of it. payload: the signed octets. fields: the payload's keys, numbers as Decimal.
    readings: RD with omitted fields carried forward. signature: the keys of the signature section.
    deviations: what the standard does not allow but can be read, one line each.
    """

    text: str
    payload: bytes
    fields: Mapping[str, Any]
    readings: tuple[RecordReading, ...]
    signature: Mapping[str, Any]
    deviations: tuple[str, ...]

    @cached_property
    def record_id(self) -> str:
        """SHA-256 of the payload in hex: one payload can have many valid signatures."""
        return payload_hash(self.payload)

    def string(self, key: str) -> str:
        """A field of the payload as text; "" when absent. Numbers where strings belong are read as written."""
        value = self.fields.get(key)
        if value is None:
            return ""
        return str(value) if isinstance(value, str | Decimal) else json.dumps(value, default=str)

    @cached_property
    def version(self) -> tuple[int, int] | None:
        """FV as (major, minor); None when absent or not a version."""
        major, _, minor = self.string("FV").partition(".")
        if not (major.isascii() and major.isdigit() and (minor or "0").isascii() and (minor or "0").isdigit()):
            return None
        return (int(major[:4]), int((minor or "0")[:4]))

    @cached_property
    def page(self) -> tuple[str, int] | None:
        """PG as (context, number); None when absent or malformed."""
        text = self.string("PG")
        context, number = text[:1], text[1:]
        if context not in {"T", "F"} or not (number.isascii() and number.isdigit()) or len(number) > 18:
            return None
        return (context, int(number))

    @cached_property
    def source(self) -> tuple[str, str]:
        """Gateway (GS) and meter (MS): the stream that the page counts."""
        return (self.string("GS"), self.string("MS"))


def join(payload: bytes, signature_der: bytes, curve: Curve | str) -> str:
    """The record to send. Raises LocalError for a payload that would not survive the container."""
    if isinstance(curve, str):
        curve = curve_named(curve)
    if not curve.in_table:
        raise LocalError(f"{curve.name} is not in OCMF's table 22: verifiers would refuse the record")
    text = payload.decode()
    if "|" in text or not (text.startswith("{") and text.endswith("}")):
        raise LocalError("an OCMF payload is one JSON object without '|'")
    return f'{HEADER}{text}|{{"SA":"{curve.algorithm}","SD":"{signature_der.hex().upper()}"}}'


def parse(record: str | bytes) -> Record:
    """Read a record of any version. Raises UnknownFormatError or FormatError; says nothing about its signature."""
    text = _decode(record)
    deviations: list[str] = []
    body = text.removeprefix("\ufeff")
    offset = len(text) - len(body)
    stripped = body.lstrip(_SPACE)
    offset += len(body) - len(stripped)
    if not text.startswith(HEADER, offset):
        raise UnknownFormatError(
            f"starts with {text[offset : offset + 8]!r}, not with 'OCMF|'", record, position=offset
        )
    if offset:
        deviations.append("white space or a byte order mark before the record")

    start = offset + len(HEADER)
    fields, end = _object(text, start, record)
    close = _skip(text, end)
    if not text.startswith("|", close):
        raise FormatError("the payload is not followed by '|'", record, position=close)
    if _skip(text, start) != start or close != end:
        deviations.append("white space around the payload: verifiers disagree whether it is signed")
    if "|" in text[start:close]:
        deviations.append("'|' inside the payload: verifiers that split the text refuse it")

    signature, signature_end = _object(text, close + 1, record)
    rest = text[signature_end:].strip(_SPACE)
    if rest.startswith("|"):
        deviations.append("a fourth section, which is not signed and not used")
    elif rest:
        raise FormatError(f"{rest[:20]!r} after the signature section", record, position=signature_end)

    payload = text[start:close].encode()
    readings = read_readings(fields, deviations)
    return Record(text, payload, fields, readings, signature, tuple(deviations))


def _decode(record: str | bytes) -> str:
    if len(record) > MAX_RECORD:
        raise FormatError(f"{len(record)} octets, more than {MAX_RECORD}", record[:64])
    try:
        if isinstance(record, bytes):
            return record.decode()
        record.encode()
    except UnicodeDecodeError as error:
        raise FormatError("not UTF-8", record, position=error.start) from None
    except UnicodeEncodeError as error:
        raise FormatError("a lone surrogate, not Unicode", position=error.start) from None
    return record


class _RefusedError(ValueError):
    """Raised inside the JSON decoder."""


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _RefusedError(f"key {twice!r} stands twice: verifiers disagree which one counts")
    return fields


def _constant(name: str) -> Any:
    raise _RefusedError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_pairs, parse_float=Decimal, parse_int=Decimal, parse_constant=_constant, strict=True
)


def _object(text: str, start: int, record: str | bytes) -> tuple[dict[str, Any], int]:
    """The JSON object at `start` and where it ends."""
    place = _skip(text, start)
    if not text.startswith("{", place):
        raise FormatError("no JSON object", record, position=place)
    try:
        value, end = _DECODER.raw_decode(text, place)
    except json.JSONDecodeError as error:
        raise FormatError(f"not JSON: {error.msg}", record, position=error.pos) from None
    except _RefusedError as error:
        raise FormatError(str(error), record, position=place) from None
    except (RecursionError, ArithmeticError, ValueError) as error:
        raise FormatError(f"unreadable JSON: {type(error).__name__}", record, position=place) from None
    return value, end


def _skip(text: str, position: int) -> int:
    while position < len(text) and text[position] in _SPACE:
        position += 1
    return position
