"""The timeline of a run as one SVG: bands, flags and plots of every connector on one axis of time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from hil_rigs.evidence.report.axis import Scale, clock, time_scale, time_ticks, value_scale
from hil_rigs.evidence.report.markup import Markup, element, joined
from hil_rigs.evidence.report.series import Flag, Point, Series, Span, Track

WIDTH, LEFT, RIGHT = 1120, 104, 76
BAND, FLAGS, GAP = 18, 18, 6
SMALLEST_TEXT = 7.0  # pixels that a letter in a band takes


@dataclass(frozen=True, slots=True)
class Plot:
    """Values with one unit. stepped: a value holds until the next one. ticks: where they are known beforehand."""

    title: str
    unit: str
    names: tuple[str, ...]
    height: int
    stepped: bool = True
    ticks: tuple[float, ...] = ()


PLOTS = (
    Plot("pilot level", "V", ("pilot high", "pilot low"), 72, ticks=(-12, 0, 6, 12)),
    Plot("voltage", "V", ("voltage L1", "voltage L2", "voltage L3"), 64),
    Plot("current", "A", ("current L1", "current L2", "current L3"), 72),
    Plot("power", "kW", ("power",), 72),
    Plot("energy", "kWh", ("energy plant", "energy meter"), 84, stepped=False),
)
BANDS = ("phase", "V2G", "pilot", "duty", "contactor")
FLAG_ROWS = ("faults", "signatures", "deliveries", "V2G messages")
STEPPED = frozenset({"energy meter"})


def timeline(series: Series) -> Markup:
    """The drawing; nothing when there were no events."""
    if series.began is None:
        return element("p", "No events.")
    time = time_scale(series.began, series.ended, LEFT, WIDTH - RIGHT)
    parts: list[Markup] = []
    y = 30.0
    for name, track in sorted(series.tracks.items(), key=lambda item: (not item[0], item[0])):
        if any((track.values, track.bands, track.flags)):
            title = f"connector {name}" if name else "whole rig"
            parts.append(element("text", title, x=4, y=y + 10, class_="title"))
            y += 20
            for height, drawn in _rows(track, time, y):
                parts.append(drawn)
                y += height + GAP
            y += 10
    grid = joined(
        joined(
            (
                element("line", x1=time(at), x2=time(at), y1=22, y2=y, class_="grid"),
                element("text", text, x=time(at), y=16, class_="tick middle"),
                element("text", text, x=time(at), y=y + 14, class_="tick middle"),
            )
        )
        for at, text in time_ticks(time)
    )
    label = "Timeline: phases, pilot, contactor, faults, voltage, current, power and energy over time"
    return element(
        "svg", grid, *parts, viewBox=f"0 0 {WIDTH} {y + 22:g}", width=WIDTH, height=f"{y + 22:g}", role="img",
        aria_label=label, class_="timeline",
    )  # fmt: skip


def _rows(track: Track, time: Scale, y: float) -> Iterator[tuple[float, Markup]]:
    """Height and drawing of each row, from `y` downwards."""
    for name in (*BANDS, *sorted(set(track.bands) - set(BANDS))):
        if track.bands.get(name):
            kind = name if name in BANDS else "fault"
            yield BAND, _band(name, kind, track.bands[name], time, y)
            y += BAND + GAP
    for name in FLAG_ROWS:
        if track.flags.get(name):
            yield FLAGS, _flags(name, track.flags[name], time, y)
            y += FLAGS + GAP
    for plot in PLOTS:
        lines = [(name, track.values[name]) for name in plot.names if track.values.get(name)]
        lines = [line for line in lines if any(value for _, value in line[1])] or lines[:1]  # phases that are not there
        if lines:
            yield plot.height, _plot(plot, lines, time, y)
            y += plot.height + GAP


def _band(name: str, kind: str, spans: Sequence[Span], time: Scale, y: float) -> Markup:
    parts = [element("text", kind, x=LEFT - 8, y=y + 13, class_="label end")]
    for span in spans:
        until = time.high if span.until is None else span.until
        x, width = time(span.since), max(time(until) - time(span.since), 1.0)
        says = f"{name} {span.text}, {clock(span.since - time.low)} to {clock(until - time.low)}"
        box = element("rect", x=x, y=y, width=f"{width:g}", height=BAND, class_=f"band {kind} {_word(span.text)}")
        text_width = SMALLEST_TEXT * len(span.text)
        drawn = [element("title", says), box]
        if kind == "fault":
            right = x + width + text_width < WIDTH
            beside = x + width + 4 if right else x - 4
            drawn.append(element("text", span.text, x=beside, y=y + 13, class_=f"fault{'' if right else ' end'}"))
        elif width > text_width:
            drawn.append(element("text", span.text, x=round(x + width / 2, 1), y=y + 13, class_="in middle"))
        parts.append(element("g", *drawn))
    return element("g", *parts)


def _word(text: str) -> str:
    """A class for the colour of a band; only letters and digits, so nothing else gets into the attribute."""
    return "is-" + "".join(char for char in text.lower() if char.isascii() and char.isalnum())[:20]


def _flags(name: str, flags: Sequence[Flag], time: Scale, y: float) -> Markup:
    """One stroke for all flags of a pixel; faults say what they are as long as there is room."""
    kind = "fault" if name == "faults" else "mark"
    parts = [element("text", name, x=LEFT - 8, y=y + 13, class_="label end")]
    free = 0.0
    for x, group in groupby(flags, key=lambda flag: round(time(flag.at))):
        first, *more = group
        says = f"{clock(round(first.at - time.low, 3))}: {first.text}{f', and {len(more)} more' if more else ''}"
        drawn = [element("title", says), element("rect", x=x - 0.5, y=y, width=1.5, height=FLAGS, class_=kind)]
        if kind == "fault" and x >= free:
            text = first.text if len(first.text) <= 70 else first.text[:69] + "\u2026"
            width = SMALLEST_TEXT * len(text)
            end = " end" if x + width > WIDTH else ""
            drawn.append(element("text", text, x=x - 4 if end else x + 4, y=y + 13, class_=f"fault{end}"))
            free = x + 4 if end else x + width + 4
        parts.append(element("g", *drawn))
    return element("g", *parts)


def _plot(plot: Plot, lines: Sequence[tuple[str, list[Point]]], time: Scale, y: float) -> Markup:
    bottom, top = y + plot.height - 4, y + 4
    scale, ticks = value_scale([value for _, points in lines for _, value in points], bottom, top)
    if plot.ticks:
        scale, ticks = Scale(plot.ticks[0] - 1, plot.ticks[-1] + 1, bottom, top), list(plot.ticks)
    parts = [
        element("rect", x=LEFT, y=y, width=WIDTH - LEFT - RIGHT, height=plot.height, class_="frame"),
        element("text", plot.title, x=8, y=y + 14, class_="label"),
        element("text", plot.unit, x=8, y=y + 27, class_="tick"),
    ]
    for tick in ticks:
        parts.append(element("line", x1=LEFT, x2=WIDTH - RIGHT, y1=scale(tick), y2=scale(tick), class_="grid"))
        parts.append(element("text", f"{tick:g}", x=LEFT - 8, y=scale(tick) + 3.5, class_="tick end"))
    for number, (name, points) in enumerate(lines):
        stepped = plot.stepped or name in STEPPED
        parts.append(
            element(
                "g",
                element("title", name),
                element("path", d=_path(points, time, scale, stepped), class_=f"line line{number}"),
                element(
                    "text",
                    name.removeprefix(f"{plot.title.split()[0]} "),
                    x=WIDTH - RIGHT + 6,
                    y=y + 12 + 13 * number,
                    class_=f"legend{number}",
                ),
            )
        )
    return element("g", *parts)


def _path(points: Sequence[Point], time: Scale, scale: Scale, stepped: bool) -> str:
    """The line through the points; the last value holds to the end."""
    path: list[str] = []
    last = ""
    for at, value in thinned(points, time):
        x, y = f"{time(at):g}", f"{scale(value):g}"
        if not path:
            path.append(f"M{x} {y}")
        elif stepped:
            path += [f"H{x}", f"V{y}"] if y != last else []
        else:
            path.append(f"L{x} {y}")
        last = y
    return "".join([*path, f"H{time(time.high):g}"])


def thinned(points: Sequence[Point], time: Scale) -> list[Point]:
    """At most four points a pixel: the first, the lowest, the highest, the last, so that no peak is lost."""
    kept: list[Point] = []
    start = 0
    for end in range(1, len(points) + 1):
        if end == len(points) or int(time(points[end][0])) != int(time(points[start][0])):
            group = points[start:end]
            if len(group) > 4:
                lowest, highest = min(group, key=lambda one: one[1]), max(group, key=lambda one: one[1])
                group = sorted({group[0], lowest, highest, group[-1]})
            kept += group
            start = end
    return kept
