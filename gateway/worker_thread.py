"""One thread for blocking work; virtual time stands still while it works for us."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from ports.clock import Clock

P = ParamSpec("P")
R = TypeVar("R")


class WorkerThread:
    """Runs calls one after the other."""

    def __init__(self, name: str, clock: Clock) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._clock = clock

    async def run(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """The call's result, or what it raised. A call that began is never abandoned half-way."""
        with self._clock.hold():
            return await asyncio.get_running_loop().run_in_executor(self._executor, lambda: function(*args, **kwargs))

    def close(self) -> None:
        """End the thread after the call under way."""
        self._executor.shutdown(wait=True)
