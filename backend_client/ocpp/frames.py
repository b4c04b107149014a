"""OCPP-J frames: CALL, CALLRESULT, CALLERROR as text and back; no socket, no clock."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import msgspec

from ports.errors import PeerError

MAX_ID = 36  # OCPP 2.0.1 part 4, table 6
_ENCODER = msgspec.json.Encoder(decimal_format="number")  # meter values keep every digit

Payload = Mapping[str, Any]


class FrameError(PeerError):
    """No frame of OCPP-J; `id` is that of the message where it could be read, "-1" else (2.0.1 part 4, 4.2.3)."""

    def __init__(self, message: str, received: str, id: str = "-1") -> None:  # noqa: A002 - the standard's name
        super().__init__(message, received[:2000])
        self.id = id


@dataclass(frozen=True, slots=True)
class Call:
    """A request."""

    id: str
    action: str
    payload: Payload


@dataclass(frozen=True, slots=True)
class Result:
    """The answer to a request."""

    id: str
    payload: Payload


@dataclass(frozen=True, slots=True)
class Refusal:
    """CALLERROR."""

    id: str
    code: str
    description: str = ""
    details: Payload = field(default_factory=dict)


Frame = Call | Result | Refusal


def encode(frame: Frame) -> str:
    """As it goes over the wire."""
    match frame:
        case Call():
            items: list[object] = [2, frame.id, frame.action, frame.payload]
        case Result():
            items = [3, frame.id, frame.payload]
        case Refusal():
            items = [4, frame.id, frame.code, frame.description[:255], frame.details]
    return _ENCODER.encode(items).decode()


def decode(text: str | bytes) -> Frame:
    """Read a frame; numbers with a point become Decimal. Raises FrameError."""
    if isinstance(text, bytes):
        raise FrameError("a binary frame; OCPP-J sends text", repr(text[:64]))
    try:
        items = json.loads(text, object_pairs_hook=_unique, parse_float=Decimal, parse_constant=_refuse_constant)
        if "\\ud" in text.lower():
            _ENCODER.encode(items)  # raises for half a surrogate pair, which cannot be written or kept
    except (ValueError, RecursionError) as error:
        raise FrameError(f"not JSON: {error}", text) from error
    match items:
        case [2, str(id), str(action), dict(payload)] if len(id) <= MAX_ID:
            return Call(id, action, payload)
        case [3, str(id), dict(payload)]:
            return Result(id, payload)
        case [4, str(id), str(code), str(description), dict(details)]:
            return Refusal(id, code, description, details)
        case [int(kind), str(id), *_] if len(id) <= MAX_ID:
            raise FrameError(f"no CALL, CALLRESULT or CALLERROR (message type {kind})", text, id)
    raise FrameError("no CALL, CALLRESULT or CALLERROR", text)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a key stands twice")
    return fields


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
