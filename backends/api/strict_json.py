"""JSON bodies without surprises: no key twice, no NaN, no endless nesting, only text, the right types."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn, TypeVar

import msgspec

from ports.errors import PeerError

T = TypeVar("T")


class MalformedBody(PeerError):
    """The body is not what the operation takes; the text says where."""


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"key {next(name for name in names if names.count(name) > 1)!r} appears twice")
    return found


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, one in value.items():
            yield name
            yield from _strings(one)
    elif isinstance(value, list):
        for one in value:
            yield from _strings(one)


def _is_text(string: str) -> bool:
    """No NUL and no half of a surrogate pair: no database keeps them."""
    return "\0" not in string and not any("\ud800" <= character <= "\udfff" for character in string)


def decode(body: bytes, kind: type[T]) -> T:
    """Read a body as the msgspec type `kind`. Raises MalformedBody."""
    try:
        text = body.decode("utf-8")
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_constant)
    except RecursionError:
        raise MalformedBody("the body is nested too deeply", body[:2000]) from None
    except ValueError as error:  # the decoders' errors are all of this kind
        raise MalformedBody(f"the body is no JSON: {error}"[:300], body[:2000]) from None
    if "\\u" in text and not all(map(_is_text, _strings(value))):
        raise MalformedBody("the body has characters that are no text", body[:2000])
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise MalformedBody(f"the body does not fit: {error}"[:300], body[:2000]) from None
