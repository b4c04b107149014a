import json
from pathlib import Path
from shutil import copytree

import pytest

from plugbench.__main__ import main
from tests.plugbench.test_replay import run


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(tmp_path_factory.mktemp("run"))[1]


def test_a_run_ends_with_its_digest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, archive = run(tmp_path)
    said = capsys.readouterr().out
    digest = said.split("digest ")[1].split()[0]
    assert json.loads((archive.parent / "manifest.json").read_text())["events"]["hash"] in said
    for path in (archive, archive.parent):
        assert main(["evidence", "verify", str(path), "--digest", digest]) == 0
        assert "HOLDS" in capsys.readouterr().out


def test_what_was_checked_is_said(sealed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evidence", "verify", str(sealed), "--json"]) == 0
    row = json.loads(capsys.readouterr().out)
    assert (row["holds"], row["verdict"], row["records"], row["problems"]) == (True, "pass", 3, [])
    assert (row["manifest"]["rig"], row["manifest"]["seed"], row["manifest"]["clock"]) == ("small", 17, "virtual")


def test_a_change_is_exit_code_1(sealed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    octets = bytearray(sealed.read_bytes())
    octets[len(octets) // 2] ^= 1
    (tmp_path / "changed.zip").write_bytes(octets)
    assert main(["evidence", "verify", str(tmp_path / "changed.zip")]) == 1
    assert "DOES NOT HOLD" in capsys.readouterr().out


def test_another_digest_or_key_is_exit_code_1(sealed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evidence", "verify", str(sealed), "--digest", "00"]) == 1
    own = sealed.parent / "public_key.pem"
    assert main(["evidence", "verify", str(sealed), "--key-file", str(own)]) == 0
    assert main(["evidence", "verify", str(sealed), "--key", "rubbish"]) == 2
    assert "not readable" in capsys.readouterr().err


def test_a_hostile_name_does_not_reach_the_terminal(
    sealed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = copytree(sealed.parent, tmp_path / "run")
    (folder / "\x1b[2J").touch()
    assert main(["evidence", "verify", str(folder)]) == 1
    assert "\x1b" not in capsys.readouterr().out


def test_nothing_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evidence", "verify", str(tmp_path / "none.zip")]) == 2
    assert main(["evidence", "verify", str(tmp_path)]) == 2
    assert "manifest.json" in capsys.readouterr().err
