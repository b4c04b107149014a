"""Moments of a run: `start`, `10 min`, `wire.v2g ChargingStatusRes #7`, `store signed + 5 s`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from hil_rigs.scenario.duration import PATTERN, seconds
from hil_rigs.scenario.pattern import Pattern, parse_pattern

MomentText = Annotated[
    str,
    Meta(
        min_length=1,
        description="a moment: a duration after the start, or a pattern, perhaps + a duration",
        examples=["wire.v2g ChargingStatusRes #7"],
    ),
]
PatternText = Annotated[
    str,
    Meta(min_length=1, description="channel, name, conditions", examples=["wire.v2g SessionStopRes ResponseCode=OK"]),
]


@dataclass(frozen=True, slots=True)
class Moment:
    """pattern: None = the start of the run. delay: seconds after it."""

    pattern: Pattern | None
    delay: float = 0.0
    text: str = ""

    def __str__(self) -> str:
        return self.text


def parse_moment(text: str, channels: Mapping[str, object]) -> Moment:
    """Read a moment. Raises ValueError that says what is wrong with it."""
    words = text.removeprefix("after ").strip()
    head, plus, tail = words.rpartition(" + ")
    delay = 0.0
    if plus:
        delay, words = seconds(tail), head
    if words == "start":
        return Moment(None, delay, text)
    if re.fullmatch(PATTERN.strip("^$"), words):
        return Moment(None, delay + seconds(words), text)
    return Moment(parse_pattern(words, channels), delay, text)
