"""What gateway and CPO say to each other about signed records, over HTTP and over MQTT alike: strict JSON."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Annotated, Any, TypeVar

import msgspec

from ports.backend import Ack, SignedRecord
from ports.errors import PeerError

MAX_MESSAGE = 256 << 10  # octets; a record with a day of readings stays below

# no control characters, no lone surrogates: neither belongs in names, and databases refuse them late
_NAME = r"^[^\x00-\x1f\x7f\ud800-\udfff]*$"
Name = Annotated[str, msgspec.Meta(max_length=128, pattern=_NAME)]
RecordId = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
Page = Annotated[str, msgspec.Meta(pattern="^[TF](0|[1-9][0-9]{0,17})$")]
KeyText = Annotated[str, msgspec.Meta(max_length=4096, pattern=_NAME)]

T = TypeVar("T")


class MessageError(PeerError):
    """Not a message of this protocol; says which field."""


class RecordMessage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A record on its way; fields as in `ports.backend.SignedRecord`."""

    record_id: RecordId
    gateway: Name
    meter: Name
    page: Page
    transaction_id: Name
    context: Name
    ocmf: Annotated[str, msgspec.Meta(max_length=MAX_MESSAGE)]
    public_key: KeyText

    @classmethod
    def of(cls, record: SignedRecord) -> RecordMessage:
        """The message that carries this record."""
        return cls(
            record_id=record.record_id,
            gateway=record.gateway,
            meter=record.meter,
            page=record.page,
            transaction_id=record.transaction_id,
            context=record.context,
            ocmf=record.ocmf,
            public_key=record.public_key,
        )

    def record(self) -> SignedRecord:
        """The record that it carries."""
        return SignedRecord(
            record_id=self.record_id,
            gateway=self.gateway,
            meter=self.meter,
            page=self.page,
            transaction_id=self.transaction_id,
            context=self.context,
            ocmf=self.ocmf,
            public_key=self.public_key,
        )


class AnswerMessage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The answer to a record: `ack`, or `error` with its reason and whether the same record may be sent again."""

    record_id: RecordId
    ack: Ack | None = None
    error: str = ""
    reason: str = ""
    retry: bool = False


def encode(message: msgspec.Struct) -> bytes:
    """A message as JSON."""
    return msgspec.json.encode(message)


def decode(octets: bytes, kind: type[T], limit: int = MAX_MESSAGE) -> T:
    """Read a message. Raises MessageError: too large, not JSON, a key twice, an unknown or wrong field.

    limit: octets. Numbers with a point are read as Decimal, exactly.
    """
    if len(octets) > limit:
        raise MessageError(f"{len(octets)} octets, more than {limit}", octets[:64])
    try:
        fields = json.loads(
            octets.decode(), object_pairs_hook=_unique, parse_constant=_refuse_constant, parse_float=Decimal
        )
        return msgspec.convert(fields, kind, strict=True)
    except msgspec.ValidationError as error:
        raise MessageError(str(error), octets[:200]) from error
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise MessageError(f"not JSON: {error}", octets[:200]) from error
    except (ValueError, RecursionError) as error:
        raise MessageError(f"JSON refused: {error}", octets[:200]) from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"key {next(name for name in names if names.count(name) > 1)!r} stands twice")
    return fields


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
