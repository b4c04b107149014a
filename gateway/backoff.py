"""Waiting longer after every failure, never in step with others."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random


@dataclass(frozen=True, slots=True)
class Backoff:
    """first_s doubles up to most_s; of each wait, a part of up to `jitter` is cut off at random."""

    first_s: float = 0.5
    most_s: float = 300.0
    jitter: float = 0.5

    def seconds(self, failures: int, random: Random) -> float:
        """How long to wait after so many failures in a row (1 = the first)."""
        full = min(self.most_s, self.first_s * 2.0 ** min(failures - 1, 40))
        return full * (1 - self.jitter * random.random())
