"""A story as Mermaid sequence diagram."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hil_rigs.story.step import Lane, Passage, Step

MAX_ARROWS = 400
"""Viewers give up on more (GitHub: 50 000 characters)."""


def sequence_diagram(passages: Sequence[Passage]) -> str:
    """The diagram's source: only who takes part, loops folded. A long story is cut, and says so."""
    taking_part = {lane for passage in passages for step in passage.steps for lane in (step.sender, step.receiver)}
    lines = [
        "sequenceDiagram",
        *(f"    participant {lane.name} as {lane.value}" for lane in Lane if lane in taking_part),
    ]
    arrows = 0
    for passage in passages:
        arrows += len(passage.steps)
        if arrows > MAX_ARROWS:
            first = next(lane for lane in Lane if lane in taking_part)
            lines.append(f"    Note over {first.name}: the rest is in the list below")
            break
        pad = "    "
        if passage.count > 1:
            lines.append(f"{pad}loop {passage.count} times")
            pad *= 2
        for step in passage.steps:
            lines += [pad + line for line in _lines(step)]
        if passage.count > 1:
            lines.append("    end")
    return "\n".join(lines) + "\n"


def _lines(step: Step) -> Iterator[str]:
    if step.sender is step.receiver:
        yield f"Note over {step.sender.name}: {_escape(_joined(step))}"
        return
    order = list(Lane)
    arrow = "->>" if order.index(step.sender) < order.index(step.receiver) else "-->>"
    yield f"{step.sender.name}{arrow}{step.receiver.name}: {_escape(step.text)}"
    if step.remark:
        ends = sorted((step.sender, step.receiver), key=order.index)
        yield f"Note over {ends[0].name},{ends[1].name}: {_escape(step.remark)}"


def _joined(step: Step) -> str:
    return f"{step.text}: {step.remark}" if step.remark else step.text


def _escape(text: str) -> str:
    """Characters that end or change a Mermaid statement."""
    return text.translate({ord("#"): "#35;", ord(";"): "#59;", ord("\n"): " "})
