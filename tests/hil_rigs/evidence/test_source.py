"""Where evidence is read from."""

from __future__ import annotations

from pathlib import Path

import pytest

from plugbench.__main__ import main


@pytest.mark.parametrize("command", [("evidence", "verify"), ("replay",)])
def test_a_folder_of_runs_is_no_run_and_says_where_they_are(
    command: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main((*command, str(tmp_path))) == 2
    assert "no run was left here (no manifest.json)\n" in capsys.readouterr().err
    for number in range(12):
        run = tmp_path / f"{number:02}-small"
        run.mkdir()
        (run / "manifest.json").touch()
    assert main((*command, str(tmp_path))) == 2
    said = capsys.readouterr().err
    assert f"; there are runs in {tmp_path}/00-small, {tmp_path}/01-small, " in said
    assert said.endswith(f"{tmp_path}/09-small and 2 more\n")
