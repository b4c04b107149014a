"""A story as text for people (Markdown with a Mermaid diagram) and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hil_rigs.story.diagram import sequence_diagram
from hil_rigs.story.step import Passage, Signature, Step, Story
from v2g.render import Plain, tree_lines

MARKDOWN, JSON = "story.md", "story.json"


def write_story(folder: Path, story: Story) -> None:
    """story.md and story.json."""
    (folder / MARKDOWN).write_text(markdown(story), encoding="utf-8")
    (folder / JSON).write_text(json.dumps(as_json(story), indent=1, default=str) + "\n", encoding="utf-8")


def as_json(story: Story) -> dict[str, Any]:
    """Plain values; a passage is its steps, how often they stand there, and when the last of them was."""
    return asdict(story)


def markdown(story: Story) -> str:
    """All of it: diagram, signatures, then each message decoded; what repeats is shown once."""
    lines = [f"# {story.rig or 'A run'}{f': {story.verdict}' if story.verdict else ''}", ""]
    lines += ["```mermaid", sequence_diagram(story.passages).rstrip(), "```", ""]
    lines += ["## Signatures", "", *_table(story.signatures), ""]
    lines += ["## Messages", ""]
    began = story.passages[0].steps[0].at if story.passages else 0.0
    for passage in story.passages:
        lines += _passage(passage, began)
    if story.notes:
        lines += ["## Notes", "", *(f"- {note}" for note in story.notes), ""]
    return "\n".join(lines)


def _table(signatures: tuple[Signature, ...]) -> Iterator[str]:
    if not signatures:
        yield "None."
        return
    yield "| what | covers | signed by | algorithm | verdict | trust |"
    yield "|---|---|---|---|---|---|"
    for one in signatures:
        verdict = f"{one.verdict}: {one.problem}" if one.problem else one.verdict
        cells = (one.what, one.covers, one.signer, one.algorithm, verdict, one.trust)
        yield "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def _passage(passage: Passage, began: float) -> Iterator[str]:
    if passage.count > 1:
        yield f"*{passage.count} times, until {passage.until - began:.3f} s:*"
        yield ""
    for step in passage.steps:
        yield from _step(step, began)


def _step(step: Step, began: float) -> Iterator[str]:
    ends = step.sender.value if step.sender is step.receiver else f"{step.sender.value} → {step.receiver.value}"
    where = f", packet {step.packet} of {step.capture}" if step.packet is not None else ""
    yield f"**{step.at - began:.3f} s  {ends}: {step.text}** ({step.protocol}{where})"
    yield ""
    if step.remark:
        yield step.remark
        yield ""
    if step.content:
        yield "```"
        yield from tree_lines(_plain(step.content), 0)
        yield "```"
        yield ""


def _plain(value: Any) -> Plain:
    """What an event or a message holds, as the renderer takes it."""
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value if isinstance(value, str | int | bytes) else str(value)
