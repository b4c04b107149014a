"""The second level of a state (EXI 8.5.4.4): what schema-informed grammars allow beyond the schema when not strict."""

from __future__ import annotations

from functools import cache
from typing import Literal

from v2g.exi.grammar import Complex, Production, productions
from v2g.exi.schemas import complex_grammar

Event = Literal["EE", "xsi:type", "xsi:nil", "AT(*)", "AT(untyped)", "SE(*)", "CH(untyped)"]


@cache
def first_level(key: str, state: int, count: int, *, nil: bool) -> tuple[Production, ...]:
    """The productions of a state; nil: only attributes and EE are left."""
    kind = complex_grammar(key)
    if not nil:
        return tuple(productions(kind, state, count))
    return nil_productions(kind, state)


def nil_productions(kind: Complex, state: int) -> tuple[Production, ...]:
    """After xsi:nil="true": the attributes of the state, then EE."""
    attributes = [number for number in kind.states[state] if number < kind.attributes]
    waiting = attributes and kind.steps[attributes[-1]].required
    return tuple(Production(number) for number in [*attributes, *([] if waiting else [len(kind.steps)])])


@cache
def second_level(*, first: bool, attributes: bool, has_end: bool) -> tuple[Event, ...]:
    """The events in the order of their codes.

    first: the state is the first one of its type. attributes: one may still come here (up to the first content state).
    has_end: EE stands on the first level already.
    """
    events: list[Event] = [] if has_end else ["EE"]
    if first:
        events += ["xsi:type", "xsi:nil"]
    if attributes:
        events += ["AT(*)", "AT(untyped)"]
    return (*events, "SE(*)", "CH(untyped)")
