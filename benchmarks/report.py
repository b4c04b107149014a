"""What a benchmark prints: ratios of two sides measured in the same run, and figures that nobody judges."""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field


@dataclass(frozen=True, slots=True)
class Line:
    """One result. floor/ceiling: what the project promises for a ratio; None = printed, not judged."""

    name: str
    value: float
    unit: str
    floor: float | None = None
    ceiling: float | None = None
    detail: str = ""

    @property
    def kept(self) -> bool | None:
        """Whether the promise holds; None when nothing was promised."""
        if self.floor is None and self.ceiling is None:
            return None
        return (self.floor is None or self.value >= self.floor) and (self.ceiling is None or self.value <= self.ceiling)


@dataclass(slots=True)
class Report:
    """Collects lines and prints each as it comes."""

    as_json: bool = False
    lines: list[Line] = field(default_factory=list)

    def ratio(
        self,
        name: str,
        ours: float,
        theirs: float,
        floor: float | None = None,
        ceiling: float | None = None,
        detail: str = "",
    ) -> None:
        """Print ours / theirs (same unit, same run) beside what is promised."""
        self._print(Line(name, ours / theirs, "x", floor, ceiling, detail))

    def value(self, name: str, value: float, unit: str, detail: str = "") -> None:
        """Print an absolute figure; it is never judged."""
        self._print(Line(name, value, unit, detail=detail))

    def progress(self, text: str) -> None:
        """Say on stderr what is being measured."""
        print(f"  ... {text}", file=sys.stderr, flush=True)

    def _print(self, line: Line) -> None:
        self.lines.append(line)
        if self.as_json:
            print(json.dumps({**asdict(line), "kept": line.kept}), flush=True)
            return
        promise = "" if line.kept is None else f"  {'ok ' if line.kept else 'MISSED'} "
        if line.floor is not None:
            promise += f">= {line.floor:g}"
        if line.ceiling is not None:
            promise += f"<= {line.ceiling:g}"
        print(f"  {line.name:<66} {line.value:>12.4g} {line.unit:<6}{promise}  {line.detail}".rstrip(), flush=True)


def interleaved(sides: dict[str, Callable[[], object]], rounds: int = 7, repeat: int = 1) -> dict[str, float]:
    """Median seconds per call of each side, measured in interleaved rounds of `repeat` calls each."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, call in sides.items():
            begin = time.perf_counter()
            for _ in range(repeat):
                call()
            times[name].append((time.perf_counter() - begin) / repeat)
    return {name: statistics.median(values) for name, values in times.items()}
