"""Octets from strangers before a parser sees them: bounded in size, depth and number of elements."""

from __future__ import annotations

from ports.errors import PeerError

MAX_DEPTH = 24  # a certificate has 8
MAX_ELEMENTS = 4000
_CONSTRUCTED, _LONG_FORM, _HIGH_TAG = 0x20, 0x80, 0x1F


def check_der(octets: bytes, what: str, max_octets: int) -> None:
    """Walk over the elements without recursion: one outer element, definite lengths, nothing behind it.

    what: name for errors. Raises PeerError.
    """

    def wrong(text: str) -> PeerError:
        return PeerError(f"{what}: {text}", octets[:max_octets])

    if not octets or len(octets) > max_octets:
        raise wrong(f"{len(octets)} octets, expected 1 to {max_octets}")
    ends = [len(octets)]  # of the constructed elements that are open
    position = elements = 0
    while position < len(octets):
        while position == ends[-1]:
            ends.pop()
        elements += 1
        if elements > MAX_ELEMENTS or len(ends) > MAX_DEPTH:
            raise wrong(f"more than {MAX_ELEMENTS} elements, or {MAX_DEPTH} deep")
        tag = octets[position]
        if tag & _HIGH_TAG == _HIGH_TAG:
            raise wrong(f"tag of many octets at offset {position}")
        size, start = _length(octets, position + 1)
        if start == 0 or start + size > ends[-1]:
            raise wrong(f"length at offset {position + 1} is not definite or goes beyond its element")
        if elements == 1 and start + size != len(octets):
            raise wrong(f"{len(octets) - start - size} octets behind its end")
        if tag & _CONSTRUCTED and size:
            ends.append(start + size)
            position = start
        else:
            position = start + size


def _length(octets: bytes, position: int) -> tuple[int, int]:
    """Length and offset of the content; offset 0 = not readable."""
    if position >= len(octets):
        return 0, 0
    first = octets[position]
    if first < _LONG_FORM:
        return first, position + 1
    count = first & ~_LONG_FORM
    content = position + 1 + count
    if not 1 <= count <= 3 or content > len(octets):
        return 0, 0
    return int.from_bytes(octets[position + 1 : content], "big"), content
