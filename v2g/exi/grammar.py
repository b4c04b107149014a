"""The grammar of a schema as data: what the generator makes of an XSD and what the interpreter reads.

A complex type is a list of *steps* (attributes first, then particles or one text) and of *states*: which steps may come
next. State 0 is the start, state i + 1 is the one after step i; the number len(steps) stands for EE.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Kind = Literal["enumeration", "boolean", "bits", "unsigned", "integer", "string", "hex", "base64"]
StepKind = Literal["attribute", "element", "wildcard", "text"]

XSI = "http://www.w3.org/2001/XMLSchema-instance"


class Simple(NamedTuple):
    """A simple type: how its values are written (EXI 7.1) and the limits of the schema, which change no bit.

    width: bits of an index ("enumeration", "boolean") or of an offset from `low` ("bits").
    low, high: range of an integer; min_length, max_length: code points or octets. None: no limit.
    """

    name: str
    kind: Kind
    width: int = 0
    low: int | None = None
    high: int | None = None
    values: tuple[str, ...] = ()
    min_length: int = 0
    max_length: int | None = None


class Member(NamedTuple):
    """An element that may stand in a step: its qualified name and the key of its type ("home.TypeName")."""

    name: str
    uri: str
    type: str


class Step(NamedTuple):
    """One place in a type.

    field: name of the message class' field that holds it ("" for a wildcard). many: the field is a list.
    low, high: how often the step itself repeats (high None: unbounded). required: every valid instance has it.
    members: one, or the substitution group in the order of its event codes, the head among them.
    """

    kind: StepKind
    field: str
    members: tuple[Member, ...]
    low: int = 1
    high: int | None = 1
    many: bool = False
    required: bool = False


class Complex(NamedTuple):
    """A complex type: `home` is the generated package that holds its class, `name` the class.

    attributes: how many of the steps are attributes; they come first.
    """

    home: str
    name: str
    uri: str
    steps: tuple[Step, ...]
    states: tuple[tuple[int, ...], ...]
    attributes: int = 0
    base: str = ""
    abstract: bool = False
    mixed: bool = False

    @property
    def key(self) -> str:
        """Where the type stands in the tables."""
        return f"{self.home}.{self.name}"


Type = Simple | Complex


class Root(NamedTuple):
    """An element that may start a document or a fragment; two types mean the relaxed fragment grammar (EXI 8.5.3)."""

    name: str
    uri: str
    types: tuple[str, ...]


class Schema(NamedTuple):
    """A schema set: roots in the order of their event codes and the string tables of qualified names (EXI 7.3)."""

    name: str
    namespace: str
    documents: tuple[Root, ...]
    fragments: tuple[Root, ...]
    attributes: tuple[tuple[str, str], ...]
    uris: tuple[str, ...]
    names: tuple[tuple[str, ...], ...]
    types: tuple[tuple[str, str, str], ...]


class Production(NamedTuple):
    """What may happen in a state on the first level; step len(steps) is EE, -1 is untyped text of mixed content."""

    step: int
    member: int = 0


EE_TEXT = -1


def productions(kind: Complex, state: int, count: int = 0) -> list[Production]:
    """The first level of a state in the order of its event codes.

    count: how often the step of the state stands already (only lists care); a list below its minimum knows only
    itself, a full one no longer itself.
    """
    successors = kind.states[state]
    if state:
        step = kind.steps[state - 1]
        if count and count < step.low:
            successors = (state - 1,)
        elif step.high is not None and step.high > 1 and count >= step.high:
            successors = tuple(number for number in successors if number != state - 1)
    found = []
    for number in successors:
        step_members = kind.steps[number].members if number < len(kind.steps) else ()
        found += [Production(number, member) for member in range(max(len(step_members), 1))]
    if kind.mixed and any(number >= kind.attributes for number in successors):
        found.append(Production(EE_TEXT))
    return found
