"""A virtual loop that does the work of executors itself: time stands still for it anyway, and no thread is woken."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar, TypeVarTuple, Unpack

from hil_rigs.virtual_loop import VirtualLoop

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class InlineLoop(VirtualLoop):
    """For work that only computes, or reads and writes files: it must not wait for the loop."""

    def run_in_executor(
        self,
        executor: Executor | None,  # noqa: ARG002 - as in any loop
        func: Callable[[Unpack[Ts]], T],
        *args: *Ts,
    ) -> asyncio.Future[T]:
        """As in any loop; done when this returns."""
        answer: asyncio.Future[T] = self.create_future()
        try:
            answer.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - whatever the work raises is for who waits for it
            answer.set_exception(error)
        return answer
