import itertools
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.parsers import expat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil_rigs.evidence.assertions import Assertion
from hil_rigs.evidence.event_hash import Event
from hil_rigs.evidence.report.axis import Scale, clock, exact, time_scale, time_ticks, time_unit, value_scale
from hil_rigs.evidence.report.bands import LEFT, LETTER, WIDTH, band, names_below, strokes
from hil_rigs.evidence.report.faults import fault_table, injected
from hil_rigs.evidence.report.markup import Markup, element, shown
from hil_rigs.evidence.report.page import page
from hil_rigs.evidence.report.plots import thinned, timeline
from hil_rigs.evidence.report.sequence import sequence
from hil_rigs.evidence.report.series import Flag, Series, Span
from hil_rigs.story.step import Lane, Passage, Step
from tests.hil_rigs.evidence.report.hostile import EVIL, contents, series

TAGS = {
    *("html", "head", "meta", "title", "style", "body", "header", "section", "h1", "h2", "p", "span", "code", "dl"),
    *("dt", "dd", "ul", "li", "table", "thead", "tbody", "tr", "th", "td", "details", "summary", "figure"),
    *("svg", "g", "line", "rect", "path", "text", "b"),
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
    for drawings in (timeline(series()), sequence(contents().story.passages, marks=injected(series()))):
        assert drawings.startswith("<svg")
        expat.ParserCreate().Parse(f"<all>{drawings}</all>", True)


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


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0.000 s"), (0.128, "0.128 s"), (61.2379, "1:01.238"), (3723.5, "1:02:03.500")]
)
def test_exact_times(seconds: float, text: str) -> None:
    assert exact(seconds) == text


@pytest.mark.parametrize(
    ("length", "unit", "last"), [(12, "s", "12"), (171, "min:s", "2:45"), (30_000, "h:min:s", "8:00:00")]
)
def test_all_times_of_an_axis_have_one_unit(length: float, unit: str, last: str) -> None:
    scale = time_scale(1000.0, 1000.0 + length, 0, 1000)
    assert time_unit(scale) == unit
    assert time_ticks(scale)[-1][1] == last


TIME = Scale(0.0, 100.0, LEFT, WIDTH - 76)


def drawn(markup: str) -> list[tuple[float, float, str]]:
    """Left and right end of every text, and the text."""
    found = []
    for x, kind, text in re.findall(r'<text x="([-\d.]+)" y="[^"]*" class="([^"]*)">([^<]*)', markup):
        width, at = LETTER * len(text), float(x)
        left = at - width if kind.endswith("end") else at - width / 2 if "middle" in kind else at
        found.append((left, left + width, text))
    return found


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 3), st.sampled_from(["PLUG", "AUTH", "STOP"])), max_size=30))
def test_names_of_short_phases_do_not_overlap(phases: list[tuple[float, float, str]]) -> None:
    spans = [Span(since, since + length, text) for since, length, text in sorted(phases)]
    texts = sorted(drawn(names_below(spans, TIME, 0.0) or ""))
    assert all(one[1] <= other[0] for one, other in itertools.pairwise(texts))
    assert all(right <= WIDTH for _, right, _ in texts)


@given(st.lists(st.floats(0, 100), min_size=1, max_size=40).map(sorted), st.integers(1, 200))
def test_what_a_fault_was_stands_clear_of_its_strokes(times: list[float], length: int) -> None:
    markup = strokes("line.failure", [Flag(at, "x" * length) for at in times], TIME, 0.0, is_fault=True)
    for left, right, _ in drawn(markup)[1:]:  # after the name of the row
        assert LEFT <= left < right <= WIDTH
        assert not any(left < TIME(at) < right for at in times)


SPANS = st.lists(st.tuples(st.floats(0, 100), st.floats(0, 30), st.integers(1, 60)), min_size=1, max_size=12)


@given(SPANS)
def test_names_of_faults_stay_clear_of_each_other_and_of_the_row_s_name(faults: list[tuple[float, float, int]]) -> None:
    spans, after = [], 0.0
    for since, length, letters in sorted(faults):
        spans.append(Span(max(since, after), max(since, after) + length, "x" * letters))
        after = max(since, after) + length
    row, *names = drawn(band("fault x", spans, TIME, 0.0, said="injected", is_fault=True))
    assert all(one[1] <= other[0] + 1 for one, other in itertools.pairwise([row, *sorted(names)]))
    assert all(right <= WIDTH for _, right, _ in names)


def test_a_single_fault_always_has_its_name() -> None:
    for since in range(0, 101, 5):
        for length in (0, 1, 30, 100):
            text = "cable.InvalidVehicleMode.draws_without_s2 on ev"
            markup = band("fault x", [Span(since, since + length, text)], TIME, 0.0, said="injected", is_fault=True)
            assert drawn(markup)[1][2] == text


@given(st.lists(st.tuples(st.sampled_from(Lane), st.sampled_from(Lane), st.integers(1, 200)), min_size=1, max_size=9))
def test_texts_of_a_sequence_stay_inside(said: list[tuple[Lane, Lane, int]]) -> None:
    steps = [Step(1.0, "1", one, other, "W" * length, "OCPP", "W" * length) for one, other, length in said]
    for left, right, _ in drawn(sequence([Passage((step,), 1, 1.0) for step in steps])):
        assert left >= 0
        assert right <= WIDTH


def test_faults_are_listed_with_what_came_of_them() -> None:
    found = Series()
    for at, kind, source, data in (
        (0.0, "session.state", "1", {"phase": "CHARGE"}),
        (61.25, "fault.begun", "bus", {"fault": "line.corrupt", "times": None}),
        (62.0, "line.failure", "bus", {"kind": "crc"}),
        (63.0, "line.failure", "bus", {"kind": "crc"}),
        (64.0, "fault.over", "bus", {"fault": "line.corrupt", "times": None}),
    ):
        found.see(Event(at, "x", kind, source, data))
    text = Seen(fault_table(found)).text
    assert "1:01.2501:04.000injectedline.corrupt on busrig" in text
    assert "1:02.0001:03.000reportedline.failure: crcrig2" in text
    assert fault_table(Series()) == ""
    said = Seen(sequence(contents().story.passages, 0.0, injected(found))).text
    assert "fault line.corrupt on bus" in said
    assert "fault line.corrupt on bus is over" in said


def test_what_failed_stands_first_and_by_claim_and_conformance() -> None:
    said = {"channel": "wire.v2g", "expected": "ResponseCode=OK", "observed": "FAILED", "place": "/home/me/it.yaml:3"}
    made = [
        Assertion(id="then[0]", claim="pnc", ids=("V2G2-902", "CertificateInstallation_001"), verdict="fail", **said),
        Assertion(id="then[1]", claim="ac", ids=("V2G2-902",), verdict="pass", **said),
    ]
    text = Seen(page(contents(assertions=made, title="A contract is installed"))).text
    assert "A contract is installed" in text
    assert "1 pass, 1 fail" in text
    assert (
        "fail then[0] (pnc, V2G2-902, CertificateInstallation_001): expected ResponseCode=OK, observed FAILED" in text
    )
    assert text.index("Findings") < text.index("Assertions")
    assert "pncfail1then[0]" in text
    assert "V2G2-902fail11then[0] then[1]" in text
    assert "it.yaml:3" in text
    assert "/home/me" not in text


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
