"""Messages that a fault holds back until their time."""

from __future__ import annotations

import heapq
import itertools

from v2g.session.events import Send


class Outbox:
    """Sends in order of their due times."""

    def __init__(self) -> None:
        self._waiting: list[tuple[float, int, Send]] = []
        self._order = itertools.count()

    @property
    def due(self) -> float | None:
        """When the next one is due."""
        return self._waiting[0][0] if self._waiting else None

    def add(self, due: float, send: Send) -> None:
        """Hold one back."""
        heapq.heappush(self._waiting, (due, next(self._order), send))

    def take(self, now: float) -> list[Send]:
        """Those that are due."""
        taken = []
        while self._waiting and self._waiting[0][0] <= now:
            taken.append(heapq.heappop(self._waiting)[2])
        return taken
