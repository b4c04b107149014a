"""A rig whose pools are another program: what the documentation says about replacing a part, done with one."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from backends.pki.authorities import CertificateAuthorities
from backends.pki.ca_keys import FileKeys, Passphrase
from backends.pki.export import export_plain, newest_of_realm
from backends.store.database import Database
from hil_rigs.real_clock import RealClock
from hil_rigs.rig_file import load_rig
from hil_rigs.run import run_rig
from hil_rigs.run_folder import make_folder
from hil_rigs.trace_file import TraceFile

ROOT = Path(__file__).parents[2]
EXTERNAL = 'url: "URL", client_id: cpo, secret_file: cpo.secret, audience: "AUDIENCE"}'


async def export(data: Path, target: Path) -> None:
    """The certificates that the pools trust, as their operator would hand them out."""
    clock = RealClock()
    database = Database(f"sqlite:///{data / 'pools.db'}", clock)
    keys = FileKeys(data / "pki", Passphrase(data / "pki.passphrase"))
    authorities = CertificateAuthorities(database, clock, keys, ocsp_url="http://127.0.0.1/unused")
    export_plain(await newest_of_realm(authorities, "iso2-strict"), target, keys)
    await authorities.close()
    await database.close()


@pytest.mark.soak
def test_pools_in_a_process_of_their_own(tmp_path: Path) -> None:
    data = tmp_path / "data"
    command = [sys.executable, "-m", "plugbench", "backends", "up", "--data", str(data), "--port", "0"]
    command += ["--allow-loopback", "--json"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as pools:
        try:
            assert pools.stdout is not None
            up = json.loads(pools.stdout.readline())
            asyncio.run(export(data, tmp_path / "certs"))
            for client in json.loads((data / "clients.json").read_text(encoding="utf-8"))["clients"]:
                secret = os.open(tmp_path / f"{client['client_id']}.secret", os.O_WRONLY | os.O_CREAT, 0o600)
                os.write(secret, client["client_secret"].encode())
                os.close(secret)
            text = (ROOT / "rigs" / "plug_and_charge.yaml").read_text(encoding="utf-8")
            external = EXTERNAL.replace("URL", up["url"]).replace("AUDIENCE", up["audience"])
            for old, new in (
                ("pki: auto", f"pki: {tmp_path / 'certs'}"),
                ("{kind: pools.opcp, url: embedded}", "{kind: pools.opcp, " + external),
                ("operator.mo, url: embedded,", "operator.mo, client_id: mo, secret_file: mo.secret,"),
                ("operator.oem, url: embedded,", "operator.oem, client_id: oem, secret_file: oem.secret,"),
                ("charge_for_s: 12", "charge_for_s: 7"),
            ):
                assert old in text
                text = text.replace(old, new)
            (tmp_path / "rig.yaml").write_text(text, encoding="utf-8")
            rig_file = load_rig(tmp_path / "rig.yaml")
            folder = make_folder(tmp_path / "run")
            with TraceFile(folder / "events.jsonl") as tracer:
                outcome = run_rig(rig_file, folder, tracer, lambda _text: None)
        finally:
            pools.terminate()
    assert outcome.result.verdict == "pass", outcome.result
    assert outcome.result.contracts_installed == 1
    (bill,) = outcome.result.bills
    assert bill.kwh == outcome.result.sessions[0].kwh
    (line,) = [line for line in outcome.result.resources if line.name == "pools"]
    assert (line.where, line.why) == ("external", f"the server at {up['url']}")
