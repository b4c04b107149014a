"""One owner at a time: a lock whose waiters are served by priority, then in order of arrival."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Turns:
    """A lock with priorities; the lowest number goes first."""

    def __init__(self) -> None:
        self._taken = False
        self._order = itertools.count()
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []

    @asynccontextmanager
    async def turn(self, priority: int) -> AsyncIterator[None]:
        """Hold the lock while entered."""
        if self._taken:
            call = asyncio.get_running_loop().create_future()
            heapq.heappush(self._waiting, (priority, next(self._order), call))
            try:
                await call
            except asyncio.CancelledError:
                if call.done() and not call.cancelled():
                    self._pass_on()  # the turn came together with the cancellation
                raise
        self._taken = True
        try:
            yield
        finally:
            self._pass_on()

    def _pass_on(self) -> None:
        while self._waiting:
            _, _, call = heapq.heappop(self._waiting)
            if not call.done():
                call.set_result(None)
                return  # stays taken: nobody can slip in between
        self._taken = False
