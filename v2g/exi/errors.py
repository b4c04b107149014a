"""What can go wrong: with octets that a peer sent (PeerError) or with a message of our own (LocalError)."""

from __future__ import annotations

from ports.errors import LocalError, PeerError


class ExiError(PeerError):
    """Octets that are no stream of the schema. `bit` is the position in the payload, the header octet included.

    where: schema, path of elements, type and state, as far as the decoder came.
    """

    def __init__(self, message: str, received: bytes, bit: int, where: str) -> None:
        super().__init__(f"{where}, bit {bit}: {message}", received)
        self.bit = bit
        self.where = where


class TruncatedError(ExiError):
    """The stream ends before the message does."""


class EventError(ExiError):
    """An event code that the state does not have, or one that no V2G message uses (wildcard, undeclared element)."""


class ValueEncodingError(ExiError):
    """Octets that are no value: a string-table hit (V2G has no tables), a code point that is no character."""


class StrictError(ExiError):
    """Decoding was asked to be strict and met a deviation."""


class SizeError(ExiError):
    """The payload is longer than any V2G message may be."""


class EncodeError(LocalError):
    """The message cannot be written: a field is missing, has the wrong type or stands where the schema has no place."""


class LimitError(EncodeError):
    """The message breaks limits of its schema (`check=False` sends it all the same). `broken` lists them."""

    def __init__(self, schema: str, broken: list[str]) -> None:
        super().__init__(f"{schema}: {'; '.join(broken)}")
        self.broken = broken


class UnknownSchemaError(LocalError):
    """No schema set, element or payload type of this name."""
