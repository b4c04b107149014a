"""Writes values bit by bit: what the interpreter needs besides `bits`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from v2g.exi.bits import FLUSH, finish, flush, put_binary, put_integer, put_string, put_unsigned
from v2g.exi.qnames import QNameTable

if TYPE_CHECKING:
    from v2g.exi.grammar import Schema


class BitWriter:
    """empty_event: write an empty string or binary as EE of the second level."""

    def __init__(self, schema: Schema, *, empty_event: bool) -> None:
        self.schema = schema
        self.empty_event = empty_event
        self.qnames = QNameTable(schema)
        self.a = 1
        self.out = bytearray()

    def put(self, width: int, bits: int) -> None:
        self.a = self.a << width | bits
        if self.a.bit_length() > FLUSH:
            self.a = flush(self.a, self.out)

    def unsigned(self, value: int) -> None:
        self.a = put_unsigned(self.a, value)

    def integer(self, value: int) -> None:
        self.a = put_integer(self.a, value)

    def string(self, text: str) -> None:
        self.a = put_string(self.a, str(text), self.out)

    def binary(self, octets: bytes) -> None:
        self.a = put_binary(self.a, octets, self.out)

    def qname(self, uri: str, local: str) -> None:
        """A qualified name, by its index in the string tables where it has one."""
        uris = self.qnames.uris
        if uri in uris:
            self.put(len(uris).bit_length(), uris.index(uri) + 1)
        else:
            self.put(len(uris).bit_length(), 0)
            self._literal(uri, 0)
            uris.append(uri)
        names = self.qnames.names(uri)
        if local in names:
            self.unsigned(0)
            self.put((len(names) - 1).bit_length(), names.index(local))
        else:
            self._literal(local, 1)
            names.append(local)

    def _literal(self, text: str, offset: int) -> None:
        """A string that is not in its table: length + offset, then the characters."""
        self.unsigned(len(text) + offset)
        for character in text:
            self.unsigned(ord(character))

    def finish(self, tail: tuple[int, int]) -> bytes:
        """The octets; tail: bits behind the end, if a decoder met some."""
        bits, width = tail
        if (self.a.bit_length() - 1 + width) % 8 == 0:
            self.put(width, bits)
        return finish(self.a, self.out)
