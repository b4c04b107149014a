"""Lines of Python with indentation and wrapped brackets, so that the output needs no formatter."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from ports.errors import LocalError

WIDTH = 120


class SourceCode:
    """Collects lines; `block` indents what is written inside it."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.depth = 0
        self.tables: dict[str, list[str]] = {}

    def __call__(self, line: str = "") -> None:
        self.lines.append("    " * self.depth + line if line else "")

    @contextmanager
    def block(self, head: str) -> Iterator[None]:
        self(head)
        self.depth += 1
        yield
        self.depth -= 1

    @contextmanager
    def function(self, name: str, arguments: str, result: str) -> Iterator[None]:
        """The head of a function, on three lines if one is too long."""
        head = f"def {name}({arguments}) -> {result}:"
        if len(head) > WIDTH:
            with self.block(f"def {name}("):
                self(arguments)
            head = f") -> {result}:"
        with self.block(head):
            yield

    def mark_unused(self, start: int, *arguments: str) -> None:
        """Give arguments that the function starting at line `start` does not use a leading underscore."""
        body = "\n".join(self.lines[start:])
        for name in arguments:
            if len(re.findall(rf"\b{name}\b", body)) == 1:
                body = re.sub(rf"\b{name}:", f"_{name}:", body, count=1)
        self.lines[start:] = body.split("\n")

    def list(self, head: str, items: Iterable[str], tail: str) -> None:
        """head + items joined by ", " + tail on one line if it fits, else one item per line."""
        items = list(items)
        line = head + ", ".join(items) + tail
        if 4 * self.depth + len(line) <= WIDTH:
            self(line)
            return
        with self.block(head):
            for item in items:
                self(item + ",")
        self(tail)

    def expression(self, head: str, terms: str) -> None:
        """head + terms joined by " | ", in brackets with one term per line if they do not fit one."""
        if 4 * self.depth + len(head + terms) <= WIDTH:
            self(head + terms)
            return
        with self.block(f"{head}("):
            for number, term in enumerate(terms.split(" | ")):
                self(f"| {term}" if number else term)
        self(")")

    def table(self, name: str, head: str, items: Iterable[str], tail: str) -> None:
        """A table that may be asked for several times under one name; it stands once."""
        table = SourceCode()
        table.list(head, items, tail)
        if self.tables.setdefault(name, table.lines) is not table.lines:
            if self.tables[name] != table.lines:
                raise LocalError(f"two different tables are called {name}")
            return
        self.lines += table.lines

    def text(self) -> str:
        return "\n".join(self.lines).rstrip("\n") + "\n"
