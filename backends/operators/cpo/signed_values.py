"""Signed meter values as OCPP carries them, taken out octet by octet. The key that comes along is never used.

Carriages: Open Charge Alliance, Signed Meter Values in OCPP 1.0, section 3; be.ENERGISED; EVerest.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from ocmf.container import HEADER, FormatError, UnknownFormatError, parse
from ports.backend import SignedRecord

MAX_RECORD = 32768  # characters; OCPP 2.1 signedMeterData, the longest that any version allows
MAX_NAME = 128  # what a store keeps of serial numbers
DEFAULT_CONTEXT = "Sample.Periodic"  # OCPP 1.6 7.43 and 2.0.1 SampledValueType: when context is left out


class Carriage(StrEnum):
    """How the record travelled."""

    OCPP_201 = "2.0.1"
    JSON = "1.6 JSON"  # JSON text with signedMeterData (OCA)
    JSON_SIGNED_METER_VALUE = "1.6 signedMeterValue"  # the same with another name (be.ENERGISED)
    BARE = "1.6 bare"  # the record itself (EVerest)
    BARE_BASE64 = "1.6 base64"  # base64 of it


@dataclass(frozen=True, slots=True)
class SignedMeterValue:
    """A value that claims to be signed. ocmf: the record; problem: why there is none, then ocmf is what came."""

    context: str
    carriage: Carriage
    ocmf: str
    problem: str = ""

    def record(self, transaction_id: str) -> SignedRecord:
        """With what is signed about its source. Raises FormatError, UnknownFormatError when it cannot be read."""
        if self.problem:
            raise UnknownFormatError(self.problem, self.ocmf)
        found = parse(self.ocmf)
        for name in ("GS", "MS", "PG"):
            if len(found.string(name)) > MAX_NAME:
                raise FormatError(f"{name} of {len(found.string(name))} characters, at most {MAX_NAME}", self.ocmf)
        return SignedRecord(
            record_id=found.record_id,
            gateway=found.string("GS"),
            meter=found.string("MS"),
            page=found.string("PG"),
            transaction_id=transaction_id,
            context=self.context,
            ocmf=self.ocmf,
            public_key="",  # of the message: not ours, not asked
        )

    @property
    def identity(self) -> str:
        """SHA-256 of the text, for values that are no record."""
        return hashlib.sha256(self.ocmf.encode()).hexdigest()


def signed_values_201(meter_values: Sequence[Mapping[str, Any]]) -> list[SignedMeterValue]:
    """Of `meterValue` in TransactionEvent or MeterValues (OCPP 2.0.1), valid by the schema."""
    return [
        _carried(Carriage.OCPP_201, sampled.get("context", DEFAULT_CONTEXT), sampled["signedMeterValue"])
        for sampled in _sampled(meter_values)
        if "signedMeterValue" in sampled
    ]


def signed_values_16(meter_values: Sequence[Mapping[str, Any]]) -> list[SignedMeterValue]:
    """Of `meterValue` in MeterValues or `transactionData` in StopTransaction (OCPP 1.6), valid by the schema."""
    return [
        _signed_data(sampled.get("context", DEFAULT_CONTEXT), sampled["value"])
        for sampled in _sampled(meter_values)
        if sampled.get("format") == "SignedData"
    ]


def _sampled(meter_values: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    for value in meter_values:
        yield from value["sampledValue"]


def _signed_data(context: str, value: str) -> SignedMeterValue:
    if value.startswith(HEADER):
        return _value(context, Carriage.BARE, value)
    if not value.lstrip().startswith("{"):
        return _value(context, Carriage.BARE_BASE64, *_decoded(value))
    try:
        content = json.loads(value)
    except (ValueError, RecursionError) as error:
        return _value(context, Carriage.JSON, value, f"SignedData is no JSON: {error}")
    named = "signedMeterData" not in content and "signedMeterValue" in content
    if named:
        content["signedMeterData"] = content["signedMeterValue"]
    return _carried(Carriage.JSON_SIGNED_METER_VALUE if named else Carriage.JSON, context, content)


def _carried(carriage: Carriage, context: str, fields: Mapping[str, Any]) -> SignedMeterValue:
    data, encoding = fields.get("signedMeterData"), fields.get("encodingMethod", "OCMF")
    if not isinstance(data, str):
        return _value(context, carriage, json.dumps(fields, default=str), "signedMeterData is missing")
    if str(encoding).upper() != "OCMF":
        return _value(context, carriage, data, f"encodingMethod is {encoding!r:.50}, only OCMF is verified")
    return _value(context, carriage, *((data, "") if data.startswith(HEADER) else _decoded(data)))


def _decoded(text: str) -> tuple[str, str]:
    """What is inside of base64 and no problem; or the text and what is wrong with it."""
    try:
        return base64.b64decode(text, validate=True).decode("utf-8"), ""
    except (binascii.Error, ValueError) as error:
        return text, f"neither a record nor base64 of one: {error}"


def _value(context: str, carriage: Carriage, text: str, problem: str = "") -> SignedMeterValue:
    if len(text) > MAX_RECORD:
        problem = problem or f"record of {len(text)} characters, at most {MAX_RECORD}"
    if "\0" in text or not _is_unicode(text):
        problem = problem or "the record holds characters that are no text"
    if problem:  # what is kept then is evidence, in a form that every database takes
        text = text.replace("\0", "").encode("utf-8", "backslashreplace").decode()[:MAX_RECORD]
    return SignedMeterValue(context, carriage, text, problem)


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)
