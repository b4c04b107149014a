"""What an entry of the catalogue is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ports.errors import LocalError

if TYPE_CHECKING:
    from hil_rigs.fault_catalogue.breakable import Breakable

Value = bool | int | float | str | None
Undo = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Parameter:
    """choices: of a word. required: it has no default. optional: left out when it is not given; null means null."""

    name: str
    unit: str
    default: Value = None
    meaning: str = ""
    choices: tuple[str, ...] = ()
    required: bool = False
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Injection:
    """One fault to inject. on: resource or connector that it strikes. times: how often; None = until it is undone."""

    on: str
    values: Mapping[str, Value]
    times: int | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """A fault that a scenario can name.

    name: "<layer>.<fault>". on: what the injection's `on` names, and whether it may be left out when there is only one.
    counts: whether `times` has a meaning for it. inject: does it, and returns the undo (harmless when called twice).
    """

    name: str
    on: str
    parameters: tuple[Parameter, ...]
    effect: str
    undo: str
    inject: Callable[[Breakable, Injection], Undo]
    counts: bool = True

    @property
    def layer(self) -> str:
        """What stands before the first dot."""
        return self.name.partition(".")[0]

    def checked(self, given: Mapping[str, Value]) -> dict[str, Value]:
        """The given values, and the defaults of the others. Raises LocalError for what does not fit."""
        return checked(self.name, self.parameters, given)


def checked(name: str, parameters: Sequence[Parameter], given: Mapping[str, Value]) -> dict[str, Value]:
    """The given values, and the defaults of the others. name: whose parameters. Raises LocalError."""
    known = {parameter.name: parameter for parameter in parameters}
    if unknown := sorted(set(given) - set(known)):
        raise LocalError(f"{name} has no {', '.join(unknown)}: it has {', '.join(known) or 'no parameters'}")
    values: dict[str, Value] = {}
    for parameter in parameters:
        if parameter.name not in given and parameter.optional:
            continue
        if parameter.name not in given and parameter.required:
            words = parameter.unit or " or ".join(parameter.choices)
            raise LocalError(f"{name} needs {parameter.name} {words}".rstrip())
        value = given.get(parameter.name, parameter.default)
        if parameter.choices and value not in parameter.choices:
            words = ", ".join(parameter.choices)
            raise LocalError(f"{name}: {parameter.name} is {value!r}, not one of {words}")
        if isinstance(parameter.default, bool):
            if not isinstance(value, bool):
                raise LocalError(f"{name}: {parameter.name} is {value!r}, not true or false")
        elif isinstance(parameter.default, int | float) and (
            isinstance(value, bool) or not isinstance(value, int | float)
        ):
            raise LocalError(f"{name}: {parameter.name} is {value!r}, not a number ({parameter.unit})")
        values[parameter.name] = value
    return values


def number(values: Mapping[str, Value], name: str, default: float = 0.0) -> float:
    """A parameter that is a number, or text that is one (what `${...}` was replaced with). Raises LocalError."""
    value = values.get(name, default)
    try:
        return default if value is None else float(value)
    except ValueError:
        raise LocalError(f"{name} is {value!r}, not a number") from None
