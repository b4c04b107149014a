"""A session as Mermaid sequence diagram: loops folded, refusals marked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from v2g.capture import Sender


@dataclass(frozen=True, slots=True)
class Arrow:
    """One message of a diagram. remark: shown as a note below it."""

    sender: Sender
    text: str
    remark: str = ""


def sequence_diagram(arrows: Sequence[Arrow]) -> str:
    """The diagram's source. A message, or a request with its answer, that repeats is drawn once with its count."""
    lines = ["sequenceDiagram", "    participant V as Vehicle", "    participant S as Station"]
    position = 0
    while position < len(arrows):
        length, count = _repetition(arrows, position)
        pad = "    "
        if count > 1:
            lines.append(f"{pad}loop {count} times")
            pad *= 2
        for arrow in arrows[position : position + length]:
            lines += [pad + line for line in _lines(arrow)]
        if count > 1:
            lines.append("    end")
        position += length * count
    return "\n".join(lines) + "\n"


def _repetition(arrows: Sequence[Arrow], start: int) -> tuple[int, int]:
    """How many arrows make the unit at `start` (1 or 2), and how often it stands there."""
    for length in (1, 2):
        unit = list(arrows[start : start + length])
        count = 1
        while len(unit) == length and list(arrows[start + count * length : start + (count + 1) * length]) == unit:
            count += 1
        if count > 1:
            return length, count
    return 1, 1


def _lines(arrow: Arrow) -> Iterator[str]:
    ends = "V->>S" if arrow.sender == Sender.VEHICLE else "S-->>V"
    yield f"{ends}: {_escape(arrow.text)}"
    if arrow.remark:
        yield f"Note over V,S: {_escape(arrow.remark)}"


def _escape(text: str) -> str:
    """Characters that end or change a Mermaid statement."""
    return text.translate({ord("#"): "#35;", ord(";"): "#59;", ord("\n"): " "})
