"""Everything that was seen in a run, in order, and those who wait for something to be seen."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from hil_rigs.scenario.channels import Names, observed
from hil_rigs.scenario.pattern import Observation, Pattern
from ports.trace import TraceEvent

DECIMALS = 6  # of seconds, as in events.jsonl: what is closer happened at once, in the order in which it was told


class Observer:
    """A `ports.trace.Tracer`. seen: all observations, in order."""

    def __init__(self) -> None:
        self.seen: list[Observation] = []
        self._names = Names()
        self._waiting: list[tuple[Pattern, int, asyncio.Future[Observation]]] = []

    def __call__(self, event: TraceEvent) -> None:
        """See an event."""
        projected = observed(event, self._names)
        if projected is not None:
            channel, name, fields = projected
            self.add(event.at, channel, name, event.source, fields)

    def add(self, at: float, channel: str, name: str, source: str, fields: Mapping[str, Any]) -> None:
        """See something, and tell those who wait for it."""
        one = Observation(len(self.seen), at, channel, name, source, fields)
        self.seen.append(one)
        still = []
        for pattern, since, future in self._waiting:
            if future.done():
                continue
            if pattern.matches(one) and self._counts(pattern, since, one):
                future.set_result(one)
            else:
                still.append((pattern, since, future))
        self._waiting = still

    def by_time(self) -> Observer:
        """The same in the order of their own times: some are told late, records of the store only at the end."""
        sorted_ = Observer()
        told = sorted(self.seen, key=lambda one: round(one.at, DECIMALS))
        sorted_.seen = [
            one if one.number == number else dataclasses.replace(one, number=number) for number, one in enumerate(told)
        ]
        return sorted_

    def matching(self, pattern: Pattern, since: int = 0, until: int | None = None) -> Iterator[Observation]:
        """All that match among the observations from number `since` on, before number `until`."""
        return (one for one in self.seen[since:until] if pattern.matches(one))

    def find(self, pattern: Pattern, since: int = 0, until: int | None = None) -> Observation | None:
        """The first that matches, or the n-th where the pattern says so."""
        skip = (pattern.nth or 1) - 1
        for one in self.matching(pattern, since, until):
            if skip == 0:
                return one
            skip -= 1
        return None

    async def wait(self, pattern: Pattern, since: int = 0) -> Observation:
        """Until it is seen; at once when it has been, from number `since` on."""
        found = self.find(pattern, since)
        if found is not None:
            return found
        future: asyncio.Future[Observation] = asyncio.get_running_loop().create_future()
        self._waiting.append((pattern, since, future))
        return await future

    def _counts(self, pattern: Pattern, since: int, one: Observation) -> bool:
        return pattern.nth is None or self.find(pattern, since) is one
