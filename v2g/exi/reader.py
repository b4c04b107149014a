"""The interpreter that reads: every event of a non-strict grammar, with the bit of every deviation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from v2g.exi.bit_reader import BitReader
from v2g.exi.deviations import Deviation, DeviationKind, Extra, Memory, Raw, Undefined, Untyped, remember_element
from v2g.exi.errors import EventError, StrictError, TruncatedError
from v2g.exi.grammar import EE_TEXT, Complex, Simple
from v2g.exi.limits import broken_limit
from v2g.exi.relaxed import read_relaxed
from v2g.exi.schemas import SchemaSet, complex_grammar, grammar, message_class, schema
from v2g.exi.second_level import first_level, second_level
from v2g.exi.wire_order import document_order

if TYPE_CHECKING:
    from v2g.exi.dialects import Dialect
    from v2g.exi.element import Element
    from v2g.exi.grammar import Production, Root, Step
    from v2g.exi.second_level import Event

HEADER = 0x80
# the deepest V2G message has 12 levels; only xsi:type can nest without end
MAX_DEPTH = 32


def read_document(name: SchemaSet, payload: bytes, *, strict: bool, check: bool, dialect: Dialect) -> Element:
    """Read a message; see `codec.decode`."""
    reader = Reader(name, payload, strict=strict, check=check, dialect=dialect)
    roots = document_order(reader.schema, dialect)
    reader.header()
    root = reader.root(roots, len(roots).bit_length())
    if isinstance(grammar(root.types[0]), Simple):
        raise reader.bad_event(f"{root.name} has a simple type and is no message")
    reader.path.append(root.name)
    message: Element = reader.complex(complex_grammar(root.types[0]), root.name)
    reader.finish(message)
    if any(other is not root and other.types == root.types for other in roots[: roots.index(root)]):
        remember_element(message, root.name)
    return message


def read_fragment(name: SchemaSet, payload: bytes, *, strict: bool, check: bool, dialect: Dialect) -> tuple[str, Any]:
    """Read a fragment; see `codec.decode_fragment`."""
    reader = Reader(name, payload, strict=strict, check=check, dialect=dialect)
    roots = reader.schema.fragments
    width = (len(roots) + 1).bit_length()
    reader.header()
    root = reader.root(roots, width)
    reader.path.append(root.name)
    memory = Memory()
    kinds = [grammar(key) for key in root.types]
    value: Any
    if len(kinds) > 1 and not dialect.plain_emaid:
        value = read_relaxed(reader, root)
    elif isinstance(kinds[-1], Simple):
        value = reader.simple_element(kinds[-1], memory, 0)
    else:
        value = reader.complex(kinds[-1], root.name)
    reader.state = ", after the element"
    start = reader.at
    code = reader.bits(width)
    if code != len(roots) + 1:
        reader.at = start
        raise reader.bad_event(f"event code {code}, the end of the fragment is {len(roots) + 1}")
    reader.finish(value)
    names = [other.name for other in roots]
    return (root.name if names.count(root.name) == 1 else f"{{{root.uri}}}{root.name}"), value


class Reader(BitReader):
    """Reads elements and notes what deviates."""

    def __init__(self, name: SchemaSet, data: bytes, *, strict: bool, check: bool, dialect: Dialect) -> None:
        super().__init__(schema(name), data)
        self.strict = strict
        self.check = check
        self.dialect = dialect
        self.deviations: list[Deviation] = []

    def header(self) -> None:
        if not self.data:
            raise TruncatedError("no octets at all", self.data, 0, self.where())
        if self.bits(8) != HEADER:
            self.at = 0
            raise self.bad_event(f"header octet {self.data[0]:#04x}, V2G uses {HEADER:#04x}: EXI 1.0, no options")

    def root(self, roots: tuple[Root, ...], width: int) -> Root:
        start = self.at
        code = self.bits(width)
        if code < len(roots):
            return roots[code]
        self.at = start
        raise self.bad_event(f"event code {code}: there are {len(roots)} elements")

    def finish(self, message: object) -> None:
        """What stands behind the end: zero bits up to the octet, perhaps one octet more."""
        start = self.at
        rest = self.end - start
        tail = self.bits(rest)
        self.state = ", after the end"
        if tail >> (rest & ~7):
            self.note("padding", start, f"bits {tail >> (rest & ~7):0{rest & 7}b} after the end")
        if rest > 7:
            octets = self.data[(start + 7) >> 3 :]
            self.note("trailing", (start + 7) & ~7, f"{len(octets)} octets after the end: {octets[:8].hex()}")
        if self.deviations and hasattr(message, "__dict__"):
            memory = message.__dict__.setdefault("exi", Memory())
            memory.deviations = tuple(self.deviations)
            if tail or rest > 7:
                memory.tail = (tail, rest)

    def note(self, kind: DeviationKind, bit: int, detail: str, *, valid: bool = False) -> None:
        """Take down a deviation; valid: the schema allows it, only we have no field for it."""
        if self.strict and not valid:
            raise StrictError(f"{kind}: {detail}", self.data, bit, self.where())
        self.deviations.append(Deviation(kind, "/".join(self.path), bit, detail))

    def bad_event(self, message: str) -> EventError:
        return EventError(message, self.data, self.at, self.where())

    def complex(self, kind: Complex, element: str) -> Any:
        """Read an element of a complex type, up to and including its EE."""
        if len(self.path) > MAX_DEPTH:
            raise self.bad_event(f"more than {MAX_DEPTH} elements inside each other")
        content = Content(self, kind, element)
        content.read()
        return content.build()

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
        self.state = f" ({simple.name}, after its value)"
        while self.bits(1):
            if not self.bits(1):
                raise self.bad_event(f"undeclared element {self.qname()}")
            start = self.at
            self.note("text", start, f"text {self.string()!r} after the value")

    def _irregular_simple(self, simple: Simple, start: int) -> Any:
        events = second_level(first=True, attributes=True, has_end=False)
        event = events[self._code(len(events))]
        while event in ("xsi:type", "xsi:nil", "AT(*)", "AT(untyped)"):
            if self._attribute_of_simple(event, start):
                self._emptied(simple)
                return Untyped("")
            if not self.bits(1):
                value = self.value(simple)
                self._simple_end(simple)
                return value
            event = events[self._code(len(events))]
        if event == "EE":
            return self._empty(simple, start)
        if event == "SE(*)":
            raise self.bad_event(f"undeclared element {self.qname()}")
        text = self.string()
        self.note("untyped value", start, f"text {text!r} for {simple.name}")
        # the value may still come: CH, or the second level EE, SE(*), CH
        if not self.bits(1):
            value = self.value(simple)
            self._simple_end(simple)
            return value
        while code := self._code(3):
            if code == 1:
                raise self.bad_event(f"undeclared element {self.qname()}")
            text += self.string()
            if not self.bits(1):
                raise self.bad_event("a value after two texts")
        return Untyped(text)

    def _emptied(self, simple: Simple) -> None:
        """After xsi:nil="true": attributes and text until EE."""
        self.state = f" ({simple.name}, after xsi:nil)"
        closed = False
        while self.bits(1):
            start = self.at
            events = second_level(first=not closed, attributes=not closed, has_end=True)
            event = events[self._code(len(events))]
            if event == "SE(*)":
                raise self.bad_event(f"undeclared element {self.qname()}")
            if event == "CH(untyped)":
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

    def _empty(self, simple: Simple, start: int) -> Any:
        if simple.kind == "string":
            self.note("empty content", start, "EE instead of a value of length 0")
            return ""
        if simple.kind in ("hex", "base64"):
            self.note("empty content", start, "EE instead of a value of length 0")
            return b""
        self.note("missing", start, f"no value of {simple.name}")
        return Untyped("")

    def _code(self, choices: int) -> int:
        """A code of the second level."""
        start = self.at
        code = self.bits((choices - 1).bit_length())
        if code < choices:
            return code
        self.at = start
        raise self.bad_event(f"second-level event code {code} of {choices}")

    def value(self, simple: Simple) -> Any:
        """Read a value and check it against its limits."""
        self.state = f" ({simple.name})"
        start = self.at
        value: Any
        match simple.kind:
            case "enumeration":
                index = self.bits(simple.width)
                if index < len(simple.values):
                    return simple.values[index]
                self.note("undefined value", start, f"index {index} of the {len(simple.values)} of {simple.name}")
                return Undefined(f"#{index}")
            case "boolean":
                return self.bits(1) == 1
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
        if self.check and (wrong := broken_limit(simple, value)):
            self.note("limit", start, wrong)
        return value


class Content:
    """One element of a complex type while it is read."""

    def __init__(self, reader: Reader, kind: Complex, element: str) -> None:
        self.reader = reader
        self.kind = kind
        self.element = element
        self.memory = Memory()
        self.before = len(reader.deviations)
        self.fields: dict[str, Any] = {}
        self.order: list[int] = []
        self.state = self.count = 0
        self.closed = self.nil = False

    def read(self) -> None:
        reader = self.reader
        while True:
            kind = self.kind
            found = self._first_level()
            self._tell_state()
            start = reader.at
            code = reader.bits(len(found).bit_length())
            if code < len(found):
                if found[code].step == len(kind.steps):
                    return
                if found[code].step == EE_TEXT:
                    self._text("mixed", start)
                else:
                    self._step(found[code], start)
            elif code > len(found):
                reader.at = start
                raise reader.bad_event(f"event code {code}: there are {len(found)} and the escape")
            elif self._second_level(found, start):
                return

    def _first_level(self) -> tuple[Production, ...]:
        """The productions of the state; the dialect may end a full list as if one more could follow."""
        count, limit = self.count, self.reader.dialect.full_list_from
        if count and limit is not None:
            high = self.kind.steps[self.state - 1].high
            if high is not None and limit <= high == count:
                count -= 1
        return first_level(self.kind.key, self.state, count, closed=self.closed, nil=self.nil)

    def _tell_state(self) -> None:
        after = self.kind.steps[self.state - 1].field if self.state else ""
        self.reader.state = f" ({self.kind.name}, {'after ' + after if after else 'at its start'})"

    def _step(self, production: Production, start: int) -> None:
        reader, number = self.reader, production.step
        step = self.kind.steps[number]
        if step.kind == "wildcard":
            reader.at = start
            raise reader.bad_event("an element for a wildcard, which no V2G message uses")
        if step.high is not None and step.high > 1 and self.state == number + 1 and self.count >= step.high:
            raise reader.bad_event(f"more than {step.high} {step.field}")
        member = step.members[production.member]
        event = len(self.order)
        if step.kind == "element":
            reader.path.append(f"{member.name}[{len(self.fields.get(step.field, ()))}]" if step.many else member.name)
        elif step.kind == "attribute":
            reader.path.append(f"@{member.name}")
        kind = grammar(member.type)
        value: Any
        if isinstance(kind, Complex):
            value = reader.complex(kind, member.name)
            if self.memory_needs_element(step, value, member.name):
                remember_element(value, member.name)
        elif step.kind == "element":
            value = reader.simple_element(kind, self.memory, event)
        else:
            value = self._bare_value(kind, event)
        if step.kind != "text":
            reader.path.pop()
        self._take(number, step, value)

    def memory_needs_element(self, step: Step, value: object, element: str) -> bool:
        """Whether the class of a value does not tell which element of a substitution group it was."""
        names = {member.type: member.name for member in step.members}
        return len(names) > 1 and names.get(_key(value)) != element

    def _bare_value(self, kind: Simple, event: int) -> Any:
        """An attribute's value, or the text of simple content."""
        reader, start = self.reader, self.reader.at
        reader.long_form = False
        value = reader.value(kind)
        if reader.long_form:
            reader.note("long form", start, "a value with redundant bits")
            self.memory.values[event] = Raw(value, *reader.span(start))
        return value

    def _take(self, number: int, step: Step, value: Any) -> None:
        self.count = self.count + 1 if self.state == number + 1 else 1
        self.state = number + 1
        self.order.append(number)
        if step.many:
            self.fields.setdefault(step.field, []).append(value)
        else:
            self.fields[step.field] = value

    def _remember(self, kind: Any, start: int, *, uri: str = "", name: str = "", text: str = "") -> None:
        """Keep an extra event; its bits too if they were more than needed. start: after the event code."""
        raw = None
        if self.reader.long_form:
            self.reader.note("long form", start, f"{kind} with redundant bits")
            raw = Raw(None, *self.reader.span(start), ((uri, name),) if name else ())
        self.memory.extras.append(Extra(len(self.order), kind, uri, name, text, raw))

    def _text(self, kind: Any, start: int) -> None:
        at, self.reader.long_form = self.reader.at, False
        text = self.reader.string()
        mixed = kind == "mixed"
        self.reader.note("text", start, f"text {text!r}" + (" in mixed content" if mixed else ""), valid=mixed)
        self._remember(kind, at, text=text)
        self.closed = True

    def _second_level(self, found: tuple[Production, ...], start: int) -> bool:
        """An event that the schema does not have; True if it was the end."""
        reader, kind = self.reader, self.kind
        at_attributes = self.state <= kind.attributes and not self.closed
        events = second_level(
            first=self.state == 0 and not self.closed,
            attributes=at_attributes,
            has_end=any(production.step == len(kind.steps) for production in found),
        )
        event = events[reader._code(len(events))]  # noqa: SLF001 - two halves of one reader
        match event:
            case "EE":
                self._end(found, start)
                return True
            case "xsi:type":
                self._switch(start)
            case "xsi:nil":
                self.nil = bool(reader.bits(1))
                reader.note("xsi:nil", start, f"xsi:nil {self.nil}")
                self.memory.extras.append(Extra(len(self.order), "xsi:nil", text=str(self.nil).lower()))
            case "AT(*)":
                self._attribute("attribute", start)
            case "AT(untyped)":
                self._untyped_attribute(found, start)
            case "SE(*)":
                raise reader.bad_event(f"undeclared element {reader.qname()}")
            case "CH(untyped)":
                self._text("text", start)
        return False

    def _end(self, found: tuple[Production, ...], start: int) -> None:
        steps = self.kind.steps
        wanted = [steps[production.step] for production in found if production.step not in (EE_TEXT, len(steps))]
        if wanted and wanted[-1].kind == "text":
            simple = grammar(wanted[-1].members[0].type)
            if isinstance(simple, Simple):
                value = self.reader._empty(simple, start)  # noqa: SLF001
                self.fields["value"] = value
                self.memory.values[len(self.order)] = Raw(value, 0, 0)
                return
        names = " or ".join(dict.fromkeys(member.name for step in wanted for member in step.members))
        self.reader.note("missing", start, f"{names} is missing" if names else "ended early")

    def _switch(self, start: int) -> None:
        """xsi:type: go on in the grammar of another type, from its start."""
        reader = self.reader
        at, reader.long_form = reader.at, False
        uri, local = reader.qname()
        key = next((key for name, space, key in reader.schema.types if (name, space) == (local, uri)), "")
        kind = grammar(key) if key else None
        if not isinstance(kind, Complex):
            raise reader.bad_event(f"xsi:type {{{uri}}}{local} is no complex type of {reader.schema.name}")
        reader.note("xsi:type", start, f"xsi:type {{{uri}}}{local}")
        self._remember("xsi:type", at, uri=uri, name=local)
        self.kind = kind

    def _attribute(self, kind: Any, start: int) -> None:
        at, self.reader.long_form = self.reader.at, False
        uri, local = self.reader.qname()
        text = self.reader.string()
        self.reader.note("attribute", start, f"attribute {{{uri}}}{local}={text!r}")
        self._remember(kind, at, uri=uri, name=local, text=text)

    def _untyped_attribute(self, found: tuple[Production, ...], start: int) -> None:
        reader, kind = self.reader, self.kind
        left = [production.step for production in found if 0 <= production.step < kind.attributes]
        code = reader.bits(len(left).bit_length())
        if code > len(left):
            raise reader.bad_event(f"third-level event code {code} of {len(left) + 1}")
        if code == len(left):
            self._attribute("untyped attribute", start)
            return
        step = kind.steps[left[code]]
        at, reader.long_form = reader.at, False
        text = reader.string()
        reader.note("untyped attribute", start, f"attribute {step.field}={text!r} as text")
        if reader.long_form:
            reader.note("long form", at, "a value with redundant bits")
            self.memory.values[len(self.order)] = Raw(Untyped(text), *reader.span(at))
        self._take(left[code], step, Untyped(text))

    def build(self) -> Element:
        """The message object; absent mandatory fields are None."""
        kind = self.kind
        if kind.abstract and self.reader.check:
            self.reader.note("abstract", self.reader.at, f"{kind.name} is abstract")
        values: dict[str, Any] = {step.field: [] if step.many else None for step in kind.steps if step.field}
        message = message_class(kind.key)(**{**values, **self.fields})
        memory = self.memory
        if self.order != sorted(self.order):
            memory.order = tuple(self.order)
            self.reader.note("order", self.reader.at, "a choice that repeats, mixed up", valid=True)
        if len(self.reader.deviations) > self.before:
            message.__dict__["exi"] = memory
        return message


def _key(value: object) -> str:
    home = type(value).__module__.split(".")[-2]
    return f"{home}.{type(value).__name__}"
