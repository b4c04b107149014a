import json
from pathlib import Path

import pytest

from plugbench.__main__ import main

SMALL = "stations: 2\nhours: 1\nsessions: 1\nsession_h: 0.5\nprocesses: 1\nmeters: rtu\nlive_interval_s: 60\n"


def test_a_fleet_file_is_run_and_judged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "fleet.yaml").write_text(SMALL)
    folder = tmp_path / "data"
    assert main(["fleet", "run", str(tmp_path / "fleet.yaml"), "--json", "--folder", str(folder)]) == 0
    said = capsys.readouterr()
    result = json.loads(said.out)
    assert (result["verdict"], result["transactions"], result["signed"], result["kept"]) == ("pass", 2, 8, 8)
    assert said.err.startswith("hour   1: 8 signed, 0 waiting, ")
    assert (folder / "FLEET-00001" / "journal.db").is_file()
    assert main(["fleet", "run", str(tmp_path / "fleet.yaml"), "--folder", str(folder)]) == 2
    assert "not empty" in capsys.readouterr().err


@pytest.mark.soak
def test_two_processes_share_the_stations_and_one_cpo(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["fleet", "run", "--stations", "2", "--hours", "1"]
    assert main([*words, "--processes", "2"]) == 0
    shared = capsys.readouterr().out
    assert "fleet          2 stations, 1 h, 2 processes" in shared
    assert main([*words, "--processes", "1"]) == 0
    hashes = [line for text in (shared, capsys.readouterr().out) for line in text.splitlines() if "hash" in line]
    assert hashes[0] == hashes[1]  # how stations are shared out changes nothing for any of them


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "--stations", "0"], "expected at least one"),
        (["run", "--stations", "20000"], "$.stations"),
        (["run", "--hours", "-1"], "for some time"),
        (["run", "--processes", "1000"], "$.processes"),
        (["run", "missing.yaml"], "cannot read it"),
        (["check", "missing.yaml"], "cannot read it"),
    ],
)
def test_what_cannot_be_run_is_refused(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fleet", *words]) == 2
    assert message in capsys.readouterr().err


def test_a_file_is_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "fleet.yaml").write_text(SMALL)
    assert main(["fleet", "check", str(tmp_path / "fleet.yaml")]) == 0
    assert "good: 2 stations, 1 h, 1 sessions each" in capsys.readouterr().out
