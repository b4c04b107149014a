"""The timeline of a run: bands, strokes and plots of every connector, a drawing for each, all on one axis of time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hil_rigs.evidence.report.axis import Scale, time_scale, time_ticks, time_unit, value_scale
from hil_rigs.evidence.report.bands import BAND, FLAGS, LEFT, NAMES, RIGHT, WIDTH, band, names_below, shades, strokes
from hil_rigs.evidence.report.markup import Markup, element, joined
from hil_rigs.evidence.report.series import BANDS, INJECTED, TROUBLES, Point, Series, Track

GAP = 6
TOP = 44.0  # pixels above the first row: axis and title


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
    # IEC 61851-1 table A.2: the levels of states A, B, C, D, E, F
    Plot("pilot level", "V", ("pilot high", "pilot low"), 104, ticks=(-12, 0, 3, 6, 9, 12)),
    Plot("voltage", "V", ("voltage L1", "voltage L2", "voltage L3"), 64),
    Plot("current", "A", ("current L1", "current L2", "current L3"), 72),
    Plot("power", "kW", ("power",), 72),
    Plot("energy", "kWh", ("energy plant", "energy meter"), 84, stepped=False),
)
FLAG_ROWS = (*TROUBLES, "signatures", "deliveries", "V2G messages")
STEPPED = frozenset({"energy meter"})


def timeline(series: Series) -> Markup:
    """The drawings, one below the other; nothing when there were no events."""
    if series.began is None:
        return element("p", "No events.")
    time = time_scale(series.began, series.ended, LEFT, WIDTH - RIGHT)
    tracks = {f"connector {name}": track for name, track in sorted(series.tracks.items()) if name}
    rig = series.tracks.get("", Track())
    if len(tracks) == 1:
        (name, track), *_ = tracks.items()
        tracks = {name: _both(track, rig)}
    else:
        tracks["whole rig"] = rig
    return joined(
        _drawing(name, track, time) for name, track in tracks.items() if any((track.values, track.bands, track.flags))
    )


def _both(one: Track, other: Track) -> Track:
    """What belongs to the only connector, and what belongs to none."""
    return Track(
        one.values,
        {name: sorted([*one.bands.get(name, ()), *other.bands.get(name, ())], key=lambda span: span.since)
         for name in {**one.bands, **other.bands}},
        {name: sorted([*one.flags.get(name, ()), *other.flags.get(name, ())], key=lambda flag: flag.at)
         for name in {**one.flags, **other.flags}},
    )  # fmt: skip


def _drawing(title: str, track: Track, time: Scale) -> Markup:
    rows, y = [], TOP
    for height, drawn in _rows(track, time, y):
        rows.append(drawn)
        y += height + GAP
    grid = joined(
        joined(
            (
                element("line", x1=time(at), x2=time(at), y1=22, y2=y, class_="grid"),
                element("text", text, x=time(at), y=16, class_="tick middle"),
                element("text", text, x=time(at), y=y + 12, class_="tick middle"),
            )
        )
        for at, text in time_ticks(time)
    )
    begun = joined(
        element("line", x1=time(span.since), x2=time(span.since), y1=TOP, y2=y, class_="faultline")
        for name, spans in track.bands.items()
        for span in spans
        if name.startswith(INJECTED)
    )
    said = f"time, {time_unit(time)}"
    axis = joined(element("text", said, x=LEFT - 20, y=at, class_="tick end") for at in (16, y + 12))
    head = element("text", title, x=4, y=34, class_="title")
    return element(
        "svg", *shades(track.bands.get("phase", ()), time, TOP, y), grid, begun, axis, head, *rows,
        viewBox=f"0 0 {WIDTH} {y + 22:g}", width=WIDTH, height=f"{y + 22:g}", role="img",
        aria_label=f"Timeline, {title}: phases, faults, pilot, voltage, current, power, energy", class_="timeline",
    )  # fmt: skip


def _rows(track: Track, time: Scale, y: float) -> Iterator[tuple[float, Markup]]:
    """Height and drawing of each row, from `y` downwards."""
    others = sorted((spans[0].since, name) for name, spans in track.bands.items() if spans and name not in BANDS)
    for name in (*BANDS, *(name for _, name in others)):
        if spans := track.bands.get(name):
            is_fault = name not in BANDS
            said = "" if not is_fault else "injected" if name.startswith(INJECTED) else "reported"
            yield BAND, band(name, spans, time, y, said=said, is_fault=is_fault)
            y += BAND + GAP
            if name == "phase" and (names := names_below(spans, time, y - 2)):
                yield NAMES - GAP, names
                y += NAMES
    for name in FLAG_ROWS:
        if flags := track.flags.get(name):
            yield FLAGS, strokes(name, flags, time, y, is_fault=name in TROUBLES)
            y += FLAGS + GAP
    for plot in PLOTS:
        lines = [(name, track.values[name]) for name in plot.names if track.values.get(name)]
        lines = [line for line in lines if any(value for _, value in line[1])] or lines[:1]  # phases that are not there
        if lines:
            yield plot.height, _plot(plot, lines, time, y)
            y += plot.height + GAP


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
    right = WIDTH - RIGHT + 6
    for number, (name, points) in enumerate(lines):
        stepped = plot.stepped or name in STEPPED
        middle = y + 12 + 13 * number
        shown = name.removeprefix(f"{plot.title.split()[0]} ")
        parts.append(
            element(
                "g",
                element("title", name),
                element("path", d=_path(points, time, scale, stepped), class_=f"line line{number}"),
                element("line", x1=right, x2=right + 18, y1=middle - 4, y2=middle - 4, class_=f"line line{number}"),
                element("text", shown, x=right + 22, y=middle, class_=f"legend{number}"),
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
