"""What a scenario says of things seen: `wire.v2g PaymentDetailsRes ResponseCode=OK #2`.

A pattern names the channel, then the name of the observation ("*": any), then as it likes `@source`, conditions on
fields, and `#n`: the n-th of those that match. A condition is `field op value` without spaces, the value in quotes
where it needs them; op is one of = != < <= > >= and ~ (a regular expression, found anywhere). A field is the end of a
path: `ResponseCode`, `EVSEStatus.RCD`.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

_CONDITION = re.compile(r"([A-Za-z_][\w.\[\]]*)(!=|<=|>=|=|<|>|~)(.*)", re.DOTALL)
_MISSING = object()
ORDERING = ("<", "<=", ">", ">=")  # these compare numbers


@dataclass(frozen=True, slots=True)
class Observation:
    """One thing seen. at: boot-time seconds. number: its place among all that was seen in the run."""

    number: int
    at: float
    channel: str
    name: str
    source: str
    fields: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.channel} {self.name} @{self.source}"


@dataclass(frozen=True, slots=True)
class Condition:
    """field op value."""

    field: str
    operator: str
    value: str

    def holds(self, fields: Mapping[str, Any]) -> bool:
        """Whether a value under this name satisfies it; a missing one satisfies only `!=`."""
        found = next(values_of(fields, self.field), _MISSING)
        if found is _MISSING:
            return self.operator == "!="
        return _OPERATORS[self.operator](found, self.value)

    def __str__(self) -> str:
        return f"{self.field}{self.operator}{self.value}"


@dataclass(frozen=True, slots=True)
class Pattern:
    """See the module. nth: from 1; None: any."""

    channel: str
    name: str
    source: str = ""
    conditions: tuple[Condition, ...] = ()
    nth: int | None = None
    text: str = ""

    def matches(self, seen: Observation) -> bool:
        """Whether this observation is meant, whatever its number."""
        return (
            seen.channel == self.channel
            and self.name in ("*", seen.name)
            and self.source in ("", seen.source)
            and all(condition.holds(seen.fields) for condition in self.conditions)
        )

    def __str__(self) -> str:
        return self.text


def parse_pattern(text: str, channels: Mapping[str, object]) -> Pattern:
    """Read a pattern. Raises ValueError that says what is wrong with it."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ValueError(f'"{text}": {error}') from None
    if len(words) < 2:
        raise ValueError(f'"{text}": expected a channel and a name, like wire.v2g SessionStopRes')
    channel, name, *rest = words
    if channel not in channels:
        raise ValueError(f'"{text}": no channel "{channel}"; there are {", ".join(channels)}')
    source, nth, conditions = "", None, []
    for word in rest:
        if word.startswith("@"):
            source = word[1:]
        elif word.startswith("#"):
            if not word[1:].isdigit() or int(word[1:]) < 1:
                raise ValueError(f'"{text}": expected a number from 1 after #, found "{word}"')
            nth = int(word[1:])
        elif (found := _CONDITION.fullmatch(word)) is not None:
            conditions.append(_condition(text, *found.groups()))
        else:
            raise ValueError(f'"{text}": expected field=value, @source or #number, found "{word}"')
    return Pattern(channel, name, source, tuple(conditions), nth, text)


def _condition(text: str, field: str, operator: str, value: str) -> Condition:
    if operator == "~":
        try:
            re.compile(value)
        except re.error as error:
            raise ValueError(f'"{text}": "{value}" is no regular expression: {error}') from None
    elif operator in ORDERING and number_of(value) is None:
        raise ValueError(f'"{text}": {operator} compares numbers, and "{value}" is none')
    return Condition(field, operator, value)


def values_of(fields: Mapping[str, Any], path: str) -> Iterator[Any]:
    """Every value whose path ends so, the outermost first."""
    wanted = path.split(".")
    level: list[tuple[tuple[str, ...], Any]] = [((), fields)]
    while level:
        below: list[tuple[tuple[str, ...], Any]] = []
        for place, value in level:
            items = (
                value.items()
                if isinstance(value, Mapping)
                else enumerate(value)
                if isinstance(value, list | tuple)
                else ()
            )
            for key, inner in items:
                here = (*place, str(key))
                if list(here[-len(wanted) :]) == wanted:
                    yield inner
                below.append((here, inner))
        level = below


def number_of(value: object) -> Decimal | None:
    """A value as a number; None when it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        return None
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _words(value: object) -> str:
    """As YAML writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "null" if value is None else str(value)


def _equal(found: object, wanted: str) -> bool:
    left, right = number_of(found), number_of(wanted)
    if left is not None and right is not None and not isinstance(found, str):
        return left == right
    return _words(found) == wanted


def _ordered(compare: Callable[[Decimal, Decimal], bool]) -> Callable[[object, str], bool]:
    def holds(found: object, wanted: str) -> bool:
        left, right = number_of(found), number_of(wanted)
        return left is not None and right is not None and compare(left, right)

    return holds


_OPERATORS: Mapping[str, Callable[[object, str], bool]] = {
    "=": _equal,
    "!=": lambda found, wanted: not _equal(found, wanted),
    "<": _ordered(lambda left, right: left < right),
    "<=": _ordered(lambda left, right: left <= right),
    ">": _ordered(lambda left, right: left > right),
    ">=": _ordered(lambda left, right: left >= right),
    "~": lambda found, wanted: re.search(wanted, _words(found)) is not None,
}
