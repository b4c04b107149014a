"""Axes: nice steps, and where a value stands."""

from __future__ import annotations

import math
from dataclasses import dataclass

_TIME_STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400)


APART = 24  # pixels between two ticks


@dataclass(frozen=True, slots=True)
class Scale:
    """A straight scale: `low` stands at `start`, `high` at `end` (both in pixels)."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Pixels of a value, not outside of the scale."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 1)


def time_scale(began: float, ended: float, start: float, end: float) -> Scale:
    """From the first to the last event, at least a second."""
    return Scale(began, max(ended, began + 1.0), start, end)


def time_ticks(scale: Scale, most: int = 12) -> list[tuple[float, str]]:
    """Times and how they are written in the scale's unit, counted from the beginning."""
    length = scale.high - scale.low
    step = next((step for step in _TIME_STEPS if length / step <= most), math.ceil(length / most / 86400) * 86400)
    times = [number * step for number in range(int(length / step) + 1)]
    unit = time_unit(scale)
    return [
        (scale.low + seconds, f"{seconds:g}" if unit == "s" else _parted(round(seconds), unit)) for seconds in times
    ]


def time_unit(scale: Scale) -> str:
    """In what the times of a scale are written."""
    length = scale.high - scale.low
    return "s" if length <= 60 else "min:s" if length < 3600 else "h:min:s"


def _parted(whole: int, unit: str) -> str:
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02}:{whole % 60:02}" if unit == "h:min:s" else f"{minutes}:{whole % 60:02}"


def clock(seconds: float) -> str:
    """0.5 s, 12 s, 3:20, 1:02:03."""
    if seconds < 60:
        return f"{seconds:g} s"
    whole = round(seconds)
    return _parted(whole, "min:s" if whole < 3600 else "h:min:s")


def exact(seconds: float) -> str:
    """To the millisecond: 0.128 s, 1:01.238, 1:02:03.000."""
    whole, thousandths = divmod(round(seconds * 1000), 1000)
    return f"{whole}.{thousandths:03} s" if whole < 60 else f"{clock(whole)}.{thousandths:03}"


def value_scale(values: list[float], start: float, end: float) -> tuple[Scale, list[float]]:
    """A scale over the values and 0 with round ends, and its ticks."""
    low, high = min(0.0, *values), max(0.0, *values)
    if high - low < 1e-9:
        high = low + 1.0
    rough = (high - low) / max(2, abs(end - start) / APART)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    first, last = math.floor(low / step), math.ceil(high / step)
    ticks = [round(number * step, 9) for number in range(first, last + 1)]
    return Scale(ticks[0], ticks[-1], start, end), ticks
