"""Memory: a folder in it, and whether a process keeps its size over the hours."""

from __future__ import annotations

import os
import shutil
import statistics
from collections.abc import Sequence
from pathlib import Path

MIB = 1 << 20
SHM = Path("/dev/shm")  # noqa: S108 - whoever uses it makes a folder of its own there


def folder_in_memory(need_mib: float) -> Path | None:
    """Where files lie in memory, with so much room; None (`tempfile`'s default) where there is none."""
    if not SHM.is_dir() or shutil.disk_usage(SHM).free < need_mib * MIB:
        return None
    return SHM


def resident_mib() -> float:
    """Of this process, now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / MIB


def slope(samples: Sequence[float]) -> float:
    """Growth of one sample an hour, in its unit per hour, over the last third: until then caches have filled.

    0.0 with fewer than three samples there. By Theil and Sen: one late collection of garbage does not count.
    """
    settled = samples[len(samples) * 2 // 3 :]
    if len(settled) < 3:
        return 0.0
    return statistics.median(
        (settled[j] - settled[i]) / (j - i) for i in range(len(settled)) for j in range(i + 1, len(settled))
    )
