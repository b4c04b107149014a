"""Memory: a folder in it, and whether a process keeps its size over the hours."""

from __future__ import annotations

import os
import statistics
from collections.abc import Sequence
from pathlib import Path

MIB = 1 << 20
_SHM = Path("/dev/shm")  # noqa: S108 - whoever uses it makes a folder of its own there
MEMORY = _SHM if _SHM.is_dir() else None  # for `tempfile`: None is its default


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
