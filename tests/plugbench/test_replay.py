import json
import os
import subprocess
import sys
from pathlib import Path
from shutil import copytree

import pytest

from plugbench.__main__ import main

RIGS = Path(__file__).parents[2] / "rigs"

RIG = """\
rig: small
clock: {mode: virtual, start: 2026-03-29T00:55:00+01:00}
seed: 17
resources:
  bus:   {kind: serial, port: virtual, baud: 9600, format: 8N1}
  m1:    {kind: meter, model: eastron_sdm630, bus: bus, unit: 1, serial_number: "12345678"}
  key:   {kind: file_key, curve: secp256r1}
  board: {kind: charger, port: virtual, max_current_a: 32, phases: 3}
  ev:    {kind: vehicle, battery_kwh: 60, soc: 20, max_current_a: 32, phases: 3}
  cpo:   {kind: cpo.rest, url: embedded}
gateway:
  serial_number: GW-T
  connectors:
    - {id: "1", evse_id: "DE*PLB*E0001", board: board, meter: m1, signer: key, max_current_a: 32}
  local_list: [{id: 04A1B2C3, type: ISO14443}]
  backends: [cpo]
sessions:
  - {connector: "1", vehicle: ev, identification: 04A1B2C3, charge_for_s: 60}
"""


def run(place: Path, text: str = RIG) -> tuple[int, Path]:
    (place / "rig.yaml").write_text(text, encoding="utf-8")
    return main(["run", str(place / "rig.yaml"), "--out", str(place / "run")]), place / "run" / "evidence.zip"


@pytest.fixture(scope="module")
def passed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive of a run that passed; not to be changed."""
    code, archive = run(tmp_path_factory.mktemp("passed"))
    assert code == 0
    return archive


@pytest.fixture
def archive(passed: Path, tmp_path: Path) -> Path:
    """A copy, in its folder."""
    return copytree(passed.parent, tmp_path / "run") / passed.name


def reseal(archive: Path) -> None:
    from hil_rigs.evidence.manifest import decode_manifest
    from hil_rigs.evidence.seal import About, seal

    manifest = decode_manifest((archive.parent / "manifest.json").read_bytes())
    names = ("run", "rig", "seed", "clock", "started", "verdict", "signer", "is_hsm", "resources", "versions")
    seal(archive.parent, About(**{name: getattr(manifest, name) for name in names}))


def test_a_run_is_reproduced(archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", str(archive), "--json"]) == 0
    row = json.loads(capsys.readouterr().out)
    assert row["reproduced"]
    assert row["event_hash"]["recorded"] == row["event_hash"]["again"]
    assert main(["replay", str(archive.parent), "--out", str(tmp_path / "again")]) == 0
    assert "reproduced: small-" in capsys.readouterr().out
    assert main(["evidence", "verify", str(tmp_path / "again")]) == 0


def test_a_failing_run_fails_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, archive = run(tmp_path, RIG.replace("identification: 04A1B2C3", "identification: 04FFFFFF"))
    assert code == 1
    capsys.readouterr()
    assert main(["replay", str(archive), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["verdict"] == {"recorded": "fail", "again": "fail"}


def test_the_first_difference_is_shown(archive: Path, capsys: pytest.CaptureFixture[str]) -> None:
    events = archive.parent / "events.jsonl"
    events.write_text(events.read_text(encoding="utf-8").replace('"state":"C"', '"state":"D"', 1), encoding="utf-8")
    reseal(archive)
    capsys.readouterr()
    assert main(["replay", str(archive)]) == 1
    said = capsys.readouterr().out
    assert "NOT REPRODUCED" in said
    assert '"state":"D"' in said.split("recorded  ")[1].split("again")[0]
    assert '"state":"C"' in said.split("again     ")[1]


def test_a_scenario_is_reproduced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "rig.yaml").write_text(RIG, encoding="utf-8")
    (tmp_path / "scenario.yaml").write_text(
        "scenario: one\nrig: rig.yaml\nmatrix: {s: [5]}\n"
        'when: [{do: plug}, {do: card, id: 04A1B2C3}, {do: wait, time: "${s} s"}]\n'
        "then: [{never: wire.power contactor closed=true}]\n",
        encoding="utf-8",
    )
    assert main(["run", str(tmp_path / "scenario.yaml"), "--out", str(tmp_path / "run")]) == 1
    capsys.readouterr()
    for folder in sorted((tmp_path / "run").iterdir()):
        assert main(["replay", str(folder / "evidence.zip"), "--json"]) == 0
        row = json.loads(capsys.readouterr().out)
        assert row["reproduced"]
        assert row["verdict"] == {"recorded": "fail", "again": "fail"}


def test_evidence_that_does_not_hold_is_not_replayed(archive: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (archive.parent / "rig.yaml").write_text("rig: other")
    assert main(["replay", str(archive.parent)]) == 2
    assert "does not hold" in capsys.readouterr().err


def test_hardware_is_not_started_unasked(archive: Path, capsys: pytest.CaptureFixture[str]) -> None:
    real = RIG.replace("port: virtual, baud", "port: /dev/ttyS0, real: true, baud")
    (archive.parent / "rig.yaml").write_text(
        real.replace("mode: virtual, start: 2026-03-29T00:55:00+01:00", "mode: real")
    )
    reseal(archive)
    assert main(["replay", str(archive)]) == 2
    said = capsys.readouterr().err
    assert "not simulated: bus (hardware at /dev/ttyS0), m1" in said
    assert "--real" in said


def event_hash(rig: Path, out: Path, hash_seed: int) -> str:
    """Of a run in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "plugbench", "run", str(rig), "--out", str(out), "--json"],
        env={**os.environ, "PYTHONHASHSEED": str(hash_seed)},
        capture_output=True,
        text=True,
        check=True,
        cwd=RIGS.parent,
    )
    row = next(row for row in map(json.loads, done.stdout.splitlines()) if row["event"] == "evidence")
    return str(row["event_hash"])


def test_another_process_gives_the_same_hash(archive: Path, tmp_path: Path) -> None:
    own = json.loads((archive.parent / "manifest.json").read_text())["events"]["hash"]
    assert event_hash(archive.parent / "rig.yaml", tmp_path / "other", 4711) == own


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize("rig", ["eight_hours", "iso15118_ac"])
def test_five_processes_give_one_hash(rig: str, tmp_path: Path) -> None:
    assert len({event_hash(RIGS / f"{rig}.yaml", tmp_path / str(seed), seed) for seed in range(5)}) == 1
