import re
from pathlib import Path

import pytest

from hil_rigs.fleet.plan import FleetPlan, Iso15118, Outage, load_plan, proof_of_scale
from hil_rigs.rig_file import RigFileError


def test_the_proof_of_scale_is_a_day_of_a_thousand_stations() -> None:
    plan = proof_of_scale()
    assert (plan.stations, plan.hours, plan.sessions, plan.session_h) == (1000, 24, 2, 4)
    assert plan.iso15118.stations == 20
    assert (plan.faults.errors, plan.faults.lost_acks) == (0.01, 0.001)
    assert plan.outages == [Outage(at_h=9, hours=6)]


@pytest.mark.parametrize(("hours", "sessions", "session_h"), [(6, 2, 1), (48, 4, 4)])
def test_other_durations_keep_the_proportions(hours: float, sessions: int, session_h: float) -> None:
    plan = proof_of_scale(10, hours)
    assert (plan.sessions, plan.session_h) == (sessions, session_h)


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        ({"hours": 4, "sessions": 2, "session_h": 2}, "sessions: 2 of 2 h need 4.5 h"),
        ({"stations": 3, "iso15118": Iso15118(stations=4)}, "iso15118: 4 stations of 3"),
        ({"outages": [Outage(at_h=20, hours=6)]}, "outages: the last one ends at 26 h"),
        ({"outages": [Outage(at_h=5), Outage(at_h=10)]}, "outages: one begins at 10 h, before the last one is over"),
    ],
)
def test_plans_that_cannot_be(plan: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FleetPlan(**plan)  # type: ignore[arg-type]


def test_the_example_of_the_documentation_is_the_proof_of_scale(tmp_path: Path) -> None:
    page = Path(__file__).resolve().parents[3] / "docs" / "fleet.md"
    (example,) = re.findall(r"```yaml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "fleet.yaml").write_text(example)
    assert load_plan(tmp_path / "fleet.yaml") == proof_of_scale()


def test_a_file_says_everything(tmp_path: Path) -> None:
    file = tmp_path / "fleet.yaml"
    file.write_text(
        "stations: 5\nhours: 12\nsessions: 1\nsession_h: 2.5\nstart: 2026-06-01T00:00:00+02:00\nmeters: rtu\n"
        "iso15118: {stations: 2, loop_s: 30}\nfaults: {errors: 0.2}\noutages: [{at_h: 2, hours: 1}]\n"
    )
    plan = load_plan(file)
    assert (plan.stations, plan.meters, plan.iso15118.loop_s) == (5, "rtu", 30)
    assert plan.faults.errors == 0.2
    assert plan.outages[0].at_h == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stations: 0\n", ":1: stations"),
        ("stations: 3\nstation: 4\n", ':2: station: unknown key: did you mean "stations"?'),
        ("hours: 24\niso15118: {loop_s: 60}\n", ":2: iso15118.loop_s"),
        ("faults: {errors: 0.9}\n", ":1: faults.errors"),
        ("hours: 3\n", ":1: sessions"),
        ("", "empty"),
    ],
)
def test_a_bad_file_is_refused_with_the_line(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "fleet.yaml"
    file.write_text(text)
    with pytest.raises(RigFileError) as caught:
        load_plan(file)
    assert message in str(caught.value)


def test_a_file_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(RigFileError, match="cannot read it"):
        load_plan(tmp_path / "missing.yaml")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(RigFileError, match="not UTF-8"):
        load_plan(tmp_path / "binary")
    (tmp_path / "long").write_bytes(b"#" * 100_000)
    with pytest.raises(RigFileError, match="too many"):
        load_plan(tmp_path / "long")
