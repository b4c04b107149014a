import re
from html.parser import HTMLParser
from pathlib import Path
from xml.parsers import expat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil_rigs.evidence.report.axis import clock, time_scale, time_ticks, value_scale
from hil_rigs.evidence.report.markup import Markup, element, shown
from hil_rigs.evidence.report.page import page
from hil_rigs.evidence.report.plots import thinned, timeline
from hil_rigs.evidence.report.sequence import sequence
from hil_rigs.evidence.report.series import Series
from tests.hil_rigs.evidence.report.hostile import EVIL, contents, series

TAGS = {
    *("html", "head", "meta", "title", "style", "body", "header", "section", "h1", "h2", "p", "span", "code", "dl"),
    *("dt", "dd", "ul", "li", "table", "thead", "tbody", "tr", "th", "td", "details", "summary", "figure"),
    *("svg", "g", "line", "rect", "path", "text"),
}


class Seen(HTMLParser):
    """Every element and attribute of a page, as a browser would take them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data


def test_hostile_names_stay_text() -> None:
    seen = Seen(page(contents()))
    assert seen.tags <= TAGS
    assert not {name for name in seen.attributes if name.startswith("on") or name in ("src", "href", "style")}
    assert "<script src=http://192.0.2.1/x.js>" in seen.text
    assert not re.search("[\x00\x1b\u202e]", page(contents()))


def test_drawings_are_well_formed() -> None:
    for drawing in (timeline(series()), sequence(contents().story.passages)):
        assert drawing.startswith("<svg")
        expat.ParserCreate().Parse(drawing, True)


def test_a_real_run(sealed_once: Path) -> None:
    text = (sealed_once / "report.html").read_text(encoding="utf-8")
    seen = Seen(text)
    assert seen.tags <= TAGS
    for said in (
        "small",
        "pass",
        "GW-T-12345678-T1",
        "plugbench replay evidence.zip",
        "Vehicle",
        "Token",
        "kWh",
        "cryptography",
    ):
        assert said in seen.text, said
    for row in ("phase", "pilot", "duty", "contactor", "signatures", "voltage", "current", "power", "energy"):
        assert f">{row}</text>" in text, row
    assert "url(" not in text
    assert "@import" not in text


def test_nothing_happened() -> None:
    assert "No events." in timeline(Series())
    assert "Nothing was said." in sequence(())


def test_what_is_no_markup_is_text() -> None:
    assert element("p", "<b>", Markup("<i>")) == "<p>&lt;b&gt;<i></p>"
    assert element("p", class_='"x', data_y=None) == '<p class="&quot;x"></p>'
    assert Markup("<i>") + "<b>" == "<i>&lt;b&gt;"
    assert shown(EVIL).count("<") == 0


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (0.5, "0.5 s"), (59.9, "59.9 s"), (60, "1:00"), (3599.6, "1:00:00"), (90061, "25:01:01")],
)
def test_times(seconds: float, text: str) -> None:
    assert clock(seconds) == text


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=20), st.floats(0.1, 1e7))
def test_axes_hold_every_value(values: list[float], length: float) -> None:
    scale, ticks = value_scale(values, 100, 0)
    assert scale.low <= min(values) <= max(values) <= scale.high
    assert 2 <= len(ticks) <= 12
    time = time_scale(1000.0, 1000.0 + length, 0, 1000)
    assert 1 <= len(time_ticks(time)) <= 14


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(-50, 50)), max_size=400).map(sorted))
def test_no_peak_is_lost(points: list[tuple[float, float]]) -> None:
    kept = thinned(points, time_scale(0, 100, 0, 10))
    assert len(kept) <= 4 * 11
    if points:
        values = [value for _, value in points]
        assert {min(values), max(values)} <= {value for _, value in kept}
        assert (kept[0], kept[-1]) == (points[0], points[-1])
