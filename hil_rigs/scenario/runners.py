"""Event loops that a test drives from outside, one call after the other."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, Protocol, TypeVar

from hil_rigs.virtual_loop import VirtualLoop

T = TypeVar("T")


class Runner(Protocol):
    """Runs coroutines on the rig's event loop."""

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """To its end."""

    def close(self) -> None:
        """End the loop."""


class VirtualRunner:
    """Steps a loop of virtual time: nothing moves between two calls."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner(loop_factory=VirtualLoop)

    @property
    def loop(self) -> VirtualLoop:
        """The loop."""
        loop = self._runner.get_loop()
        assert isinstance(loop, VirtualLoop)  # noqa: S101 - for the type checker
        return loop

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)

    def close(self) -> None:
        self._runner.close()


class ThreadRunner:
    """A loop in a thread: time goes on between two calls."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="rig", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        future: Future[T] = asyncio.run_coroutine_threadsafe(work, self._loop)
        return future.result()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
