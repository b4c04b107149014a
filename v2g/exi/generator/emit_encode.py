"""Emits the straight-line encode functions of a home."""

from __future__ import annotations

from v2g.exi.generator.imports import Names
from v2g.exi.generator.naming import Library, constant
from v2g.exi.generator.source_code import WIDTH, SourceCode
from v2g.exi.generator.transitions import Event, State, event, is_regular, states_after
from v2g.exi.grammar import Complex, Simple, Step

HEAD = """from __future__ import annotations

from collections.abc import Callable

from v2g.exi.bits import BOOLEAN, FLUSH, Unusual, flush, put_binary, put_integer, put_string, put_unsigned"""


def emit_encode(library: Library, home: str) -> str:
    """encode.py: one function per complex type, one table per enumeration and substitution group."""
    kinds = [kind for kind in library.types.values() if isinstance(kind, Complex) and kind.home == home]
    code, tail, names = SourceCode(), SourceCode(), Names(home, "encode")
    for key, simple in sorted(library.types.items()):
        if isinstance(simple, Simple) and simple.kind == "enumeration" and key.partition(".")[0] == home:
            items = [f'"{value}": {index}' for index, value in enumerate(simple.values)]
            code.list(f"{constant(key.partition('.')[2])}: dict[str, int] = {{", items, "}")
    tables = bool(code.lines)
    for kind in sorted(kinds, key=lambda kind: kind.name):
        code()
        code()
        EncodeFunction(library, kind, code, tail, names).emit()
    body = code.text().lstrip("\n") + ("\n\n" + tail.text() if tail.lines else "")
    return names.imports(HEAD, body) + ("\n" if tables else "\n\n") + body


class Pending:
    """Bits not yet appended to `a`: constants and expressions."""

    def __init__(self, code: SourceCode) -> None:
        self.code = code
        self.items: list[tuple[int, str]] = []

    def add(self, width: int, bits: str) -> None:
        if width:
            self.items.append((width, bits))

    def expression(self) -> str:
        """`a` with everything pending appended; nothing is pending afterwards."""
        total = sum(width for width, _ in self.items)
        position, parts, number = total, [], 0
        for width, bits in self.items:
            position -= width
            if bits.isdecimal():
                number |= int(bits) << position
            else:
                parts.append(f"{bits} << {position}" if position else bits)
        self.items = []
        if number:
            parts.append(hex(number) if number > 9 else str(number))
        return " | ".join([f"a << {total}" if total else "a", *parts])

    def flush(self) -> None:
        if self.items:
            self.code.expression("a = ", self.expression())

    def call(self, function: str, *arguments: str) -> None:
        """`a = function(a with everything pending, arguments)`."""
        items = list(self.items)
        line = f"a = {function}({', '.join([self.expression(), *arguments])})"
        if 4 * self.code.depth + len(line) > WIDTH:
            self.items = items
            self.flush()
            line = f"a = {function}({', '.join(['a', *arguments])})"
        self.code(line)


class EncodeFunction:
    """Writes the function of one type."""

    def __init__(self, library: Library, kind: Complex, code: SourceCode, tail: SourceCode, names: Names) -> None:
        self.library = library
        self.kind = kind
        self.code = code
        self.tail = tail
        self.names = names
        self.growing = kind.key in library.growing
        self.pending = Pending(code)
        self.before = self._before()
        self.numbers = self._numbers()

    def emit(self) -> None:
        kind, code = self.kind, self.code
        out = ", out: bytearray" if self.growing else ""
        start = len(code.lines)
        with code.function(f"encode_{kind.name}", f"a: int, v: {self.names.type(kind.key)}{out}", "int"):
            self._body()
        code.mark_unused(start, "a", "v", "out")

    def _body(self) -> None:
        kind, code = self.kind, self.code
        if not is_regular(kind):
            code('"""One name stands in two places: left to the interpreter."""')
            code("raise Unusual")
            return
        self._mark(State(0))
        for number, step in enumerate(kind.steps):
            if step.kind != "wildcard":
                self._step(number, step)
        self._event(len(kind.steps))
        last = code.lines[-1].strip()
        if not self.pending.items and last.startswith("a = ") and not code.lines[-1].startswith(" " * 5):
            code.lines[-1] = f"    return {last.removeprefix('a = ')}"
        else:
            code.expression("return ", self.pending.expression())

    def _before(self) -> list[list[State]]:
        """The states in which the code may be when it comes to a step; the last entry is for EE."""
        states, before = [State(0)], []
        for number, step in enumerate(self.kind.steps):
            before.append(states)
            if step.kind == "wildcard":
                continue
            after = states_after(self.kind, number)
            states = after if step.required else [*states, *after]
        return [*before, states]

    def _numbers(self) -> dict[State, int]:
        """The values of `s` for the states that must be told apart at run time."""
        found: dict[State, int] = {}
        for number, states in enumerate(self.before):
            if self._skipped(number):
                continue
            if len({event(self.kind, state, number) for state in states}) > 1:
                for state in states:
                    found.setdefault(state, len(found))
        return found

    def _skipped(self, number: int) -> bool:
        return number < len(self.kind.steps) and self.kind.steps[number].kind == "wildcard"

    def _mark(self, state: State) -> None:
        if state in self.numbers:
            self.code(f"s = {self.numbers[state]}")

    def _event(self, number: int) -> None:
        """Append the event code of a step (of its first member), which may depend on the state."""
        states = self.before[number]
        events = {state: event(self.kind, state, number) for state in states}
        distinct = list(dict.fromkeys(events.values()))
        if len(distinct) == 1:
            found = distinct[0]
            if found is None:
                self.code("raise Unusual")
                return
            self.pending.add(found.width, str(found.code))
            return
        self.pending.flush()
        wrong = [self.numbers[state] for state, found in events.items() if found is None]
        if wrong:
            condition = f"s == {wrong[0]}" if len(wrong) == 1 else f"s in {tuple(wrong)}"
            with self.code.block(f"if {condition}:"):
                self.code("raise Unusual")
        possible = {state: found for state, found in events.items() if found is not None}
        distinct_events = list(dict.fromkeys(possible.values()))
        if len(distinct_events) == 1:
            self.pending.add(distinct_events[0].width, str(distinct_events[0].code))
        elif len(distinct_events) == 2:
            rare, usual = distinct_events
            chosen = [self.numbers[state] for state, found in possible.items() if found == rare]
            condition = f"s == {chosen[0]}" if len(chosen) == 1 else f"s in {tuple(chosen)}"
            line = f"a = {_appended(rare)} if {condition} else {_appended(usual)}"
            if 4 * self.code.depth + len(line) > WIDTH:
                with self.code.block("a = ("):
                    self.code(f"{_appended(rare)}")
                    self.code(f"if {condition}")
                    self.code(f"else {_appended(usual)}")
                self.code(")")
            else:
                self.code(line)
        else:
            table = {self.numbers[state]: (found.width, found.code) for state, found in possible.items()}
            rows = tuple(table.get(number, (0, 0)) for number in range(max(table) + 1))
            self.code.list("w, c = (", [str(row) for row in rows], ")[s]")
            self.code("a = a << w | c")

    def _step(self, number: int, step: Step) -> None:
        code, field = self.code, f"v.{step.field}"
        if step.many:
            self._list(number, step, field)
        elif step.required:
            self._event(number)
            self._value(step, field)
            self._mark(State(number + 1))
        else:
            self.pending.flush()
            with code.block(f"if {field} is not None:"):
                self._event(number)
                self._value(step, field)
                self.pending.flush()
                self._mark(State(number + 1))

    def _list(self, number: int, step: Step, field: str) -> None:
        code, pending = self.code, self.pending
        pending.flush()
        low, high = max(step.low, 1), step.high
        if step.required:
            limit = f"if not {low} <= len({field}) <= {high}:" if high else f"if not {field}:"
            with code.block(limit):
                code("raise Unusual")
            self._items(number, step, field, low, high)
            return
        if high:
            with code.block(f"if len({field}) > {high}:"):
                code("raise Unusual")
        with code.block(f"if {field}:"):
            self._items(number, step, field, low, high)

    def _items(self, number: int, step: Step, field: str, low: int, high: int | None) -> None:
        code, pending = self.code, self.pending
        again = event(self.kind, State(number + 1), number)
        assert again is not None  # noqa: S101 - a list may repeat
        self._event(number)
        self._value(step, f"{field}[0]")
        pending.flush()
        item = "item" if sum(step.many for step in self.kind.steps) == 1 else f"{step.field}_item"
        with code.block(
            f"for count, {item} in enumerate({field}[1:], 1):" if low > 1 else f"for {item} in {field}[1:]:"
        ):
            if low > 1:  # below the minimum nothing else may come: one choice
                code(f"a = a << 1 if count < {low} else {_appended(again)}")
            else:
                pending.add(again.width, str(again.code))
            self._value(step, item)
            pending.flush()
            if self.growing:
                with code.block("if a.bit_length() > FLUSH:"):
                    code("a = flush(a, out)")
        states = states_after(self.kind, number)
        marked = [state for state in states if state in self.numbers]
        if len(marked) == 2:
            code(f"s = {self.numbers[states[1]]} if len({field}) == {high} else {self.numbers[states[0]]}")
        elif marked:
            self._mark(marked[0])

    def _value(self, step: Step, name: str) -> None:
        code, pending = self.code, self.pending
        if len(step.members) > 1:
            table = constant(step.field)
            out = ", out" if step.members[0].type in self.library.growing else ""
            pending.flush()
            code(f"i, encode = {table}[type({name})]")
            code(f"a = encode(a + i, {name}{out})")
            rows = [
                f"{self.names.type(member.type)}: ({number}, {self.names.function('encode', member.type)})"
                for number, member in enumerate(step.members)
            ]
            self.tail.table(table, f"{table}: dict[type, tuple[int, Callable[..., int]]] = {{", rows, "}")
            return
        key = step.members[0].type
        if self.library.is_complex(key):
            more = [name, "out"] if key in self.library.growing else [name]
            pending.call(self.names.function("encode", key), *more)
            return
        if step.kind == "element":
            pending.add(1, "0")  # CH
        self._simple(self.library.simple(key), name, step.field)
        if step.kind == "element":
            pending.add(1, "0")  # EE

    def _simple(self, simple: Simple, name: str, field: str) -> None:
        code, pending = self.code, self.pending
        match simple.kind:
            case "enumeration":
                pending.add(simple.width, f"{self.names.table(simple.name)}[{name}]")
            case "boolean":
                pending.add(1, f"BOOLEAN[{name}]")
            case "bits":
                low = simple.low or 0
                shifted = f"{name} {'+' if low < 0 else '-'} {abs(low)}" if low else name
                code(f"{field} = {shifted}")
                with code.block(f"if {field} >> {simple.width}:"):
                    code("raise Unusual")
                pending.add(simple.width, field)
            case "unsigned":
                pending.call("put_unsigned", name)
            case "integer":
                pending.call("put_integer", name)
            case "string":
                pending.call("put_string", name, "out")
            case _:
                pending.call("put_binary", name, "out")


def _appended(found: Event) -> str:
    return f"a << {found.width} | {found.code}" if found.code else f"a << {found.width}"
