"""The limits of the schemas: lengths, ranges, counts, mandatory fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from v2g.exi.deviations import Undefined, Untyped
from v2g.exi.errors import LimitError, UnknownSchemaError
from v2g.exi.grammar import Complex, Simple
from v2g.exi.schemas import complex_grammar, grammar, type_key

if TYPE_CHECKING:
    from v2g.exi.element import Element
    from v2g.exi.grammar import Step

PYTHON: dict[str, type] = {"string": str, "enumeration": str, "hex": bytes, "base64": bytes, "boolean": bool}


def check_limits(message: Element) -> None:
    """Raise LimitError with every limit that a message breaks."""
    kind = complex_grammar(type_key(type(message)))
    broken: list[str] = []
    _complex(kind, message, kind.name, broken)
    if broken:
        raise LimitError(kind.home, broken)


def check_value(key: str, value: Any, path: str) -> None:
    """The same for a message or simple value of the type `key`, called `path`."""
    broken: list[str] = []
    _value(key, value, path, broken)
    if broken:
        raise LimitError(key.partition(".")[0], broken)


def broken_limit(simple: Simple, value: object) -> str:
    """What is wrong with a value of a simple type, "" if nothing."""
    if isinstance(value, Untyped):
        return f"{value!r} is written as text"
    wanted = PYTHON.get(simple.kind, int)
    if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
        return f"{value!r} is no {wanted.__name__}"
    if simple.kind == "enumeration":
        return "" if value in simple.values and not isinstance(value, Undefined) else f"{value!r} is not defined"
    if isinstance(value, (str, bytes)):
        size, unit = len(value), "octets" if isinstance(value, bytes) else "characters"
        if simple.max_length is not None and size > simple.max_length:
            return f"{size} {unit}, at most {simple.max_length}"
        return f"{size} {unit}, at least {simple.min_length}" if size < simple.min_length else ""
    if isinstance(value, int):
        if simple.low is not None and value < simple.low:
            return f"{value} is below {simple.low}"
        if simple.high is not None and value > simple.high:
            return f"{value} is above {simple.high}"
    return ""


def _complex(kind: Complex, message: object, path: str, broken: list[str]) -> None:
    if kind.abstract:
        broken.append(f"{path}: {kind.name} is abstract")
    for step in kind.steps:
        if not step.field:
            continue
        value = getattr(message, step.field, None)
        place = f"{path}/{step.field}"
        if step.many:
            _list(step, value, place, broken)
        elif value is not None:
            _member(step, value, place, broken)
        elif step.required:
            broken.append(f"{place} is missing")


def _list(step: Step, value: object, place: str, broken: list[str]) -> None:
    if not isinstance(value, list):
        broken.append(f"{place}: {value!r} is no list")
        return
    low = max(step.low, 1) if step.required else 0
    if len(value) < low:
        broken.append(f"{place}: {len(value)} of them, at least {low}")
    if step.high is not None and len(value) > step.high > 1:
        broken.append(f"{place}: {len(value)} of them, at most {step.high}")
    for number, item in enumerate(value):
        _member(step, item, f"{place}[{number}]", broken)


def _member(step: Step, value: object, place: str, broken: list[str]) -> None:
    keys = [member.type for member in step.members]
    if len(keys) == 1:
        _value(keys[0], value, place, broken)
        return
    try:
        key = type_key(value.__class__)
    except UnknownSchemaError:
        key = ""
    if key in keys:
        _value(key, value, place, broken)
    else:
        broken.append(f"{place}: {type(value).__name__} may not stand here")


def _value(key: str, value: object, place: str, broken: list[str]) -> None:
    kind = grammar(key)
    if isinstance(kind, Simple):
        wrong = broken_limit(kind, value)
        if wrong:
            broken.append(f"{place}: {wrong}")
    elif type(value).__name__ != kind.name:
        broken.append(f"{place}: {type(value).__name__} is no {kind.name}")
    else:
        _complex(kind, value, place, broken)
