"""Error bodies: {errorMessages, traceId}."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
from starlette.responses import Response

from backends.refusals import Refusal, Refused

JSON = "application/json"


class TooLarge(Exception):
    """A body without a length grew too long: raised while it is read."""


@dataclass(frozen=True, slots=True)
class Text:
    """status: HTTP. text: first message; "%s" takes the name of the field."""

    status: int
    text: str


@dataclass(frozen=True, slots=True)
class Texts:
    """What a facade says. fields: its names for the fields of `Refused`."""

    refusals: Mapping[Refusal, Text]
    fields: Mapping[str, str]

    def response(self, refused: Refused, trace_id: str = "") -> Response:
        """The published text first, what exactly was wrong second."""
        text = self.refusals[refused.reason]
        first = text.text % self.fields[refused.field] if "%s" in text.text else text.text
        return error_response(text.status, first, refused.detail, trace_id=trace_id)


def json_response(value: object, status: int = 200) -> Response:
    """A JSON answer; `value` is anything that msgspec encodes."""
    return Response(msgspec.json.encode(value), status, media_type=JSON)


def error_response(
    status: int, *messages: str, trace_id: str = "", headers: Mapping[str, str] | None = None
) -> Response:
    """An error; empty and repeated messages are left out."""
    body = {
        "errorMessages": list(dict.fromkeys(message for message in messages if message)),
        "traceId": trace_id or str(uuid.uuid4()),
    }
    return Response(msgspec.json.encode(body), status, headers, media_type=JSON)
