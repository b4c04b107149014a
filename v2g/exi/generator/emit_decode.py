"""Emits the straight-line decode functions of a home."""

from __future__ import annotations

from v2g.exi.generator.imports import Names
from v2g.exi.generator.naming import Library, constant
from v2g.exi.generator.source_code import SourceCode
from v2g.exi.generator.transitions import State, count_in, is_regular, states_after, successors
from v2g.exi.grammar import Complex, Production, Simple, Step, productions

HEAD = """from __future__ import annotations

from collections.abc import Callable

from v2g.exi.bits import Unusual, Window, get_unsigned"""


def emit_decode(library: Library, home: str) -> str:
    """decode.py: one function per complex type, one table per enumeration and substitution group."""
    kinds = [kind for kind in library.types.values() if isinstance(kind, Complex) and kind.home == home]
    tables = {
        key: kind
        for key, kind in library.types.items()
        if isinstance(kind, Simple) and kind.kind == "enumeration" and key.partition(".")[0] == home
    }
    code, tail, names = SourceCode(), SourceCode(), Names(home, "decode")
    for key, simple in sorted(tables.items()):
        name = key.partition(".")[2]
        code.list(f"{constant(name)}: tuple[types.{name}, ...] = (", [f'"{value}"' for value in simple.values], ")")
    for kind in sorted(kinds, key=lambda kind: kind.name):
        code()
        code()
        DecodeFunction(library, kind, code, tail, names).emit()
    body = code.text().lstrip("\n") + ("\n\n" + tail.text() if tail.lines else "")
    return names.imports(HEAD, body) + ("\n" if tables else "\n\n") + body


class Run:
    """Bits that are read together: constants (all zero) and fields, up to the next branch or long value."""

    def __init__(self, code: SourceCode) -> None:
        self.code = code
        self.items: list[tuple[int, str]] = []

    def constant(self, width: int) -> None:
        self.items.append((width, ""))

    def field(self, width: int, assignment: str) -> None:
        """assignment: Python with {} where the bits go."""
        self.items.append((width, assignment))

    def flush(self) -> None:
        items, self.items = [item for item in self.items if item[0]], [item for item in self.items if not item[0]]
        total = sum(width for width, _ in items)
        fields = [item for item in items if item[1]]
        if total:
            self.code(f"p -= {total}")
        if len(items) == 1 and fields:
            self.code(fields[0][1].format(f"n >> p & {2**total - 1}"))
        elif items and not fields:
            with self.code.block(f"if n >> p & {2**total - 1}:"):
                self.code("raise Unusual")
        elif items:
            self.code(f"x = n >> p & {2**total - 1}")
            position, zeros, lines = total, 0, []
            for width, assignment in items:
                position -= width
                mask = 2**width - 1
                if assignment:
                    bits = f"x >> {position}" if position else "x"
                    lines.append(assignment.format(bits if position + width == total else f"{bits} & {mask}"))
                else:
                    zeros |= mask << position
            if zeros:
                with self.code.block(f"if x & {zeros:#x}:"):
                    self.code("raise Unusual")
            for line in lines:
                self.code(line)
        for _, assignment in self.items:
            self.code(assignment.format("0"))
        self.items = []


class DecodeFunction:
    """Writes the function of one type."""

    def __init__(self, library: Library, kind: Complex, code: SourceCode, tail: SourceCode, names: Names) -> None:
        self.library = library
        self.kind = kind
        self.code = code
        self.tail = tail
        self.names = names
        self.growing = kind.key in library.growing
        self.run = Run(code)
        self.guarded = self._guarded()
        self.lists = sum(step.many for step in kind.steps)

    def emit(self) -> None:
        kind, code = self.kind, self.code
        argument = "r: Window" if self.growing else "n: int"
        start = len(code.lines)
        with code.function(f"decode_{kind.name}", f"{argument}, p: int", f"tuple[types.{kind.name}, int]"):
            self._body()
        code.mark_unused(start, "r", "p")

    def _body(self) -> None:
        kind, code = self.kind, self.code
        if not is_regular(kind):
            code('"""One name stands in two places: left to the interpreter."""')
            code("raise Unusual")
            return
        if self.growing:
            code("n = r.n")
        for step in kind.steps:
            if step.many and step.field:
                code(f"{step.field}: list[{self._annotation(step)}] = []")
            elif step.field and not step.required:
                code(f"{step.field}: {self._annotation(step)} | None = None")
        self._next(State(0))
        for number, step in enumerate(kind.steps):
            self._step(number, step)
        self.run.flush()
        arguments = list(dict.fromkeys(f"{step.field}={step.field}" for step in kind.steps if step.field))
        line = f"return types.{kind.name}({', '.join(arguments)}), p"
        if 4 + len(line) <= 120:
            code(line)
        else:
            code("return (")
            code.depth += 1
            code.list(f"types.{kind.name}(", arguments, "),")
            code("p,")
            code.depth -= 1
            code(")")

    def _annotation(self, step: Step) -> str:
        return self.library.annotation(step, self.names)

    def _guarded(self) -> list[bool]:
        """For each step whether something else may come in its place."""
        kind, guarded = self.kind, []
        possible = set(successors(kind, State(0)))
        for number in range(len(kind.steps)):
            guarded.append(possible != {number})
            possible.discard(number)
            for state in states_after(kind, number):
                possible.update(step for step in successors(kind, state) if step > number)
        return guarded

    def _step(self, number: int, step: Step) -> None:
        code = self.code
        if step.kind == "wildcard":
            with code.block(f"if e == {number}:  # a wildcard: no V2G message uses it"):
                code("raise Unusual")
            return
        if step.many:
            self.run.flush()
            if not self.guarded[number]:
                code(f"e = {number}")
            with code.block(f"while e == {number}:"):
                if self.growing:
                    with code.block("if p < r.low:"):
                        code("p = r.slide(p)")
                        code("n = r.n")
                item = "item" if self.lists == 1 else f"{step.field}_item"
                self._value(step, item)
                self._append(step, item)
                self._after_list(number, step)
        elif self.guarded[number]:
            with code.block(f"if e == {number}:"):
                self._value(step, step.field)
                self._next(State(number + 1), leave=number)
        else:
            self._value(step, step.field)
            self._next(State(number + 1), leave=number)

    def _append(self, step: Step, item: str) -> None:
        """Add the item; a value whose bits are still pending is read first."""
        line = f"{step.field}.append({item})"
        if self.run.items:
            self.run.field(0, line)
        else:
            self.code(line)

    def _after_list(self, number: int, step: Step) -> None:
        code = self.code
        low, high = max(step.low, 1), step.high
        if low == 1 and high in (None, 1):
            self._next(State(number + 1), leave=number, loop=True)
            return
        self.run.flush()
        if low > 1:
            with code.block(f"if len({step.field}) < {low}:"):
                self.run.constant(1)
                self.run.flush()
            with code.block(f"elif len({step.field}) < {high}:"):
                self._next(State(number + 1), leave=number, loop=True)
        else:
            with code.block(f"if len({step.field}) < {high}:"):
                self._next(State(number + 1), leave=number, loop=True)
        with code.block("else:"):
            self._next(State(number + 1, full=True), leave=number, loop=True)

    def _next(self, state: State, leave: int | None = None, *, loop: bool = False) -> None:
        """Read the event code of a state into `e` (and the member of a substitution group into `i`)."""
        kind = self.kind
        found = productions(kind, state.number, count_in(kind, state))
        width = len(found).bit_length()
        steps = successors(kind, state)
        inside = loop or (leave is not None and self.guarded[leave])
        if len(found) == 1:
            self.run.constant(width)
            if inside:
                self.run.flush()
                if loop or (steps[0] < len(kind.steps) and self.guarded[steps[0]]):
                    self.code(f"e = {steps[0]}")
            return
        self._branch(found, width)
        if leave is not None and min(steps) < leave:
            with self.code.block(f"if e < {leave}:  # a choice that repeats, out of order"):
                self.code("raise Unusual")

    def _branch(self, found: list[Production], width: int) -> None:
        code, kind = self.code, self.kind
        slots = [number for number, step in enumerate(kind.steps) if len(step.members) > 1]
        steps = [production.step for production in found if production.step >= 0]
        ascending = steps == list(range(steps[0], steps[0] + len(steps)))
        if ascending:
            self.run.field(width, "e = {}" if steps[0] == 0 else "e = ({}) + " + str(steps[0]))
            self.run.flush()
            with code.block(f"if e > {steps[-1]}:"):
                code("raise Unusual")
            return
        self.run.field(width, "c = {}")
        self.run.flush()
        with code.block(f"if c > {len(steps) - 1}:"):
            code("raise Unusual")
        if len(set(steps)) > 1:
            code(f"e = {_choose(steps)}")
        for number in slots:
            if number in steps:
                offset = steps.index(number)
                code(f"i = c - {offset}" if offset else "i = c")

    def _value(self, step: Step, name: str) -> None:
        code, run = self.code, self.run
        if len(step.members) > 1:
            run.flush()
            table = constant(step.field)
            growing = step.members[0].type in self.library.growing
            code(f"{name}, p = {table}[i](r, p)" if growing else f"{name}, p = {table}[i](n, p)")
            if growing:
                code("n = r.n")
            head = self._annotation(step)
            argument = "Window" if growing else "int"
            members = [self.names.function("decode", member.type) for member in step.members]
            line = f"{table}: tuple[Callable[[{argument}, int], tuple[{head}, int]], ...] = ("
            self.tail.table(table, line, members, ")")
            return
        key = step.members[0].type
        if self.library.is_complex(key):
            run.flush()
            function = self.names.function("decode", key)
            if key in self.library.growing:
                code(f"{name}, p = {function}(r, p)")
                code("n = r.n")
            else:
                code(f"{name}, p = {function}(n, p)")
            return
        if step.kind == "element":
            run.constant(1)  # CH
        self._simple(self.library.simple(key), name)
        if step.kind == "element":
            run.constant(1)  # EE

    def _simple(self, simple: Simple, name: str) -> None:
        code, run = self.code, self.run
        match simple.kind:
            case "enumeration":
                table = self.names.table(simple.name)
                run.field(simple.width, f"{name} = {table}[{{}}]")
            case "boolean":
                run.field(1, f"{name} = ({{}}) == 1")
            case "bits":
                low = simple.low or 0
                run.field(
                    simple.width,
                    f"{name} = {{}}" if not low else f"{name} = ({{}}) {'-' if low < 0 else '+'} {abs(low)}",
                )
            case "unsigned":
                run.flush()
                code(f"{name}, p = get_unsigned(n, p)")
            case "integer":
                run.field(1, "negative = {}")
                run.flush()
                code(f"{name}, p = get_unsigned(n, p)")
                with code.block("if negative:"):
                    code(f"{name} = ~{name}")
            case "string":
                run.flush()
                code(f"{name}, p = r.string(p)")
                code("n = r.n")
            case _:
                run.flush()
                code(f"{name}, p = r.binary(p)")
                code("n = r.n")


def _choose(steps: list[int]) -> str:
    """A Python expression for the step of code c."""
    runs: list[tuple[int, int]] = []  # (last code, step) of codes with one step
    for code, step in enumerate(steps):
        if runs and runs[-1][1] == step:
            runs[-1] = (code, step)
        else:
            runs.append((code, step))
    if len(runs) > 4:
        return f"{tuple(steps)}[c]"
    text = [
        f"{step} if c < {last + 1}" if number < len(runs) - 1 else str(step) for number, (last, step) in enumerate(runs)
    ]
    return " else ".join(text)
