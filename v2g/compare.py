"""Two messages or two sessions side by side: what differs, by path."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from v2g.exi.element import Element
from v2g.render import Plain, plain, scalar, tree_lines
from v2g.session_decoder import DecodedFrame


@dataclass(frozen=True, slots=True)
class Difference:
    """frame: position in both inputs, from 1. path: elements from the message down. one, other: "" = not there."""

    frame: int
    path: str
    one: str
    other: str

    def __str__(self) -> str:
        """One line for people."""
        return f"frame {self.frame}, {self.path}: {self.one or '(absent)'} | {self.other or '(absent)'}"


def differences(one: Sequence[DecodedFrame], other: Sequence[DecodedFrame]) -> Iterator[Difference]:
    """Every difference between two sessions, frame by frame; ends where they take different ways.

    Equal fields in other bits (an empty list written the long way, a trailing octet) are a difference too.
    """
    for number, (first, second) in enumerate(zip_longest(one, other), 1):
        if first is None or second is None or first.name != second.name:
            yield Difference(number, "message", first.name if first else "", second.name if second else "")
            return
        yield from frame_differences(number, first, second)


def frame_differences(number: int, one: DecodedFrame, other: DecodedFrame) -> Iterator[Difference]:
    """What differs between two frames of the same message."""
    first, second = one.source.frame, other.source.frame
    if first.payload_type != second.payload_type:
        yield Difference(number, "payload type", f"{first.payload_type:#06x}", f"{second.payload_type:#06x}")
    if one.error != other.error:
        yield Difference(number, "error", one.error or "none", other.error or "none")
    found = list(_between(one.name, content(one), content(other)))
    yield from (Difference(number, path, a, b) for path, a, b in found)
    if not found and first.payload != second.payload and one.error == other.error:
        bit = next(_differing_bits(first.payload, second.payload))
        where = f"{one.name}, same fields, other bits from bit {bit}"
        yield Difference(number, where, _shown(first.payload, bit), _shown(second.payload, bit))


def content(frame: DecodedFrame) -> Plain:
    """The tree of a frame's message; the octets of SDP and of what could not be read."""
    if isinstance(frame.message, Element):
        return plain(frame.message)
    return frame.source.frame.payload


def _between(path: str, one: Plain, other: Plain) -> Iterator[tuple[str, str, str]]:
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for key in dict.fromkeys([*one, *other]):
            if key not in one or key not in other:
                yield (
                    f"{path}/{key}",
                    _text(key, one[key]) if key in one else "",
                    _text(key, other[key]) if key in other else "",
                )
            else:
                yield from _between(f"{path}/{key}", one[key], other[key])
    elif isinstance(one, list) and isinstance(other, list):
        for index, (a, b) in enumerate(zip_longest(one, other)):
            if a is None or b is None:
                yield f"{path}[{index}]", "" if a is None else _text("", a), "" if b is None else _text("", b)
            else:
                yield from _between(f"{path}[{index}]", a, b)
    elif type(one) is not type(other) or one != other:
        name = path.rpartition("/")[2]
        yield path, _text(name, one), _text(name, other)


def _text_at(tree: Mapping[str, Plain], key: str) -> str:
    return _text(key, tree[key]) if key in tree else ""


def _text(name: str, value: Plain) -> str:
    if isinstance(value, Mapping | list):
        lines = tree_lines(value if isinstance(value, Mapping) else {name or "item": value}, 0)
        return "; ".join(line.strip() for line in lines) or "(empty)"
    return scalar(name, value) or '""'


def _differing_bits(one: bytes, other: bytes) -> Iterator[int]:
    for index, (a, b) in enumerate(zip_longest(one, other)):
        if a is None or b is None:
            yield index * 8
        elif a != b:
            yield index * 8 + 8 - (a ^ b).bit_length()


def _shown(octets: bytes, bit: int) -> str:
    start = max(0, bit // 8 - 4)
    return f"{'...' if start else ''}{octets[start : start + 16].hex()} ({len(octets)} octets)"
