"""The interpreter that writes: whatever a non-strict grammar can express, and what a decoded message remembers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from v2g.exi.bit_writer import BitWriter
from v2g.exi.bits import BOOLEAN, Unusual
from v2g.exi.deviations import Extra, Memory, Undefined, Untyped
from v2g.exi.errors import EncodeError, UnknownSchemaError
from v2g.exi.grammar import EE_TEXT, Complex, Production, Simple
from v2g.exi.limits import check_value
from v2g.exi.relaxed import write_relaxed
from v2g.exi.schemas import SchemaSet, complex_grammar, grammar, schema, type_key
from v2g.exi.second_level import first_level, second_level
from v2g.exi.wire_order import document_order

if TYPE_CHECKING:
    from v2g.exi.dialects import Dialect
    from v2g.exi.element import Element
    from v2g.exi.grammar import Root, Step
    from v2g.exi.second_level import Event

HEADER = 0x80
NO_MEMORY = Memory()


def write_document(name: SchemaSet, element: str, message: Element, *, check: bool, dialect: Dialect) -> bytes:
    """Write a message; see `codec.encode`."""
    writer = Writer(name, dialect)
    roots = document_order(writer.schema, dialect)
    number = next((number for number, root in enumerate(roots) if root.name == element), None)
    if number is None:
        raise UnknownSchemaError(f"{name} has no document {element!r}")
    key = roots[number].types[0]
    if check:
        check_value(key, message, element)
    writer.put(8, HEADER)
    writer.put(len(roots).bit_length(), number)
    writer.path.append(element)
    writer.complex(complex_grammar(key), message)
    return writer.finish(_memory(message).tail)


def write_fragment(name: SchemaSet, element: str, value: Any, *, check: bool, dialect: Dialect) -> bytes:
    """Write a fragment; see `codec.encode_fragment`."""
    writer = Writer(name, dialect)
    roots = writer.schema.fragments
    width = (len(roots) + 1).bit_length()
    number = _fragment(roots, element, name)
    root = roots[number]
    kinds = [grammar(key) for key in root.types]
    kind = next(
        (kind for kind in kinds if isinstance(kind, Complex) != isinstance(value, (str, bytes, int))), kinds[-1]
    )
    if check:
        check_value(kind.key if isinstance(kind, Complex) else root.types[kinds.index(kind)], value, element)
    writer.put(8, HEADER)
    writer.put(width, number)
    writer.path.append(root.name)
    if len(kinds) > 1 and not dialect.plain_emaid:
        write_relaxed(writer, root, value)
    elif isinstance(kind, Simple):
        writer.simple_element(kind, value)
    else:
        writer.complex(kind, value)
    writer.put(width, len(roots) + 1)
    return writer.finish(_memory(value).tail)


def _fragment(roots: tuple[Root, ...], element: str, name: SchemaSet) -> int:
    found = [number for number, root in enumerate(roots) if element in (root.name, f"{{{root.uri}}}{root.name}")]
    if len(found) == 1:
        return found[0]
    if not found:
        raise UnknownSchemaError(f"{name} declares no element {element!r}")
    names = " or ".join(f"{{{roots[number].uri}}}{element}" for number in found)
    raise UnknownSchemaError(f"{name} declares {element!r} in several namespaces: {names}")


class Writer(BitWriter):
    """Writes elements."""

    def __init__(self, name: SchemaSet, dialect: Dialect) -> None:
        super().__init__(schema(name), empty_event=dialect.empty_content == "event")
        self.dialect = dialect
        self.path: list[str] = []

    def error(self, message: str) -> EncodeError:
        return EncodeError(f"{self.schema.name} {'/'.join(self.path)}: {message}")

    def complex(self, kind: Complex, message: object) -> None:
        """Write an element of a complex type, up to and including its EE."""
        Contents(self, kind, message).write()

    def simple_element(self, simple: Simple, value: object) -> None:
        """Write an element of a simple type after its event code."""
        if isinstance(value, Untyped):
            # escape, CH(untyped) of seven events, the text, then EE of three: EXI 8.5.4.4
            self.put(4, 0b1110)
            self.string(value)
            self.put(3, 0b100)
        elif self.empty_event and value in ("", b""):
            self.put(4, 0b1000)
        else:
            self.put(1, 0)
            self.value(simple, value)
            self.put(1, 0)

    def value(self, simple: Simple, value: Any) -> None:
        """Write a value, inside its limits or not, as long as its bits can hold it."""
        try:
            self._value(simple, value)
        except (Unusual, KeyError, TypeError, AttributeError, ValueError):
            raise self.error(f"{value!r} cannot be written as {simple.name} ({simple.kind})") from None

    def _value(self, simple: Simple, value: Any) -> None:
        match simple.kind:
            case "enumeration":
                undefined = isinstance(value, Undefined) or value.startswith("#")
                index = int(value[1:]) if undefined else simple.values.index(value)
                self._fixed(simple.width, index)
            case "boolean":
                self.put(1, BOOLEAN[value])
            case "bits":
                self._fixed(simple.width, value - (simple.low or 0))
            case "unsigned":
                self.unsigned(value)
            case "integer":
                self.integer(value)
            case "string":
                self.string(value)
            case _:
                self.binary(value)

    def _fixed(self, width: int, bits: int) -> None:
        if bits >> width:
            raise Unusual
        self.put(width, bits)


class Contents:
    """One element of a complex type while it is written."""

    def __init__(self, writer: Writer, kind: Complex, message: object) -> None:
        self.writer = writer
        self.kind = kind
        self.message = message
        self.memory = _memory(message)
        self.extras = list(self.memory.extras)
        self.order = list(self.memory.order)
        self.left = self._values(kind, message)
        self.state = self.count = self.event = 0
        self.closed = self.nil = False

    def _values(self, kind: Complex, message: object) -> dict[str, list[Any]]:
        """The values still to be written, by field."""
        left: dict[str, list[Any]] = {}
        for field in getattr(message, "__struct_fields__", ()):
            value = getattr(message, field)
            if value is not None:
                left[field] = list(value) if isinstance(value, list) else [value]
        if not hasattr(message, "__struct_fields__"):
            raise self.writer.error(f"{message!r} is no {kind.name}")
        return {field: values for field, values in left.items() if values}

    def write(self) -> None:
        declared = type(self.message).__name__
        if declared != self.kind.name and not any(extra.kind == "xsi:type" for extra in self.extras):
            raise self.writer.error(f"{declared} stands where the schema has {self.kind.name}")
        while True:
            while self.extras and self.extras[0].at <= self.event:
                self._extra(self.extras.pop(0))
            found = self._first_level()
            chosen = self._choose(found)
            if chosen is None:
                self._end(found)
                return
            code, production, value = chosen
            if self._is_empty_event(production, value):
                self._escape("EE", found)
                return
            if isinstance(value, Untyped) and self.kind.steps[production.step].kind == "attribute":
                self._untyped_attribute(found, production.step, value)
                continue
            self.writer.put(len(found).bit_length(), code)
            self._write_step(production, value)

    def _first_level(self) -> tuple[Production, ...]:
        count, dialect = self.count, self.writer.dialect
        if count > 1 and dialect.open_lists:
            high = self.kind.steps[self.state - 1].high
            if count == high and dialect.ends_open(self.kind.home, high):
                count -= 1
        return first_level(self.kind.key, self.state, count, nil=self.nil)

    def _choose(self, found: tuple[Production, ...]) -> tuple[int, Production, Any] | None:
        """The event to write next: (code, production, value), None for the end."""
        steps = self.kind.steps
        if self.order:
            wanted = self.order.pop(0)
            found_numbers = [production.step for production in found]
            if wanted in found_numbers and self.left.get(steps[wanted].field):
                found = tuple(p if p.step == wanted else Production(EE_TEXT) for p in found)
        for code, production in enumerate(found):
            number = production.step
            if number in (EE_TEXT, len(steps)) or not steps[number].field:
                continue
            step = steps[number]
            values = self.left.get(step.field)
            if not values or (step.high and step.high > 1 and self.state == number + 1 and self.count >= step.high):
                continue
            if len(step.members) > 1:
                code += self._member(step, values[0]) - production.member
                production = found[code]
            value = values.pop(0)
            if not values:
                del self.left[step.field]
            return code, production, value
        return None

    def _is_empty_event(self, production: Production, value: Any) -> bool:
        """Whether simple content is written as EE of the second level instead of a value of length 0."""
        if self.kind.steps[production.step].kind != "text" or value not in ("", b""):
            return False
        raw = self.memory.values.get(self.event)
        return raw.width == 0 if raw else self.writer.empty_event

    def _member(self, step: Step, value: object) -> int:
        """Which member of a substitution group a value is."""
        name = _memory(value).element
        for number, member in enumerate(step.members):
            if name and member.name == name:
                return number
        try:
            key = type_key(type(value))
        except UnknownSchemaError:
            key = ""
        keys = [member.type for member in step.members]
        if key not in keys:
            raise self.writer.error(f"{type(value).__name__} may not stand in {step.field}")
        return keys.index(key)

    def _write_step(self, production: Production, value: Any) -> None:
        writer, number = self.writer, production.step
        step = self.kind.steps[number]
        member = step.members[production.member]
        writer.path.append(step.field if step.kind == "attribute" else member.name)
        kind = grammar(member.type)
        raw = self.memory.values.get(self.event)
        if raw is not None and raw.value == value and type(raw.value) is type(value):
            writer.put(raw.width, raw.bits)
            for name in raw.names:
                writer.qnames.learn(*name)
        elif isinstance(kind, Complex):
            writer.complex(kind, value)
        elif step.kind == "element":
            writer.simple_element(kind, value)
        else:
            writer.value(kind, value)
        writer.path.pop()
        self._advance(number)

    def _untyped_attribute(self, found: tuple[Production, ...], number: int, text: str) -> None:
        """An attribute with text instead of its type: a code of the third level."""
        self._escape("AT(untyped)", found)
        left = [production.step for production in found if 0 <= production.step < self.kind.attributes]
        self.writer.put(len(left).bit_length(), left.index(number))
        raw = self.memory.values.get(self.event)
        if raw is not None and raw.value == text:
            self.writer.put(raw.width, raw.bits)
        else:
            self.writer.string(text)
        self._advance(number)

    def _close(self) -> None:
        """Content has begun: no attribute may come any more, not even a required one."""
        if self.state < self.kind.attributes:
            self.state = self.kind.attributes
        self.closed = True

    def _rest(self, extra: Extra) -> None:
        """What follows the event code of an extra event."""
        if extra.raw:
            self.writer.put(extra.raw.width, extra.raw.bits)
            for name in extra.raw.names:
                self.writer.qnames.learn(*name)
            return
        if extra.kind not in ("text", "mixed"):
            self.writer.qname(extra.uri, extra.name)
        if extra.kind != "xsi:type":
            self.writer.string(extra.text)

    def _advance(self, number: int) -> None:
        self.count = self.count + 1 if self.state == number + 1 else 1
        self.state = number + 1
        self.event += 1

    def _end(self, found: tuple[Production, ...]) -> None:
        if self.left:
            fields = ", ".join(self.left)
            missing = ", ".join(
                self.kind.steps[production.step].field
                for production in found[:3]
                if 0 <= production.step < len(self.kind.steps)
            )
            raise self.writer.error(f"{fields} cannot stand here" + (f", {missing} would have to" if missing else ""))
        end = len(self.kind.steps)
        for code, production in enumerate(found):
            if production.step == end:
                self.writer.put(len(found).bit_length(), code)
                return
        self._escape("EE", found)

    def _escape(self, event: Event, found: tuple[Production, ...]) -> None:
        """The escape code of the state, then an event of the second level."""
        writer = self.writer
        events = second_level(
            first=self.state == 0 and not self.closed,
            attributes=self.state <= self.kind.attributes and not self.closed,
            has_end=any(production.step == len(self.kind.steps) for production in found),
        )
        if event not in events:
            raise writer.error(f"{event} is not possible here")
        writer.put(len(found).bit_length(), len(found))
        writer.put((len(events) - 1).bit_length(), events.index(event))

    def _extra(self, extra: Extra) -> None:
        writer, found = self.writer, self._first_level()
        match extra.kind:
            case "mixed":
                writer.put(len(found).bit_length(), len(found) - 1)
                self._rest(extra)
                self._close()
            case "text":
                self._escape("CH(untyped)", found)
                self._rest(extra)
                self._close()
            case "element":
                self._escape("SE(*)", found)
                self._rest(extra)
                self._close()
            case "attribute":
                self._escape("AT(*)", found)
                self._rest(extra)
            case "untyped attribute":
                self._escape("AT(untyped)", found)
                left = sum(0 <= production.step < self.kind.attributes for production in found)
                writer.put(left.bit_length(), left)
                self._rest(extra)
            case "xsi:nil":
                self._escape("xsi:nil", found)
                self.nil = extra.text == "true"
                writer.put(1, self.nil)
            case "xsi:type":
                self._escape("xsi:type", found)
                self._rest(extra)
                key = next(key for name, uri, key in writer.schema.types if (name, uri) == (extra.name, extra.uri))
                self.kind = complex_grammar(key)


def _memory(message: object) -> Memory:
    found: Memory | None = getattr(message, "__dict__", {}).get("exi")
    return found or NO_MEMORY
