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


def reseal(archive: Path, **about: object) -> None:
    from hil_rigs.evidence.manifest import decode_manifest
    from hil_rigs.evidence.seal import About, seal

    manifest = decode_manifest((archive.parent / "manifest.json").read_bytes())
    said = {name: getattr(manifest, name) for name in About.__dataclass_fields__}
    seal(archive.parent, About(**(said | about)))


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


SCENARIO = """\
scenario: one
rig: rig.yaml
matrix: {s: [60, 61]}
when:
  - {do: plug}
  - {do: card, id: 04A1B2C3}
  - {do: wait, time: 20 s}
  - {do: inject, fault: line.corrupt, on: bus, times: 2}
  - {do: wait, time: "${s} s"}
then:
  - {expect: wire.power contactor closed=true, claim: ac}
  - {never: wire.modbus failure, claim: ac, ids: [LAB-7]}
  - {count: wire.modbus failure, exactly: 2}
"""


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The folders of both variants of a scenario that fails; not to be changed."""
    place = tmp_path_factory.mktemp("failed")
    (place / "rig.yaml").write_text(RIG, encoding="utf-8")
    (place / "scenario.yaml").write_text(SCENARIO, encoding="utf-8")
    assert main(["run", str(place / "scenario.yaml"), "--out", str(place / "run")]) == 1
    return sorted((place / "run").iterdir())


def test_a_failing_scenario_fails_again_from_its_archive_alone(
    failed: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert len(failed) == 2
    monkeypatch.chdir(tmp_path)
    for folder in failed:
        Path("it.zip").write_bytes((folder / "evidence.zip").read_bytes())
        assert main(["replay", "it.zip", "--json"]) == 0
        row = json.loads(capsys.readouterr().out)
        assert row["reproduced"]
        assert row["verdict"] == {"recorded": "fail", "again": "fail"}
        assert row["failed"] == {"recorded": ["then[1]"], "again": ["then[1]"]}
        assert row["event_hash"]["recorded"] == row["event_hash"]["again"]
    assert [path.name for path in tmp_path.iterdir()] == ["it.zip"]
    assert main(["replay", "it.zip"]) == 0
    assert "failed    then[1], again then[1]" in capsys.readouterr().out


def rewritten(folder: Path, place: Path, file: str, before: str, after: str, **about: object) -> Path:
    """Somebody changed a file and sealed everything again: the archive holds."""
    folder = copytree(folder, place / "rewritten")
    text = (folder / file).read_text(encoding="utf-8")
    assert before in text
    (folder / file).write_text(text.replace(before, after), encoding="utf-8")
    reseal(folder / "evidence.zip", **about)
    assert main(["evidence", "verify", str(folder / "evidence.zip")]) == 0
    return folder / "evidence.zip"


@pytest.mark.parametrize(
    ("file", "before", "after", "about", "place"),
    [
        ("rig.yaml", "seed: 17", "seed: 18", {"seed": 18}, "event "),
        ("scenario.yaml", "time: 20 s", "time: 21 s", {}, "event "),
        ("scenario.yaml", "times: 2", "times: 1", {}, "event "),
        ("scenario.yaml", "never: wire.modbus failure", "expect: wire.modbus failure", {}, "assertion then[1]"),
        ("scenario.yaml", "never: wire.modbus failure", "never: wire.modbus answer", {}, "assertion then[1]"),
        ("scenario.yaml", "  - {count: wire.modbus failure, exactly: 2}\n", "", {}, "assertion then[2]"),
    ],
)
def test_another_seed_or_scenario_is_told_apart(
    failed: list[Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    file: str,
    before: str,
    after: str,
    about: dict[str, object],
    place: str,
) -> None:
    archive = rewritten(failed[0], tmp_path, file, before, after, **about)
    capsys.readouterr()
    assert main(["replay", str(archive), "--json"]) == 1
    row = json.loads(capsys.readouterr().out)
    assert not row["reproduced"]
    assert row["difference"]["place"].startswith(place)
    assert row["difference"]["recorded"] != row["difference"]["again"]


def test_the_digest_of_the_run_tells_before_anything_is_run(
    failed: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also what no event and no verdict shows."""
    digest = (failed[0] / "manifest.sha256").read_text().split()[0]
    archive = rewritten(failed[0], tmp_path, "scenario.yaml", "ids: [LAB-7]", "ids: [LAB-8]")
    assert main(["replay", str(archive), "--digest", digest]) == 2
    assert "not the one noted" in capsys.readouterr().err
    assert main(["replay", str(failed[0] / "evidence.zip"), "--digest", digest]) == 0


def test_evidence_that_does_not_hold_is_not_replayed(archive: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (archive.parent / "rig.yaml").write_text("rig: other")
    assert main(["replay", str(archive.parent)]) == 2
    assert "does not hold" in capsys.readouterr().err


def test_hardware_is_not_started_unasked(archive: Path, capsys: pytest.CaptureFixture[str]) -> None:
    real = RIG.replace("port: virtual, baud", "port: /dev/nowhere, real: true, baud")
    (archive.parent / "rig.yaml").write_text(
        real.replace("mode: virtual, start: 2026-03-29T00:55:00+01:00", "mode: real")
    )
    reseal(archive)
    assert main(["replay", str(archive)]) == 2
    said = capsys.readouterr().err
    assert "not simulated: bus (hardware at /dev/nowhere), m1" in said
    assert "--real" in said
    assert main(["replay", str(archive), "--real"]) == 2
    assert "/dev/nowhere" in capsys.readouterr().err


def test_a_rig_with_limits_is_armed_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "rig.yaml").write_text(RIG + "limits: {max_current_a: 32}\n", encoding="utf-8")
    assert main(["run", str(tmp_path / "rig.yaml"), "--arm", "--out", str(tmp_path / "run")]) == 0
    archive = str(tmp_path / "run" / "evidence.zip")
    assert main(["replay", archive]) == 1
    assert main(["replay", archive, "--arm"]) == 0


def test_a_scenario_of_hardware_is_not_started_unasked(
    failed: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = copytree(failed[0], tmp_path / "run")
    real = RIG.replace("port: virtual, baud", "port: /dev/nowhere, real: true, baud")
    (folder / "rig.yaml").write_text(real.replace("mode: virtual, start: 2026-03-29T00:55:00+01:00", "mode: real"))
    lines = SCENARIO.splitlines(keepends=True)
    (folder / "scenario.yaml").write_text("".join(line for line in lines if "line.corrupt" not in line))  # not real
    reseal(folder / "evidence.zip")
    assert main(["replay", str(folder / "evidence.zip")]) == 2
    assert "not simulated: bus (hardware at /dev/nowhere), m1" in capsys.readouterr().err


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
