"""What a process holds is counted, and growth is told."""

from __future__ import annotations

import asyncio
import os
from collections import Counter

from hil_rigs.scenario.holdings import growth, holdings


async def test_files_and_tasks_are_counted() -> None:
    before = holdings()
    descriptor = os.open(os.devnull, os.O_RDONLY)
    task = asyncio.create_task(asyncio.Event().wait())
    after = holdings()
    os.close(descriptor)
    task.cancel()
    assert after - before == Counter({"open files": 1, "tasks": 1})


def test_growth_is_told_beyond_what_is_spare() -> None:
    before, after = Counter({"open files": 10, "tasks": 3}), Counter({"open files": 15, "tasks": 2})
    assert growth(before, after, 5) == []
    assert growth(before, after, 4) == ["5 more open files: 10 at the beginning, 15 at the end"]
