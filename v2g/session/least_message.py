"""The least message of a kind: mandatory fields only, each with its least value; for sending what nobody asked for."""

from __future__ import annotations

from typing import Any

from ports.errors import LocalError
from v2g.exi.generated.din import types as din
from v2g.exi.generated.iso2 import types as iso2
from v2g.exi.grammar import Complex, Simple
from v2g.exi.schemas import complex_grammar, grammar, message_class

MODULES: dict[str, Any] = {"din": din, "iso2": iso2}


def least_body(schema: str, name: str) -> Any:
    """A body element by its name, e.g. "ServiceDiscoveryReq". Raises LocalError when the schema has none such."""
    members = complex_grammar(f"{schema}.BodyType").steps[0].members if schema in MODULES else ()
    for member in members:
        if member.name == name and not complex_grammar(member.type).abstract:
            return _least(member.type)
    raise LocalError(f"{schema} has no message {name!r}")


def _least(key: str) -> Any:
    kind = grammar(key)
    return _least_simple(kind) if isinstance(kind, Simple) else _least_complex(kind)


def _least_complex(kind: Complex) -> Any:
    values: dict[str, Any] = {step.field: [] if step.many else None for step in kind.steps if step.field}
    end, state = len(kind.steps), 0
    while end not in kind.states[state]:
        possible = kind.states[state]
        number = next((number for number in possible if kind.steps[number].required), possible[0])
        step = kind.steps[number]
        key = next(member.type for member in step.members if not getattr(grammar(member.type), "abstract", False))
        values[step.field] = [_least(key) for _ in range(max(step.low, 1))] if step.many else _least(key)
        state = number + 1
    return message_class(kind.key)(**values)


def _least_simple(kind: Simple) -> Any:
    match kind.kind:
        case "enumeration":
            return kind.values[0]
        case "boolean":
            return False
        case "string":
            return "0" * max(kind.min_length, 1)
        case "hex" | "base64":
            return bytes(max(kind.min_length, 1))
    low = kind.low if kind.low is not None else 0
    return max(low, 1) if kind.high is None or kind.high >= 1 else low
