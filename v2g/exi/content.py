"""Reads one element of a complex type, event by event, on both levels of the grammar."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from v2g.exi.deviations import Extra, Memory, Raw, Untyped, remember_element
from v2g.exi.grammar import EE_TEXT, Complex, Simple
from v2g.exi.schemas import grammar, message_class
from v2g.exi.second_level import first_level, second_level

if TYPE_CHECKING:
    from v2g.exi.element import Element
    from v2g.exi.grammar import Production, Step
    from v2g.exi.reader import Reader


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
            reader.place = self
            start = reader.at
            code = reader.bits(len(found).bit_length())
            if reader.annotating:
                reader.mark(start, f"event code {code}: {self._event_name(found, code)}")
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

    def _event_name(self, found: tuple[Production, ...], code: int) -> str:
        """What an event code of the first level means here."""
        if code >= len(found):
            return "escape to the second level"
        step, member = found[code]
        if step in (EE_TEXT, len(self.kind.steps)):
            return f"end of {self.element}" if step >= 0 else "text"
        members = self.kind.steps[step].members
        return members[member].name or "value" if members else "wildcard"

    def _first_level(self) -> tuple[Production, ...]:
        """The productions of the state; the dialect may end a full list as if one more could follow."""
        count, dialect = self.count, self.reader.dialect
        if count > 1 and dialect.open_lists:
            high = self.kind.steps[self.state - 1].high
            if count == high and dialect.ends_open(self.kind.home, high):
                count -= 1
        return first_level(self.kind.key, self.state, count, nil=self.nil)

    def __str__(self) -> str:
        """The state, for errors."""
        after = self.kind.steps[self.state - 1].field if self.state else ""
        return f" ({self.kind.name}, {'after ' + after if after else 'at its start'})"

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
            raw = Raw(None, *self.reader.span(start), () if kind in ("text", "mixed") else ((uri, name),))
        self.memory.extras.append(Extra(len(self.order), kind, uri, name, text, raw))

    def _text(self, kind: Any, start: int) -> None:
        at, self.reader.long_form = self.reader.at, False
        text = self.reader.string()
        mixed = kind == "mixed"
        self.reader.note("text", start, f"text {text!r}" + (" in mixed content" if mixed else ""), valid=mixed)
        self._remember(kind, at, text=text)
        self._close()

    def _second_level(self, found: tuple[Production, ...], start: int) -> bool:
        """An event that the schema does not have; True if it was the end."""
        reader, kind = self.reader, self.kind
        at_attributes = self.state <= kind.attributes and not self.closed
        events = second_level(
            first=self.state == 0 and not self.closed,
            attributes=at_attributes,
            has_end=any(production.step == len(kind.steps) for production in found),
        )
        event = events[reader.second_level_code(len(events))]
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
                self._element(start)
            case "CH(untyped)":
                self._text("text", start)
        return False

    def _end(self, found: tuple[Production, ...], start: int) -> None:
        steps = self.kind.steps
        wanted = [steps[production.step] for production in found if production.step not in (EE_TEXT, len(steps))]
        if wanted and wanted[-1].kind == "text":
            simple = grammar(wanted[-1].members[0].type)
            if isinstance(simple, Simple):
                value = self.reader.empty(simple, start)
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

    def _element(self, start: int) -> None:
        reader = self.reader
        at, met = reader.at, len(reader.met)
        reader.undeclared(start)
        uri, local = reader.met[met]
        raw = Raw(None, *reader.span(at), tuple(reader.met[met:]))
        self.memory.extras.append(Extra(len(self.order), "element", uri, local, raw=raw))
        self._close()

    def _close(self) -> None:
        """Content has begun: no attribute may come any more, not even a required one."""
        if self.state < self.kind.attributes:
            self.state = self.kind.attributes
        self.closed = True

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
