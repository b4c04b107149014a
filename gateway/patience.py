"""Waiting for somebody else, but not for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from ports.clock import Clock

T = TypeVar("T")


async def done_within(task: asyncio.Task[Any], clock: Clock, seconds: float) -> bool:
    """Whether a task ends in so many seconds of protocol time; it goes on if not."""
    timer = asyncio.create_task(clock.sleep(max(0.0, seconds)), name="patience")
    try:
        await asyncio.wait({task, timer}, return_when=asyncio.FIRST_COMPLETED)
        return task.done()
    finally:
        timer.cancel()


async def within(clock: Clock, seconds: float, work: Coroutine[Any, Any, T]) -> T:
    """What the work returns or raises; TimeoutError when it takes longer, and it is cancelled."""
    task = asyncio.create_task(work)
    try:
        if not await done_within(task, clock, seconds):
            raise TimeoutError(f"no answer within {seconds:g} s")
        return task.result()
    finally:
        task.add_done_callback(_see)
        task.cancel()


def _see(task: asyncio.Task[Any]) -> None:
    """What it still raises is nobody's any more."""
    if not task.cancelled():
        task.exception()
