"""What a process holds that has to be given back: open files, tasks, threads."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from pathlib import Path

FILES = Path("/proc/self/fd")  # Linux; elsewhere nobody knows


def holdings() -> Counter[str]:
    """How many of what, of this process and the loop that runs."""
    held = Counter({"tasks": len(asyncio.all_tasks()), "threads": threading.active_count()})
    if FILES.is_dir():
        held["open files"] = len(list(FILES.iterdir()))
    return held


def growth(before: Counter[str], after: Counter[str], spare: int) -> list[str]:
    """What grew by more than `spare`, one line each."""
    return [
        f"{after[name] - before[name]} more {name}: {before[name]} at the beginning, {after[name]} at the end"
        for name in sorted(after)
        if after[name] - before[name] > spare
    ]
