"""What the generated functions, tables and classes are called, and which of them need more than a few bits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from v2g.exi.grammar import Complex, Simple, Step, Type

if TYPE_CHECKING:
    from v2g.exi.generator.imports import Names

PYTHON = {
    "boolean": "bool",
    "bits": "int",
    "unsigned": "int",
    "integer": "int",
    "string": "str",
    "hex": "bytes",
    "base64": "bytes",
}
# lists up to this length stay in the window (bits.WINDOW) and need no sliding
SHORT_LIST = 8


class Library:
    """All types of all schema sets."""

    def __init__(self, types: dict[str, Type]) -> None:
        self.types = types
        self.growing = self._growing()
        self.limited = self._limited()

    def complex(self, key: str) -> Complex:
        found = self.types[key]
        assert isinstance(found, Complex)  # noqa: S101 - the generator asks only for what it put in
        return found

    def is_complex(self, key: str) -> bool:
        return isinstance(self.types[key], Complex)

    def simple(self, key: str) -> Simple:
        found = self.types[key]
        assert isinstance(found, Simple)  # noqa: S101
        return found

    def named_type(self, step: Step) -> str:
        """The key of the type of a step's field: of the head of its substitution group."""
        return next(member.type for member in step.members if member.name in ("", step.field))

    def annotation(self, step: Step, names: Names) -> str:
        """The Python type of one value of a step."""
        key = self.named_type(step)
        found = self.types[key]
        if isinstance(found, Complex) or found.kind == "enumeration":
            return names.type(key)
        return PYTHON[found.kind]

    def _growing(self) -> set[str]:
        """Types whose values can be long: text, octets or long lists somewhere inside."""
        growing: set[str] = set()
        kinds = [kind for kind in self.types.values() if isinstance(kind, Complex)]
        while True:
            before = len(growing)
            for kind in kinds:
                for step in kind.steps:
                    keys = [member.type for member in step.members]
                    if step.high is None or step.high > SHORT_LIST or any(self._long(key, growing) for key in keys):
                        growing.add(kind.key)
                        if len(keys) > 1:  # substitutes share one signature
                            growing.update(keys)
            if len(growing) == before:
                return growing

    def _limited(self) -> set[str]:
        """Types that can break a limit which their bits do not enforce."""
        limited = {key for key, kind in self.types.items() if isinstance(kind, Simple) and limit(kind, "x")}
        while True:
            before = len(limited)
            for key, kind in self.types.items():
                if isinstance(kind, Complex) and any(
                    self.may_be_abstract(step) or any(member.type in limited for member in step.members)
                    for step in kind.steps
                ):
                    limited.add(key)
            if len(limited) == before:
                return limited

    def may_be_abstract(self, step: Step) -> bool:
        """Whether the step has a substitution group with an abstract type in it."""
        return len(step.members) > 1 and any(self.complex(member.type).abstract for member in step.members)

    def _long(self, key: str, growing: set[str]) -> bool:
        found = self.types[key]
        if isinstance(found, Simple):
            return found.kind in ("string", "hex", "base64")
        return key in growing


def constant(name: str) -> str:
    """The name of a table that belongs to a type."""
    return name.upper()


def limit(simple: Simple, name: str) -> str:
    """The condition that a value keeps, "" if its representation allows nothing else."""
    if simple.kind in ("string", "hex", "base64"):
        if simple.max_length is None:
            return f"len({name}) >= {simple.min_length}" if simple.min_length else ""
        if simple.min_length == simple.max_length:
            return f"len({name}) == {simple.min_length}"
        if simple.min_length:
            return f"{simple.min_length} <= len({name}) <= {simple.max_length}"
        return f"len({name}) <= {simple.max_length}"
    low, high = simple.low, simple.high
    match simple.kind:
        case "bits" if low is not None and high is not None and high - low + 1 < 2**simple.width:
            return f"{low} <= {name} <= {high}"
        case "unsigned":
            if low:
                return f"{low} <= {name} <= {high}" if high is not None else f"{name} >= {low}"
            return f"{name} <= {high}" if high is not None else ""
        case "integer":
            if low is not None and high is not None:
                return f"{low} <= {name} <= {high}"
            return f"{name} >= {low}" if low is not None else f"{name} <= {high}" if high is not None else ""
    return ""
