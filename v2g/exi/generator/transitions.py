"""The automaton of a type as straight-line code sees it: steps in order, and where each may come from."""

from __future__ import annotations

from typing import NamedTuple

from v2g.exi.grammar import EE_TEXT, Complex, productions


class State(NamedTuple):
    """A state of a type; full: its list stands at maxOccurs."""

    number: int
    full: bool = False


class Event(NamedTuple):
    """An event code: `code` in `width` bits."""

    code: int
    width: int


def states_after(kind: Complex, step: int) -> list[State]:
    """In which states a type can be after a step."""
    high = kind.steps[step].high
    return [State(step + 1)] if high in (None, 1) else [State(step + 1), State(step + 1, full=True)]


def count_in(kind: Complex, state: State) -> int:
    """A count of the list that leads to this state."""
    if not state.number:
        return 0
    step = kind.steps[state.number - 1]
    return (step.high or 0) if state.full else max(step.low, 1)


def event(kind: Complex, state: State, step: int) -> Event | None:
    """The event code of a step (of its first member) in a state; None if it cannot come there."""
    found = productions(kind, state.number, count_in(kind, state))
    for code, production in enumerate(found):
        if production.step == step:
            return Event(code, len(found).bit_length())
    return None


def successors(kind: Complex, state: State) -> list[int]:
    """The steps that may come next, in the order of their codes; text of mixed content left out."""
    found = productions(kind, state.number, count_in(kind, state))
    return list(dict.fromkeys(production.step for production in found if production.step != EE_TEXT))


def is_regular(kind: Complex) -> bool:
    """Whether straight-line code can be made: no field stands in two places."""
    fields = [step.field for step in kind.steps if step.field]
    return len(fields) == len(set(fields))
