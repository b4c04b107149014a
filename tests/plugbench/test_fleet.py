import json
import subprocess
import sys
from pathlib import Path
from subprocess import PIPE
from typing import Any

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


def in_full(*words: str) -> dict[str, Any]:
    """Run as users do: processes of a fleet know nothing of what tests change in this one."""
    ran = subprocess.run([sys.executable, "-m", "plugbench", "fleet", "run", *words, "--json"], stdout=PIPE, check=True)
    return json.loads(ran.stdout)  # type: ignore[no-any-return]


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_two_processes_share_the_stations_one_cpo_and_one_set_of_pools(tmp_path: Path) -> None:
    (tmp_path / "fleet.yaml").write_text(SMALL + "iso15118: {stations: 2}\n")
    two, one = (in_full(str(tmp_path / "fleet.yaml"), "--processes", processes) for processes in ("2", "1"))
    assert (two["processes"], one["processes"]) == (2, 1)
    assert (two["contracts"], one["contracts"]) == (2, 2)
    assert two["event_hash"] == one["event_hash"]  # how stations are shared out changes none of them


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_the_proof_of_scale() -> None:
    """In full, but for its time: other work on the machine is no failure (`make bench ONLY=fleet` looks at that)."""
    result = in_full("--processes", "2")
    assert (result["stations"], result["hours"], result["transactions"], result["billed"]) == (1000, 24, 2000, 2000)
    # IEC 61851: begin, every 15 minutes, no more current, end; by ISO 15118 one more, see docs/fleet.md
    assert result["signed"] == result["kept"] == 1960 * 18 + 40 * 19
    assert (result["lost"], result["doubled"], result["gaps"], result["problem_count"]) == (0, 0, 0, 0)
    assert (result["contracts"], result["by_contract"]) == (20, 40)
    assert result["handed_out"] >= 20
    faults = result["faults"]
    assert min(faults[name] for name in ("call errors", "refused connections", "lost acks")) > 0
    assert result["repeated"] > 0


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
