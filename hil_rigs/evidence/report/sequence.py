"""The sequence of a run as SVG: who said what to whom, loops folded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hil_rigs.evidence.report.axis import exact
from hil_rigs.evidence.report.markup import Markup, element, joined
from hil_rigs.evidence.report.series import Flag
from hil_rigs.story.step import Lane, Passage, Step

WIDTH, LEFT = 1120, 84
ROW, REMARK = 26, 12
TOP = 44.0
TALLEST = 900.0  # of one drawing, before its last passage: fits on a page
MOST_ROWS = 1500
LONGEST_TEXT = 90
LETTER = 7.4  # pixels that one takes, at most, on average of a text


def sequence(passages: Sequence[Passage], began: float = 0.0, marks: Sequence[Flag] = ()) -> Markup:
    """The drawings, one below the other, each with its participants on top: time on the left, one lane for each.

    began: boot-time seconds that are shown as 0. marks: what else is said at its time, across all lanes.
    """
    lanes = [lane for lane in Lane if any(lane in (one.sender, one.receiver) for p in passages for one in p.steps)]
    if not lanes:
        return element("p", "Nothing was said.")
    apart = (WIDTH - LEFT) / len(lanes)
    places = {lane: round(LEFT + apart * (number + 0.5), 1) for number, lane in enumerate(lanes)}
    drawings: list[Markup] = []
    parts: list[Markup] = []
    waiting = sorted(marks, key=lambda mark: mark.at)
    y, rows = TOP, 0
    for passage in passages:
        if rows > MOST_ROWS:
            parts.append(element("text", "The rest is in story.md.", x=LEFT, y=y + 14, class_="remark"))
            y += ROW
            waiting = []
            break
        while waiting and waiting[0].at <= passage.steps[0].at:
            parts += _mark(waiting.pop(0), began, y)
            y += ROW
        drawn, y = _passage(passage, places, began, y)
        parts += drawn
        rows += len(passage.steps)
        if y > TALLEST:
            drawings.append(_drawing(parts, places, apart, y))
            parts, y = [], TOP
    for mark in waiting:
        parts += _mark(mark, began, y)
        y += ROW
    if parts:
        drawings.append(_drawing(parts, places, apart, y))
    return joined(drawings)


def _drawing(parts: Sequence[Markup], places: dict[Lane, float], apart: float, y: float) -> Markup:
    head = [drawn for lane, x in places.items() for drawn in _lane(lane, x, apart, y)]
    label = "Sequence diagram: " + ", ".join(lane.value for lane in places)
    return element(
        "svg", *head, *parts, viewBox=f"0 0 {WIDTH} {y + 10:g}", width=WIDTH, height=f"{y + 10:g}", role="img",
        aria_label=label, class_="sequence",
    )  # fmt: skip


def _passage(passage: Passage, places: dict[Lane, float], began: float, y: float) -> tuple[list[Markup], float]:
    """What is drawn from `y` on, and where it ends."""
    parts: list[Markup] = []
    repeats = passage.count > 1
    top = y + 4
    if repeats:
        y += 22
    for step in passage.steps:
        parts += _step(step, places, began, y)
        y += ROW + (REMARK if step.remark and step.sender is not step.receiver else 0)
    if repeats:
        y += 4
        parts += _loop(f"{passage.count} times, until {exact(passage.until - began)}", top, y)
        y += 6
    return parts, y


def _mark(mark: Flag, began: float, y: float) -> Iterator[Markup]:
    yield element("line", x1=LEFT - 6, x2=WIDTH, y1=y + 12, y2=y + 12, class_="faultline")
    yield element("text", exact(mark.at - began), x=LEFT - 12, y=y + 16, class_="tick end")
    yield element("text", _cut(mark.text), x=round((LEFT + WIDTH) / 2, 1), y=y + 16, class_="middle message fault")


def _lane(lane: Lane, x: float, apart: float, bottom: float) -> Iterator[Markup]:
    width = min(apart - 10, 110)
    yield element("line", x1=x, x2=x, y1=30, y2=bottom, class_="life")
    yield element("rect", x=round(x - width / 2, 1), y=4, width=round(width, 1), height=26, class_="lane")
    yield element("text", lane.value, x=x, y=22, class_="lane middle")


def _loop(text: str, top: float, bottom: float) -> Iterator[Markup]:
    yield element("rect", x=LEFT - 6, y=top, width=WIDTH - LEFT, height=bottom - top, class_="loop")
    yield element("text", text, x=LEFT, y=top + 13, class_="loop")


def _step(step: Step, places: dict[Lane, float], began: float, y: float) -> Iterator[Markup]:
    line = y + 17
    yield element("text", exact(step.at - began), x=LEFT - 12, y=line, class_="tick end")
    one, other = places[step.sender], places[step.receiver]
    if step.sender is step.receiver:
        text = _cut(f"{step.text}: {step.remark}" if step.remark else step.text)
        width = LETTER * len(text) + 14
        left = min(max(one - width / 2, LEFT - 4), WIDTH - width - 2)
        yield element("rect", x=round(left, 1), y=y + 3, width=round(width, 1), height=18, rx=3, class_="note")
        yield element("text", text, x=round(left + width / 2, 1), y=y + 16, class_="middle")
        return
    tip = -6 if other > one else 6
    yield element("line", x1=one, x2=other, y1=line + 3, y2=line + 3, class_="arrow")
    yield element("path", d=f"M{other} {line + 3}l{tip} -3.5v7z", class_="tip")
    middle = (one + other) / 2
    yield element("text", _cut(step.text), x=_inside(middle, step.text), y=line - 2, class_="middle message")
    if step.remark:
        yield element("text", _cut(step.remark), x=_inside(middle, step.remark), y=line + 15, class_="middle remark")


def _inside(middle: float, text: str) -> float:
    """Where the text stands in the middle: not outside of the drawing."""
    half = LETTER * len(_cut(text)) / 2
    return round(min(max(middle, LEFT + half), WIDTH - half), 1)


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_TEXT else text[: LONGEST_TEXT - 1] + "\u2026"
