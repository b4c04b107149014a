"""Everything that was broken on purpose, and everything that was reported as broken, in the order of time."""

from __future__ import annotations

from collections.abc import Iterator

from hil_rigs.evidence.report.axis import exact
from hil_rigs.evidence.report.markup import Markup, element, joined, table
from hil_rigs.evidence.report.series import BANDS, INJECTED, TROUBLES, Flag, Series, Track

MOST_ROWS = 200


def injected(series: Series) -> list[Flag]:
    """When each fault began and was over, for the sequence."""
    found = []
    for track in series.tracks.values():
        for name, spans in track.bands.items():
            for span in spans if name.startswith(INJECTED) else ():
                found.append(Flag(span.since, f"fault {span.text}"))
                if span.until is not None and span.until != span.since:
                    found.append(Flag(span.until, f"fault {span.text} is over"))
    return found


def fault_table(series: Series) -> Markup:
    """From, until, what, where, how often; nothing when there were none."""
    began = series.began or 0.0
    rows = sorted((row for name, track in series.tracks.items() for row in _rows(name, track)), key=lambda row: row[:5])
    if not rows:
        return Markup()
    shown = table(
        ("from", "until", "", "what", "connector", "times"),
        (
            (
                exact(since - began),
                _until(since, until, began),
                how,
                element("td", what, class_="free"),
                where,
                times if times > 1 else "",
            )
            for since, _, how, what, where, until, times in rows[:MOST_ROWS]
        ),
        class_="faults",
    )
    more = element("p", f"and {len(rows) - MOST_ROWS} more", class_="quiet") if len(rows) > MOST_ROWS else ""
    return joined((shown, more))


def _until(since: float, until: float | None, began: float) -> str:
    if until is None:
        return "the end"
    return "" if until == since else exact(until - began)


Row = tuple[float, bool, str, str, str, float | None, int]


def _rows(name: str, track: Track) -> Iterator[Row]:
    """Those of one connector; the second value keeps what is injected before what comes of it."""
    where = name or "rig"
    for band, spans in track.bands.items():
        if band not in BANDS:
            how = "injected" if band.startswith(INJECTED) else "reported"
            for span in spans:
                yield span.since, how != "injected", how, span.text, where, span.until, 1
    for kind in TROUBLES:
        groups: dict[str, list[float]] = {}
        for flag in track.flags.get(kind, ()):
            groups.setdefault(flag.text, []).append(flag.at)
        for text, times in groups.items():
            yield times[0], True, "reported", f"{kind}: {text}", where, times[-1], len(times)
