"""`plugbench rig check`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from plugbench.__main__ import main

ROOT = Path(__file__).parents[2]
FIRST = str(ROOT / "rigs/first_session.yaml")
REAL = str(ROOT / "rigs/real_hardware.yaml")


def test_a_good_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rig", "check", FIRST]) == 0
    out = capsys.readouterr().out
    assert "first_session.yaml: good" in out
    assert "a line simulated by this run" in out


def test_a_port_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rig", "check", FIRST, REAL]) == 2
    captured = capsys.readouterr()
    assert "cannot run here" in captured.out
    assert "real_hardware.yaml:11: resources.bus.port: /dev/serial/by-id/" in captured.err
    assert "is not there; ports of this machine:" in captured.err


def test_a_broken_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("rig: x\nclok: {}\n")
    assert main(["rig", "check", str(path)]) == 2
    assert f'{path}:2: clok: unknown key: did you mean "clock"?' in capsys.readouterr().err


def test_json_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("rig: x\nclok: {}\n")
    assert main(["rig", "check", "--json", FIRST, str(path)]) == 2
    good, bad = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert good["good"] is True
    assert good["rig"] == "first-session"
    assert {"name": "ev", "kind": "vehicle", "where": "virtual", "why": "simulated by this run"} in good["resources"]
    assert bad["good"] is False
    assert bad["problems"][0]["line"] == 1
    assert {problem["place"] for problem in bad["problems"]} == {"", "clok"}


def test_the_schema_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rig", "schema"]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == "Plugbench rig file"
