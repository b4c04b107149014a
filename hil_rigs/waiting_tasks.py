"""Who waits where: the text of a deadlock report."""

from __future__ import annotations

import asyncio
from pathlib import PurePath
from types import FrameType
from typing import Any


def innermost_frame(coro: Any) -> FrameType | None:
    """The frame in which a suspended coroutine really waits, following what it awaits."""
    frame: FrameType | None = None
    while coro is not None:
        found = getattr(coro, "cr_frame", None) or getattr(coro, "gi_frame", None) or getattr(coro, "ag_frame", None)
        if found is None:
            break
        frame = found
        coro = getattr(coro, "cr_await", None) or getattr(coro, "gi_yieldfrom", None) or getattr(coro, "ag_await", None)
    return frame


def waiting_tasks(loop: asyncio.AbstractEventLoop) -> list[str]:
    """One line for each unfinished task: its name, its coroutine, and the file and line where it waits."""
    lines = []
    for task in sorted(asyncio.all_tasks(loop), key=lambda task: task.get_name()):
        coro = task.get_coro()
        frame = innermost_frame(coro)
        place = (
            f"{PurePath(frame.f_code.co_filename).name}:{frame.f_lineno} {frame.f_code.co_qualname}" if frame else "?"
        )
        lines.append(f"{task.get_name()} ({getattr(coro, '__qualname__', coro)}) waits in {place}")
    return lines
