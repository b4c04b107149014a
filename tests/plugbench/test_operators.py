"""`plugbench operators` from outside: a station that we did not write charges, the customer's app has the bill."""

from __future__ import annotations

import asyncio
import base64
import json
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from backends.operators.connections import PCID
from ocmf.keys import decode_public_key
from plugbench.__main__ import main
from tests.backends.operators.foreign_station import bills, charge, secret_of
from tests.backends.operators.sessions import Station
from tests.plugbench.test_backends import up as backends_up


@contextmanager
def up(folder: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    command = [sys.executable, "-m", "plugbench", "operators", "up", "--port", "0", "--json", "--folder", str(folder)]
    process = subprocess.Popen([*command, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with process:
        try:
            assert process.stdout is not None
            yield process, json.loads(process.stdout.readline())
        finally:
            process.terminate()


def signing_request() -> str:
    """Of the demo's vehicle, for a key of its own."""
    names = [(NameOID.COMMON_NAME, PCID), (NameOID.ORGANIZATION_NAME, "Plugbench")]
    subject = x509.Name([x509.NameAttribute(kind, value) for kind, value in names])
    key = ec.generate_private_key(ec.SECP256R1())
    made = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return base64.b64encode(made.public_bytes(Encoding.DER)).decode()


def ended(process: subprocess.Popen[str]) -> None:
    """It stops when it is told to, and has nothing to complain of."""
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    assert process.stderr is not None
    assert process.stderr.read() == ""


@pytest.mark.foreign
def test_from_the_first_start_to_the_bill(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, meter = tmp_path / "operators", Station(evse="DE*PLC*E0001")
    (tmp_path / "key.pem").write_text(decode_public_key(meter.public_key).pem())
    with backends_up(tmp_path / "pools", "--allow-loopback") as (_, pools):
        where = ("--pools", pools["url"], "--clients", pools["clients_file"])
        with up(folder, *where, "--trace", str(tmp_path / "trace.jsonl")) as (process, facts):
            assert sorted(facts) == ["connections_file", "cpo", "hub", "mo", "oem"]
            said = asyncio.run(charge(facts["cpo"]["stations"][0], meter, facts["mo"]["card"]))
            assert said == ["Accepted"] * 3
            # the key comes last: what waited for it is judged and billed
            known = [
                "--gateway",
                meter.gateway,
                "--meter",
                meter.meter,
                "--folder",
                str(folder),
                "--since",
                "2026-01-01",
            ]
            assert main(["operators", "key-add", str(tmp_path / "key.pem"), *known]) == 0
            (bill,) = asyncio.run(bills(facts["mo"]))
            assert (bill["energy_kwh"], bill["emaid"]) == ("2.500", facts["mo"]["emaid"])
            token = secret_of(facts["cpo"]["api_token_file"])
            header = {"Authorization": f"Bearer {token}"}
            stations = httpx.get(f"{facts['cpo']['api_url']}/stations", headers=header, trust_env=False).json()
            assert [one["identity"] for one in stations["stations"]] == ["CP1"]
            header = {"Authorization": f"Bearer {secret_of(facts['oem']['token_file'])}"}
            with httpx.Client(base_url=facts["oem"]["url"], headers=header, trust_env=False, timeout=20) as vehicle:
                assert vehicle.put("/certificate", json={"request": signing_request()}).status_code == 200
                words = ["contract-publish", facts["mo"]["emaid"], "--pcid", PCID, "--folder", str(folder)]
                assert main(["operators", *words]) == 0
                while not (listed := vehicle.get("/contracts").json()["contracts"]):  # the pools call, it fetches
                    time.sleep(0.05)
            assert [one["emaid"] for one in listed] == [facts["mo"]["emaid"]]
            ended(process)
    private = [file for file in folder.rglob("*") if file.is_file() and stat.S_IMODE(file.stat().st_mode) & 0o077]
    assert [file.name for file in private if not file.name.endswith(("-wal", "-shm"))] == []
    shown = capsys.readouterr().out + (tmp_path / "trace.jsonl").read_text() + json.dumps(facts)
    shown += (folder / "connections.json").read_text()
    secrets = [file.read_text().strip() for file in (folder / "secrets").iterdir()]
    assert len(secrets) >= 8
    assert [secret for secret in secrets if secret in shown] == []


def test_mistakes_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = ("--folder", str(tmp_path / "d"))
    for words, told in (
        (["up", "--only", "xyz"], "no operator xyz"),
        (["up", "--only", "oem"], "oem: expected the pools' URL"),
        (["up", "--pools", "http://127.0.0.1:1"], "expected both their URL and the file"),
        (["up", "--trace", str(tmp_path / "no" / "t")], "trace file"),
    ):
        assert main(["operators", *words, "--port", "0", *folder]) == 2
        assert told in capsys.readouterr().err
    assert main(["operators", "station-add", "CP2", "--folder", str(tmp_path / "none")]) == 2
    assert "start the operators first" in capsys.readouterr().err
    assert main(["operators", "station-add", "CP2", "--evse", "DE*PLC*E0002", "--json", *folder]) == 0
    file = Path(json.loads(capsys.readouterr().out)["password_file"])
    assert file.stat().st_mode & 0o077 == 0
    assert len(file.read_text().strip()) >= 16
    assert main(["operators", "station-add", "CP2", *folder]) == 2
    assert main(["operators", "station-add", "a/b", *folder]) == 2
    assert "expected up to 48 characters" in capsys.readouterr().err
    (tmp_path / "key").write_text("no key")
    assert main(["operators", "key-add", str(tmp_path / "key"), "--gateway", "G", "--meter", "M", *folder]) == 2
    (tmp_path / "d" / "connections.json").write_text("{}")
    assert main(["operators", "up", *folder]) == 2
    assert "connections.json: Object missing required field" in capsys.readouterr().err
