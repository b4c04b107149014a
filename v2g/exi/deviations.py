"""What a decoder met beyond the plain grammar, and how it is remembered for a loss-free re-encoding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from v2g.exi.element import Element

DeviationKind = Literal[
    "limit",  # a value, length or count outside the schema
    "undefined value",  # an index that the enumeration does not have
    "missing",  # a mandatory element or attribute did not come
    "untyped value",  # text where the schema wants a number, an index, octets
    "untyped attribute",
    "text",  # characters where the schema has none, or mixed content
    "attribute",  # an attribute that the schema does not have
    "element",  # an element that the schema does not have at its place
    "xsi:type",
    "xsi:nil",
    "empty content",  # no value event for an empty string or binary
    "long form",  # a value written with more bits than needed
    "padding",  # bits after the end that are not zero
    "trailing",  # octets after the end
    "order",  # a choice that repeats, mixed up
    "abstract",  # an element whose type is abstract
]


class Deviation(NamedTuple):
    """One of them. path: elements from the root, "/" between; bit: position in the payload, header included."""

    kind: DeviationKind
    path: str
    bit: int
    detail: str


class Undefined(str):
    """An enumeration value that the schema does not have: "#29" is written as index 29, if it fits the bits."""

    __slots__ = ()

    def __hash__(self) -> int:
        """No key of a table of values, so that straight-line code does not take it for one."""
        raise TypeError("an undefined value is no key")


class Untyped(str):
    """A value written as text on the second level, whatever the type of the field is."""

    __slots__ = ()

    def __hash__(self) -> int:
        """No key of a table of values, so that straight-line code does not take it for one."""
        raise TypeError("an untyped value is no key")


class Raw(NamedTuple):
    """How a value stood on the wire: `bits` in `width`, valid as long as the field still has `value`.

    names: qualified names in it, which the string tables of the stream learn.
    """

    value: object
    bits: int
    width: int
    names: tuple[tuple[str, str], ...] = ()


class Extra(NamedTuple):
    """An event to write before the `at`-th event of an element (attributes and children counted).

    kind "untyped attribute" is an unknown attribute written in the place of one with an invalid value.
    raw: the bits after the event code, if they were more than needed; of an element always.
    """

    at: int
    kind: Literal["text", "mixed", "attribute", "untyped attribute", "element", "xsi:type", "xsi:nil"]
    uri: str = ""
    name: str = ""
    text: str = ""
    raw: Raw | None = None


class Memory:
    """What an element remembers.

    values: by number of the event; an attribute's value, or all of a simple element after its event code.
    order: the steps in the order they came in, if that is not the order of the fields. element: its name, if its class
    does not tell. tail: bits after the end of a stream and their number.
    """

    __slots__ = ("deviations", "element", "extras", "order", "tail", "values")

    def __init__(self) -> None:
        self.extras: list[Extra] = []
        self.values: dict[int, Raw] = {}
        self.order: tuple[int, ...] = ()
        self.element = ""
        self.tail: tuple[int, int] = (0, 0)
        self.deviations: tuple[Deviation, ...] = ()


def memory(message: Element) -> Memory | None:
    """What the element remembers; None if it stood on the wire as the encoder would write it."""
    found: Memory | None = message.__dict__.get("exi")
    return found


def remember_element(message: Element, element: str) -> None:
    """Let a message know which element it is, where its class does not tell."""
    message.__dict__.setdefault("exi", Memory()).element = element


def deviations(message: Element) -> tuple[Deviation, ...]:
    """What the decoder met when it read this message, in the order of the bits."""
    found = memory(message)
    return found.deviations if found else ()
