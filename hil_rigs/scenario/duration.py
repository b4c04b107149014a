"""Durations as a scenario writes them: `100 ms`, `5 s`, `2.5 min`, `4 h`."""

from __future__ import annotations

import re
from typing import Annotated

from msgspec import Meta

PATTERN = r"^[0-9]+(\.[0-9]+)? ?(ms|s|min|h)$"
_SECONDS = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0}

Duration = Annotated[str, Meta(pattern=PATTERN, description="a duration", examples=["5 s", "100 ms", "4 h"])]


def seconds(text: str) -> float:
    """A duration in seconds. Raises ValueError for anything else."""
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?) ?(ms|s|min|h)", text)
    if found is None:
        raise ValueError(f'"{text}" is no duration like 5 s, 100 ms, 4 h')
    return float(found[1]) * _SECONDS[found[2]]
