"""State tables: which requests a state takes, and where each outcome leads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from ports.errors import LocalError

OK = "ok"


class Row(NamedTuple):
    """In `state`, `message` with `outcome` leads to `next`. source: the requirement, or who needs it.

    Of a station the message is a request, the outcome what its answer says. Of a vehicle the message is a response, the
    outcome what it makes of it, and `next` the request that it sends then.
    """

    state: str
    message: str
    outcome: str
    next: str
    source: str


class StateTable:
    """Rows, ready for looking up. Raises LocalError when two rows contradict each other."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self.rows = tuple(rows)
        found: dict[str, dict[str, dict[str, str]]] = {}
        for row in self.rows:
            outcomes = found.setdefault(row.state, {}).setdefault(row.message, {})
            if row.outcome in outcomes:
                raise LocalError(f"two rows for {row.state}, {row.message}, {row.outcome}")
            outcomes[row.outcome] = row.next
        self._found: Mapping[str, dict[str, dict[str, str]]] = MappingProxyType(found)

    def messages(self, state: str) -> tuple[str, ...]:
        """What a state takes."""
        return tuple(self._found.get(state, ()))

    def takes(self, state: str, message: str) -> bool:
        """Whether a state takes a message."""
        return message in self._found.get(state, ())

    def leads(self, state: str, message: str, outcome: str) -> bool:
        """Whether a state takes a message with this outcome."""
        return outcome in self._found.get(state, {}).get(message, {})

    def next(self, state: str, message: str, outcome: str) -> str:
        """Where it leads. Raises LocalError when the table has no such row."""
        try:
            return self._found[state][message][outcome]
        except KeyError:
            raise LocalError(f"no row for {state!r}, {message}, outcome {outcome!r}") from None
