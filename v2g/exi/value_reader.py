"""Reads values and elements of simple types, and takes down what deviates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from v2g.exi.bit_reader import BitReader
from v2g.exi.deviations import Deviation, DeviationKind, Memory, Raw, Undefined, Untyped
from v2g.exi.errors import EventError, StrictError
from v2g.exi.limits import broken_limit
from v2g.exi.schemas import SchemaSet, schema
from v2g.exi.second_level import second_level

if TYPE_CHECKING:
    from v2g.exi.dialects import Dialect
    from v2g.exi.grammar import Simple
    from v2g.exi.second_level import Event


class BitNote(NamedTuple):
    """What some bits of a stream are. path: elements from the root, "/" between."""

    bit: int
    width: int
    path: str
    meaning: str


class ValueReader(BitReader):
    """Reads what has no children. strict: raise on the first deviation. check: look for broken limits."""

    def __init__(self, name: SchemaSet, data: bytes, *, strict: bool, check: bool, dialect: Dialect) -> None:
        super().__init__(schema(name), data)
        self.strict = strict
        self.check = check
        self.dialect = dialect
        self.deviations: list[Deviation] = []
        self.annotating = False
        self.bit_notes: list[BitNote] = []
        self.built_in: set[tuple[str, str]] = set()

    def mark(self, start: int, meaning: str) -> None:
        """Note what the bits from `start` to here are."""
        self.bit_notes.append(BitNote(start, self.at - start, "/".join(self.path), meaning))

    def note(self, kind: DeviationKind, bit: int, detail: str, *, valid: bool = False) -> None:
        """Take down a deviation; valid: the schema allows it, only we have no field for it."""
        if self.strict and not valid:
            raise StrictError(f"{kind}: {detail}", self.data, bit, self.where())
        self.deviations.append(Deviation(kind, "/".join(self.path), bit, detail))
        if self.annotating:
            self.mark(bit, f"{kind}: {detail}")

    def bad_event(self, message: str) -> EventError:
        return EventError(message, self.data, self.at, self.where())

    def simple_element(self, simple: Simple, memory: Memory, event: int) -> Any:
        """Read an element of a simple type; what is irregular goes to the memory as raw bits."""
        start, before, met = self.at, len(self.deviations), len(self.met)
        self.long_form = False
        value: Any
        if self.bits(1):
            value = self._irregular_simple(simple, start)
        else:
            value = self.value(simple)
            self._simple_end(simple)
        if self.long_form:
            self.note("long form", start, "a value with redundant bits")
        if len(self.deviations) > before and any(found.kind != "limit" for found in self.deviations[before:]):
            memory.values[event] = Raw(value, *self.span(start), tuple(self.met[met:]))
        return value

    def _simple_end(self, simple: Simple) -> None:
        """EE, or the second level of a state that has only EE."""
        self.place = simple.name
        while self.bits(1):
            if not self.bits(1):
                self.undeclared(self.at)
                continue
            start = self.at
            self.note("text", start, f"text {self.string()!r} after the value")

    def _irregular_simple(self, simple: Simple, start: int) -> Any:
        events = second_level(first=True, attributes=True, has_end=False)
        event = events[self.second_level_code(len(events))]
        while event in ("xsi:type", "xsi:nil", "AT(*)", "AT(untyped)"):
            if self._attribute_of_simple(event, start):
                self._emptied(simple)
                return Untyped("")
            if not self.bits(1):
                value = self.value(simple)
                self._simple_end(simple)
                return value
            event = events[self.second_level_code(len(events))]
        if event == "EE":
            return self.empty(simple, start)
        text = self._stray(event, simple, start)
        # the value may still come: CH, or the second level EE, SE(*), CH
        while self.bits(1):
            at = self.at
            code = self.second_level_code(3)
            if code == 0:
                return Untyped(text)
            text += self._stray("SE(*)" if code == 1 else "CH(untyped)", simple, at)
        value = self.value(simple)
        self._simple_end(simple)
        return value

    def _stray(self, event: Event, simple: Simple, start: int) -> str:
        """An undeclared element or untyped text; returns the text."""
        if event == "SE(*)":
            self.undeclared(start)
            return ""
        text = self.string()
        self.note("untyped value", start, f"text {text!r} for {simple.name}")
        return text

    def undeclared(self, start: int) -> None:
        """Read an undeclared element after its event code."""
        raise NotImplementedError

    def _emptied(self, simple: Simple) -> None:
        """After xsi:nil="true": attributes and text until EE."""
        self.place = f" ({simple.name}, after xsi:nil)"
        closed = False
        while self.bits(1):
            start = self.at
            events = second_level(first=not closed, attributes=not closed, has_end=True)
            event = events[self.second_level_code(len(events))]
            if event == "SE(*)":
                closed = True
                self.undeclared(start)
            elif event == "CH(untyped)":
                closed = True
                self.note("text", start, f"text {self.string()!r} after xsi:nil")
            else:
                self._attribute_of_simple(event, start)

    def _attribute_of_simple(self, event: Event, start: int) -> bool:
        """An attribute where the schema has none; True if xsi:nil ended the element."""
        if event == "xsi:type":
            uri, local = self.qname()
            self.note("xsi:type", start, f"xsi:type {{{uri}}}{local}")
            if (local, uri) not in {(name, namespace) for name, namespace, _ in self.schema.types}:
                raise self.bad_event(f"xsi:type {{{uri}}}{local} on an element of a simple type")
        elif event == "xsi:nil":
            nil = self.bits(1)
            self.note("xsi:nil", start, f"xsi:nil {bool(nil)}")
            if nil:
                return True
        else:
            uri, local = self.qname()
            self.note("attribute", start, f"attribute {{{uri}}}{local}={self.string()!r}")
        return False

    def empty(self, simple: Simple, start: int) -> Any:
        if simple.kind == "string":
            self.note("empty content", start, "EE instead of a value of length 0")
            return ""
        if simple.kind in ("hex", "base64"):
            self.note("empty content", start, "EE instead of a value of length 0")
            return b""
        self.note("missing", start, f"no value of {simple.name}")
        return Untyped("")

    def second_level_code(self, choices: int) -> int:
        """A code of the second level."""
        start = self.at
        code = self.bits((choices - 1).bit_length())
        if code < choices:
            return code
        self.at = start
        raise self.bad_event(f"second-level event code {code} of {choices}")

    def value(self, simple: Simple) -> Any:
        """Read a value and check it against its limits."""
        self.place = simple.name
        start = self.at
        value: Any
        match simple.kind:
            case "enumeration":
                index = self.bits(simple.width)
                if index < len(simple.values):
                    if self.annotating:
                        self.mark(start, f"{simple.name} {simple.values[index]}")
                    return simple.values[index]
                self.note("undefined value", start, f"index {index} of the {len(simple.values)} of {simple.name}")
                return Undefined(f"#{index}")
            case "boolean":
                value = self.bits(1) == 1
            case "bits":
                value = self.bits(simple.width) + (simple.low or 0)
            case "unsigned":
                value = self.unsigned()
            case "integer":
                value = self.integer()
            case "string":
                value = self.string()
            case _:
                value = self.binary()
        if self.annotating:
            self.mark(start, f"{simple.name} {value!r}")
        if self.check and (wrong := broken_limit(simple, value)):
            self.note("limit", start, wrong)
        return value
