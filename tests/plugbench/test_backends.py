"""`plugbench backends` from outside."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from plugbench.__main__ import main


@contextmanager
def up(folder: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    command = [sys.executable, "-m", "plugbench", "backends", "up", "--port", "0", "--json"]
    process = subprocess.Popen(
        [*command, "--data", str(folder), *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with process:
        try:
            assert process.stdout is not None
            yield process, json.loads(process.stdout.readline())
        finally:
            process.terminate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serves_until_told_to_stop(tmp_path: Path, number: int) -> None:
    trace = tmp_path / "trace.jsonl"
    with up(tmp_path, "--only", "token,pcp", "--trace", str(trace)) as (process, facts):
        assert facts["modules"] == ["token", "pcp"]
        client = json.loads(Path(facts["clients_file"]).read_text())["clients"][1]
        body = {
            "client_id": client["client_id"],
            "client_secret": client["client_secret"],
            "audience": facts["audience"],
            "grant_type": "client_credentials",
        }
        token = httpx.post(f"{facts['url']}/oauth/token", json=body).json()["access_token"]
        url = f"{facts['url']}/v1/oem/provCerts/PLBPROVCERT000001"
        answer = httpx.get(url, headers={"Authorization": f"Bearer {token}"})
        assert answer.json()["errorMessages"] == ["The OEM provisioning certificate with given PCID is not found."]
        (line,) = map(json.loads, trace.read_text().splitlines())  # while it runs
        assert (line["kind"], line["data"]["client"], line["data"]["status"]) == ("pool.request", "oem", 404)
        assert not [secret for secret in (token, client["client_secret"]) if secret in trace.read_text()]
        process.send_signal(number)
        assert process.wait(30) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_what_is_killed_starts_again(tmp_path: Path) -> None:
    with up(tmp_path, "--only", "token") as (process, first):
        process.kill()
        process.wait(30)
    with up(tmp_path, "--only", "token") as (_, second):
        assert second["clients"] == first["clients"]


def test_mistakes_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["backends", "up", "--only", "xyz", "--data", str(tmp_path / "d")]) == 2
    assert "no module xyz" in capsys.readouterr().err
    assert main(["backends", "up", "--trace", str(tmp_path / "no" / "t"), "--data", str(tmp_path / "d")]) == 2
    assert "trace file" in capsys.readouterr().err
