"""Reads values bit by bit at any position, in linear time, and notices values written with more bits than needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from v2g.exi.errors import TruncatedError, ValueEncodingError
from v2g.exi.qnames import QNameTable

if TYPE_CHECKING:
    from v2g.exi.grammar import Schema

# groups of seven bits that an integer may have; the longest in V2G is the serial number of a certificate (20 octets)
MAX_GROUPS = 200


class BitReader:
    """at: the next bit. long_form: whether a value since the last reset had redundant bits. where: set by the owner."""

    def __init__(self, schema: Schema, data: bytes) -> None:
        self.schema = schema
        self.data = data
        self.qnames = QNameTable(schema)
        self.met: list[tuple[str, str]] = []
        self.at = 0
        self.end = 8 * len(data)
        self.long_form = False
        self.path: list[str] = []
        self.place: object = ""

    def where(self) -> str:
        """Schema, path and state, for errors."""
        place = f" ({self.place})" if self.place and str(self.place)[0] not in ", " else str(self.place)
        return f"{self.schema.name} {'/'.join(self.path) or 'stream'}{place}"

    def bits(self, width: int) -> int:
        start, stop = self.at, self.at + width
        if stop > self.end:
            raise TruncatedError(f"the stream ends at bit {self.end}", self.data, start, self.where())
        self.at = stop
        octets = self.data[start >> 3 : (stop + 7) >> 3]
        return int.from_bytes(octets, "big") >> (-stop & 7) & ((1 << width) - 1)

    def span(self, start: int) -> tuple[int, int]:
        """(the bits from `start` to here, their number)."""
        width = self.at - start
        octets = self.data[start >> 3 : (self.at + 7) >> 3]
        return int.from_bytes(octets, "big") >> (-self.at & 7) & ((1 << width) - 1), width

    def unsigned(self) -> int:
        value = 0
        for number in range(MAX_GROUPS):
            group = self.bits(8)
            value |= (group & 127) << 7 * number
            if group < 128:
                if number and not group:
                    self.long_form = True
                return value
        raise self.bad_value(f"an integer of more than {MAX_GROUPS} groups")

    def integer(self) -> int:
        negative = self.bits(1)
        value = self.unsigned()
        return ~value if negative else value

    def string(self) -> str:
        start = self.at
        size = self.unsigned() - 2
        if size < 0:
            self.at = start
            raise self.bad_value("a string-table hit, V2G uses no string tables")
        return self.characters(size)

    def characters(self, size: int) -> str:
        self._room(size)
        octets = self.bits(8 * size).to_bytes(size, "big")
        if octets.isascii():
            return octets.decode("ascii")
        self.at -= 8 * size
        return "".join([self._character() for _ in range(size)])

    def _character(self) -> str:
        start = self.at
        code = self.unsigned()
        if code > 0x10FFFF or 0xD800 <= code < 0xE000:
            self.at = start
            raise self.bad_value(f"{code:#x} is no character")
        return chr(code)

    def binary(self) -> bytes:
        size = self.unsigned()
        self._room(size)
        return self.bits(8 * size).to_bytes(size, "big")

    def _room(self, size: int) -> None:
        if 8 * size > self.end - self.at:
            raise TruncatedError(
                f"a value of {size} octets or characters, {(self.end - self.at) // 8} are left",
                self.data,
                self.at,
                self.where(),
            )

    def qname(self) -> tuple[str, str]:
        """(namespace, local name); kept in `met`."""
        self.met.append(self._qname())
        return self.met[-1]

    def _qname(self) -> tuple[str, str]:
        uris = self.qnames.uris
        index = self.bits(len(uris).bit_length())
        if index > len(uris):
            raise self.bad_value(f"namespace {index - 1} of {len(uris)}")
        if not index:
            uris.append(self.characters(self.unsigned()))
        uri = uris[index - 1]
        names = self.qnames.names(uri)
        start = self.at
        size = self.unsigned()
        if size:
            names.append(self.characters(size - 1))
            return uri, names[-1]
        index = self.bits((len(names) - 1).bit_length()) if names else 0
        if index >= len(names):
            self.at = start
            raise self.bad_value(f"name {index} of the {len(names)} of {uri!r}")
        return uri, names[index]

    def bad_value(self, message: str) -> ValueEncodingError:
        return ValueEncodingError(message, self.data, self.at, self.where())
