from contextlib import suppress
from pathlib import Path

import pytest

from hil_rigs.evidence.of_scenario import finish_scenario, scenario_of
from hil_rigs.evidence.seal import Sealed
from hil_rigs.evidence.source import open_source
from hil_rigs.evidence.verify import check_evidence
from hil_rigs.scenario.scenario_file import load_scenarios
from hil_rigs.scenario.scenario_run import run_scenario
from hil_rigs.trace_file import TraceFile
from ports.errors import RigError
from tests.hil_rigs.evidence.conftest import SMALL, STARTED

SCENARIO = """\
scenario: small
title: one session
rig: rig.yaml
when:
  - {do: plug}
  - {do: card, id: "04A1B2C3D4E5F6"}
  - {do: wait, time: 2 min}
  - {do: unplug}
  - {do: wait, time: 10 s}
then:
  - {expect: "wire.power contactor closed=true", says: the contactor closes, ids: ["IEC 61851-1 A.6 seq 4"]}
  - {check: store.pagination_gapless}
"""


def sealed(place: Path, scenario: str = SCENARIO, rig: str = SMALL, base: Path | None = None) -> Sealed:
    (base or place / "rig.yaml").write_text(rig, encoding="utf-8")
    (place / "scenario.yaml").write_text(scenario, encoding="utf-8")
    [file] = load_scenarios(place / "scenario.yaml")
    folder = place / "run"
    folder.mkdir()
    with TraceFile(folder / "events.jsonl") as tracer:
        result = run_scenario(file, folder, tracer, lambda _: None)
    return finish_scenario(folder, file, result, STARTED)


@pytest.mark.parametrize(
    ("before", "after", "verdict"),
    [
        ("", "", "pass"),
        ("contactor closed=true", "contactor closed=true #9", "fail"),
        ("{do: wait, time: 10 s}", "{do: until, seen: 'meter failure', within: 10 s}", "inconclusive"),
    ],
)
def test_a_scenario_is_evidence(tmp_path: Path, before: str, after: str, verdict: str) -> None:
    archive = sealed(tmp_path, SCENARIO.replace(before, after)).archive
    checked = check_evidence(archive).require()
    assert checked.verdict == verdict
    assert checked.manifest is not None
    assert (checked.manifest.scenario, checked.manifest.rig) == ("small", "small")
    assert {"scenario.yaml", "rig.yaml", "assertions.json"} <= set(checked.manifest.files)
    assert checked.records == 2
    report = (archive.parent / "report.html").read_text(encoding="utf-8")
    assert "the contactor closes" in report
    written = (archive.parent / "report.md").read_text(encoding="utf-8")
    assert "| transaction |" not in written
    assert "| the contactor closes: wire.power contactor closed=" in written
    assert "| pass | store.pagination_gapless | pages and hash chain of every meter have no gap |" in written
    assert "IEC 61851-1 A.6 seq 4" in report


def test_a_rig_that_does_not_come_up_is_evidence_too(tmp_path: Path) -> None:
    broken = SMALL.replace("{kind: file_key, curve", "{kind: file_key, file: /proc/none/key.pem, curve")
    archive = sealed(tmp_path, rig=broken).archive
    assert check_evidence(archive).require().verdict == "error"


def test_evidence_says_what_to_run_again(tmp_path: Path) -> None:
    place = tmp_path / "deep/er"
    (place / "rigs").mkdir(parents=True)
    (tmp_path / "deep/rigs").mkdir()
    archive = sealed(place, SCENARIO.replace("rig.yaml", "../rigs/base.yaml"), base=place / "../rigs/base.yaml").archive
    manifest = check_evidence(archive).require().manifest
    assert manifest is not None
    with open_source(archive) as source:
        file, defect = scenario_of(source, manifest, tmp_path / "again")
    assert (file.name, file.rig.rig.rig, defect) == ("small", "small", None)


@pytest.mark.parametrize(
    "rig", ["../../../../../../x.yaml", "/etc/x.yaml", "scenario.yaml", "a/../../x.yaml/..", "a/b"]
)
def test_a_rig_is_written_inside_or_not_at_all(tmp_path: Path, rig: str) -> None:
    archive = sealed(tmp_path).archive
    manifest = check_evidence(archive).require().manifest
    assert manifest is not None
    (archive.parent / "scenario.yaml").write_text(SCENARIO.replace("rig.yaml", rig), encoding="utf-8")
    before = {path for path in tmp_path.rglob("*") if "again" not in path.parts}
    with suppress(RigError), open_source(archive.parent) as source:
        scenario_of(source, manifest, tmp_path / "again")
    assert {path for path in tmp_path.rglob("*") if "again" not in path.parts} == before
    assert not Path("/etc/x.yaml").exists()
