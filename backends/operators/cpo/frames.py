"""OCPP-J frames: text in, calls and answers out, payloads checked against the published JSON schemas.

Sans I/O. Numbers are read as Decimal: a meter value keeps the digits that were sent.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import IntEnum, StrEnum
from typing import Any, NoReturn

from jsonschema.exceptions import ValidationError, best_match  # type: ignore[import-untyped]
from ocpp.messages import get_validator  # type: ignore[import-untyped]

from ports.errors import PeerError

MAX_FRAME = 512 * 1024  # characters; a NotifyReport of a large station has some 100 kB
MAX_MESSAGE_ID = 36  # OCPP 2.0.1 part 4, table 6 (messageId); OCPP-J 1.6 table 3
MAX_DIGITS = 18  # of an integer: 64 bits hold them; OCPP's own are of 32
MAX_DESCRIPTION = 255  # OCPP 2.0.1 part 4, 4.2.3
UNKNOWN_ID = "-1"  # OCPP 2.0.1 part 4, 4.2.3: of an error about a frame whose id cannot be read


# of a call whose rest cannot be read: whoever waits for an answer gets one
_CALL_ID = re.compile(r'\s*\[\s*2\s*,\s*"([^"\\\x00-\x1f]{1,36})"')


class Version(StrEnum):
    """What both ends speak; the value is the WebSocket subprotocol."""

    V16 = "ocpp1.6"
    V201 = "ocpp2.0.1"

    @property
    def schemas(self) -> str:
        """Its name in the library of schemas."""
        return self.value.removeprefix("ocpp")


class MessageType(IntEnum):
    """The first element of a frame."""

    CALL = 2
    RESULT = 3
    ERROR = 4


class ErrorCode(StrEnum):
    """Codes of a CALLERROR (OCPP 2.0.1 part 4, 4.3)."""

    FORMAT = "FormatViolation"
    GENERIC = "GenericError"
    INTERNAL = "InternalError"
    NOT_IMPLEMENTED = "NotImplemented"
    NOT_SUPPORTED = "NotSupported"
    OCCURRENCE = "OccurrenceConstraintViolation"
    PROPERTY = "PropertyConstraintViolation"
    PROTOCOL = "ProtocolError"
    RPC = "RpcFrameworkError"
    SECURITY = "SecurityError"
    TYPE = "TypeConstraintViolation"


# OCPP-J 1.6 table 7 spells two of them in its own way and does not know RpcFrameworkError
_SPELLED_16 = {
    ErrorCode.FORMAT: "FormationViolation",
    ErrorCode.OCCURRENCE: "OccurenceConstraintViolation",
    ErrorCode.RPC: "GenericError",
}
# which keyword of a schema was broken -> what the other end is told
_CODE_OF_KEYWORD = {
    "type": ErrorCode.TYPE,
    "required": ErrorCode.OCCURRENCE,
    "minItems": ErrorCode.OCCURRENCE,
    "maxItems": ErrorCode.OCCURRENCE,
    "additionalProperties": ErrorCode.FORMAT,
}


@dataclass(frozen=True, slots=True)
class Call:
    """A request."""

    message_id: str
    action: str
    payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Result:
    """An answer."""

    message_id: str
    payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Failure:
    """A refusal: CALLERROR. code: as it was sent, or an ErrorCode."""

    message_id: str
    code: str
    description: str = ""
    details: Mapping[str, Any] | None = None


Frame = Call | Result | Failure


class FrameError(PeerError):
    """A frame or a payload that breaks the rules; `failure` is the answer to it."""

    def __init__(self, code: ErrorCode, description: str, message_id: str = UNKNOWN_ID, received: str = "") -> None:
        super().__init__(f"{code}: {description}", received[:2000])
        self.code = code
        self.failure = Failure(message_id, code, description[:MAX_DESCRIPTION], {})


def read_frame(text: str) -> Frame:
    """Read one frame. Raises FrameError."""
    if len(text) > MAX_FRAME:
        raise FrameError(ErrorCode.RPC, f"frame of {len(text)} characters, at most {MAX_FRAME}")
    try:
        content = json.loads(
            text, parse_int=_integer, parse_float=Decimal, parse_constant=_constant, object_pairs_hook=_object
        )
        if "\\u" in text:
            _check_text(content)
    except (ValueError, RecursionError) as error:
        found = _CALL_ID.match(text)
        message_id = found[1] if found else UNKNOWN_ID
        raise FrameError(ErrorCode.RPC, f"no JSON: {error}", message_id, received=text) from None
    match content:
        case [2, str(message_id), str(action), dict(payload)] if _is_id(message_id):
            return Call(message_id, action, payload)
        case [3, str(message_id), dict(payload)] if _is_id(message_id):
            return Result(message_id, payload)
        case [4, str(message_id), str(code), str(description), dict(details)] if _is_id(message_id):
            return Failure(message_id, code, description, details)
        case [2, str(message_id), *_] if _is_id(message_id):
            raise FrameError(
                ErrorCode.RPC, 'a call is [2, "id", "action", {payload}] and nothing else', message_id, received=text
            )
    raise FrameError(ErrorCode.RPC, "neither a call nor an answer, or an id of a wrong length", received=text)


def write_frame(frame: Frame, version: Version) -> str:
    """The text of a frame, without white space."""
    return json.dumps(elements(frame, version), separators=(",", ":"), default=_number)


def elements(frame: Frame, version: Version) -> list[Any]:
    """What the JSON array of a frame holds."""
    if isinstance(frame, Call):
        return [int(MessageType.CALL), frame.message_id, frame.action, frame.payload]
    if isinstance(frame, Result):
        return [int(MessageType.RESULT), frame.message_id, frame.payload]
    code = _SPELLED_16.get(frame.code, frame.code) if version is Version.V16 else frame.code  # type: ignore[call-overload]
    return [int(MessageType.ERROR), frame.message_id, str(code), frame.description, frame.details or {}]


def check_call(call: Call, version: Version) -> None:
    """Raises FrameError: unknown action, or a payload that is not valid by the schema."""
    _check(MessageType.CALL, call.action, call.payload, version, call.message_id)


def check_result(result: Result, action: str, version: Version) -> None:
    """As `check_call`, for the answer to a call of `action`."""
    _check(MessageType.RESULT, action, result.payload, version, result.message_id)


def _check(kind: MessageType, action: str, payload: Mapping[str, Any], version: Version, message_id: str) -> None:
    if not action.isascii() or not action.isalnum():  # it names a file of the library
        raise FrameError(ErrorCode.NOT_IMPLEMENTED, f"action {action[:50]!r} is unknown", message_id)
    try:
        validator = get_validator(kind, action, version.schemas)
    except OSError:
        raise FrameError(
            ErrorCode.NOT_IMPLEMENTED, f"action {action[:50]} is unknown to {version.value}", message_id
        ) from None
    error: ValidationError | None = best_match(validator.iter_errors(payload))
    if error is not None:
        where = "/".join(map(str, error.absolute_path)) or "payload"
        code = _CODE_OF_KEYWORD.get(str(error.validator), ErrorCode.PROPERTY)
        raise FrameError(code, f"{action}, {where}: {_said(error)}", message_id)


def _said(error: ValidationError) -> str:
    if error.validator == "maxLength":
        return f"{len(str(error.instance))} characters, at most {error.validator_value}"
    return str(error.message)[:200]


def _is_id(text: str) -> bool:
    return 0 < len(text) <= MAX_MESSAGE_ID


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key appears twice")
    return found


def _integer(text: str) -> int:
    if len(text.lstrip("-")) > MAX_DIGITS:
        raise ValueError(f"integer of more than {MAX_DIGITS} digits")
    return int(text)


def _check_text(content: object) -> None:
    """No NUL and no half of a surrogate pair: no database keeps them. Raises ValueError."""
    written = json.dumps(content, ensure_ascii=False, default=str)
    written.encode()
    if "\\u0000" in written:
        raise ValueError("a text holds a NUL")


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _number(value: object) -> float:
    if isinstance(value, Decimal):
        return float(value)  # of a trace or an echo; no meter value is written here
    raise TypeError(f"{type(value).__name__} in a frame")
