"""Rows of the timeline that show states and instants: bands with their names, strokes with one label."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise

from hil_rigs.evidence.report.axis import Scale, clock, exact
from hil_rigs.evidence.report.markup import Markup, element
from hil_rigs.evidence.report.series import Flag, Span

WIDTH, LEFT, RIGHT = 1120, 128, 76
BAND, FLAGS, NAMES = 18, 18, 14
LETTER = 7.0  # pixels that a letter takes, at most
FARTHEST = 150.0  # pixels between a short span and its name
SHORTEST_TEXT = 8  # letters


def label(text: str, y: float) -> Markup:
    """What a row shows, left of it."""
    return element("text", text, x=LEFT - 8, y=y + 13, class_="label end")


def band(name: str, spans: Sequence[Span], time: Scale, y: float, *, said: str = "", is_fault: bool = False) -> Markup:
    """Spans with their names in them. said: what the row is called, when not by its name.

    Names of faults always stand, inside or beside; others where there is room.
    """
    parts = [label(said or name, y)]
    taken = float(LEFT)  # up to here there are bands and names
    nexts = [*(time(span.since) for span in spans[1:]), float(WIDTH)]
    for span, until_x in zip(spans, nexts, strict=False):
        x, width = _place(span, time)
        until = "the end" if span.until is None else clock(round(span.until - time.low, 3))
        says = f"{name} {span.text}, {clock(round(span.since - time.low, 3))} to {until}"
        kind = "fault" if is_fault else f"{name} {word(span.text)}"
        drawn = [
            element("title", says),
            element("rect", x=x, y=y, width=f"{width:g}", height=BAND, class_=f"band {kind}"),
        ]
        if is_fault:
            name_of, taken = _fault_name(span.text, x, width, y, taken, until_x)
            drawn += name_of
        elif width > LETTER * len(span.text):
            drawn.append(element("text", span.text, x=round(x + width / 2, 1), y=y + 13, class_="in middle"))
        parts.append(element("g", *drawn))
    return element("g", *parts)


def _fault_name(text: str, x: float, width: float, y: float, taken: float, until: float) -> tuple[list[Markup], float]:
    """Inside of the band, right or left of it, where it fits first; else cut where most room is, or not at all.

    taken: where what stands before ends; until: where the next band begins. Also returns where this ends.
    """
    rooms = (  # pixels, where the text is anchored, how
        (width, x + width / 2, " middle"),
        (until - x - width - 8, x + width + 4, ""),
        (x - 8 - taken, x - 4, " end"),
    )
    room, at, anchor = next((room for room in rooms if room[0] > LETTER * len(text)), max(rooms))
    letters = min(int(room / LETTER), len(text))
    end = x + width
    if letters < min(SHORTEST_TEXT, len(text)):
        return [], end
    shown = element("text", _cut(text, letters), x=round(at, 1), y=y + 13, class_=f"fault{anchor}")
    return [shown], end if anchor else at + LETTER * letters


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "\u2026"


def names_below(spans: Sequence[Span], time: Scale, y: float) -> Markup | None:
    """Names of spans that are too short for them, in a row below, side by side; None when all fit inside."""
    short = [(span.text, *_place(span, time)) for span in spans]
    short = [(text, x, width) for text, x, width in short if width <= LETTER * len(text)]
    places, free = [], 0.0
    for text, x, _ in short:
        places.append(max(x, free))
        free = places[-1] + _wide(text)
    limit = float(WIDTH)
    for number in reversed(range(len(short))):
        limit = places[number] = min(places[number], limit - _wide(short[number][0]))
    drawn = [
        element(
            "g",
            element("line", x1=round(x + width / 2, 1), x2=round(place + 3, 1), y1=y - 4, y2=y, class_="leader"),
            element("text", text, x=round(place, 1), y=y + 9, class_="in"),
        )
        for (text, x, width), place in zip(short, places, strict=True)
        if abs(place - x) < FARTHEST
    ]
    return element("g", *drawn) if drawn else None


def _wide(text: str) -> float:
    return LETTER * len(text) + 4


def shades(spans: Sequence[Span], time: Scale, top: float, bottom: float) -> Iterator[Markup]:
    """The phases again, behind everything of their connector."""
    for span in spans:
        x, width = _place(span, time)
        yield element(
            "rect", x=x, y=top, width=f"{width:g}", height=round(bottom - top, 1), class_=f"shade {word(span.text)}"
        )


def strokes(name: str, flags: Sequence[Flag], time: Scale, y: float, *, is_fault: bool = False) -> Markup:
    """One stroke for all flags of a pixel. What a fault was stands once, where there is most room."""
    parts = [label(name, y)]
    places = []
    for x, group in groupby(flags, key=lambda flag: round(time(flag.at))):
        first, *more = group
        says = f"{exact(first.at - time.low)}: {name} {first.text}{f', and {len(more)} more' if more else ''}"
        kind = "fault" if is_fault else "mark"
        stroke = element("rect", x=x - 0.5, y=y, width=1.5, height=FLAGS, class_=kind)
        parts.append(element("g", element("title", says), stroke))
        places.append(float(x))
    if is_fault and flags:
        count = f"{len(flags)} times, first: " if len(flags) > 1 else ""
        parts += _beside(count + flags[0].text, places, y)
    return element("g", *parts)


def _beside(text: str, places: Sequence[float], y: float) -> Iterator[Markup]:
    """The text after the first stroke with room for it, else before the first stroke, else cut where most room is."""
    gaps = [(before - after - 10, after + 5, "") for after, before in pairwise([*sorted(places), float(WIDTH)])]
    gaps.append((min(places) - 5 - LEFT, min(places) - 5, " end"))
    room, at, anchor = next((gap for gap in gaps if gap[0] >= LETTER * len(text)), max(gaps))
    letters = int(room / LETTER)
    if letters >= min(SHORTEST_TEXT, len(text)):
        yield element("text", _cut(text, letters), x=round(at, 1), y=y + 13, class_=f"fault{anchor}")


def word(text: str) -> str:
    """A class for the colour of a band; only letters and digits, so nothing else gets into the attribute."""
    return "is-" + "".join(char for char in text.lower() if char.isascii() and char.isalnum())[:20]


def _place(span: Span, time: Scale) -> tuple[float, float]:
    """Where it begins, and how wide it is: at least so wide that it is seen."""
    x = time(span.since)
    until = time.high if span.until is None else span.until
    return x, max(time(until) - x, 1.0)
