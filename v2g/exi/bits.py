"""Bits of the straight-line code: a stream being written is one int with a leading 1, one being read a window of it.

Both are kept short so that the cost stays linear: `put_*` move whole octets to `out`, `Window` takes in the next octets
when few are left. Whatever these functions do not take for granted (a negative length, a redundant group, a
string-table hit) raises `Unusual`: the interpreter then says what it is.
"""

from __future__ import annotations

# how many bits may pile up before whole octets move on
FLUSH = 4096
WINDOW = 1024
BOOLEAN = {False: 0, True: 1}


class Unusual(Exception):
    """The straight-line code met something that only the interpreter handles; never leaves `v2g.exi`."""


def always(v: object) -> bool:  # noqa: ARG001 - stands among the functions that look at their value
    """Of types without limits."""
    return True


def never(v: object) -> bool:  # noqa: ARG001
    """Of abstract types."""
    return False


def flush(a: int, out: bytearray) -> int:
    """Move whole octets of `a` to `out`; what remains has a leading 1 again."""
    bits = a.bit_length() - 1
    rest = bits & 7
    out += (a >> rest).to_bytes((bits >> 3) + 1, "big")[1:]
    return a & ((1 << rest) - 1) | 1 << rest


def finish(a: int, out: bytearray) -> bytes:
    """The stream, filled up with zero bits to a whole octet."""
    padding = -(a.bit_length() - 1) % 8
    a <<= padding
    tail = a.to_bytes((a.bit_length() + 7) // 8, "big")[1:]
    return bytes(out) + tail if out else tail


def put_unsigned(a: int, value: int) -> int:
    """EXI 7.1.6: groups of seven bits, least significant first, bit 7 says that more follow."""
    if value < 128:
        if value < 0:
            raise Unusual
        return a << 8 | value
    if value < 16384:
        return a << 16 | (value & 127 | 128) << 8 | value >> 7
    while value > 127:
        a = a << 8 | value & 127 | 128
        value >>= 7
    return a << 8 | value


def put_integer(a: int, value: int) -> int:
    """EXI 7.1.5: the sign, then the magnitude (of -1 - value if negative)."""
    if value < 0:
        return put_unsigned(a << 1 | 1, ~value)
    return put_unsigned(a << 1, value)


def put_string(a: int, text: str, out: bytearray) -> int:
    """EXI 7.1.10: length + 2 (0 and 1 are string-table hits), then the code points."""
    if text.__class__ is not str:
        raise Unusual
    size = len(text)
    a = put_unsigned(a, size + 2)
    if text.isascii():
        a = a << (8 * size) | int.from_bytes(text.encode(), "big")
    else:
        for character in text:
            a = put_unsigned(a, ord(character))
            if a.bit_length() > 2 * FLUSH:
                a = flush(a, out)
    return flush(a, out) if a.bit_length() > FLUSH else a


def put_binary(a: int, octets: bytes, out: bytearray) -> int:
    """EXI 7.1.1: the length, then the octets, not aligned."""
    size = len(octets)
    a = put_unsigned(a, size) << (8 * size) | int.from_bytes(octets, "big")
    return flush(a, out) if a.bit_length() > FLUSH else a


def get_unsigned(n: int, p: int) -> tuple[int, int]:
    """Read an unsigned integer below position `p` (counted from the low end); a redundant last group is unusual."""
    p -= 8
    group = n >> p & 255
    if group < 128:
        return group, p
    value, shift = group & 127, 7
    while True:
        p -= 8
        group = n >> p & 255
        value |= (group & 127) << shift
        if group < 128:
            if not group:
                raise Unusual
            return value, p
        shift += 7


def get_integer(n: int, p: int) -> tuple[int, int]:
    """Read a signed integer."""
    value, end = get_unsigned(n, p - 1)
    return (~value if n >> p - 1 & 1 else value), end


class Window:
    """The bits of a stream that are in hand: `n` holds them, positions count from its low end.

    low: positions below this ask for `slide`; 0 when everything is in hand.
    """

    __slots__ = ("at", "data", "low", "n")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = min(len(data), WINDOW)
        self.n = int.from_bytes(data[:WINDOW], "big")
        self.low = 4 * WINDOW if len(data) > WINDOW else 0

    def slide(self, p: int, wanted: int = WINDOW) -> int:
        """Drop what was read above position `p` and take in at least `wanted` more octets; returns the new position."""
        chunk = self.data[self.at : self.at + max(wanted, WINDOW)]
        self.at += len(chunk)
        if self.at >= len(self.data):
            self.low = 0
        bits = 8 * len(chunk)
        self.n = (self.n & (1 << p) - 1) << bits | int.from_bytes(chunk, "big")
        return p + bits

    def room(self, p: int, size: int) -> int:
        """Make sure that `size` octets are in hand, if the stream has them; returns the new position."""
        return self.slide(p, size + 4) if p - 8 * size < self.low else p

    def string(self, p: int) -> tuple[str, int]:
        """Read a string."""
        size, p = get_unsigned(self.n, p)
        size -= 2
        if size < 1:  # the empty string, or a string-table hit
            if size:
                raise Unusual
            return "", p
        if p < self.low + 24 * size:
            p = self.room(p, 3 * size)
        end = p - 8 * size
        if end < 0:
            raise Unusual
        octets = (self.n >> end & (1 << 8 * size) - 1).to_bytes(size, "big")
        if octets.isascii():
            return octets.decode("ascii"), end
        characters = []
        for _ in range(size):
            character, p = get_unsigned(self.n, p)
            if 0xD800 <= character < 0xE000:  # a surrogate is no character
                raise Unusual
            characters.append(chr(character))
        return "".join(characters), p

    def binary(self, p: int) -> tuple[bytes, int]:
        """Read hexBinary or base64Binary."""
        size, p = get_unsigned(self.n, p)
        if p < self.low + 8 * size:
            p = self.room(p, size)
        end = p - 8 * size
        if end < 0:
            raise Unusual
        return (self.n >> end & (1 << 8 * size) - 1).to_bytes(size, "big"), end
