"""Verifiers that others wrote, asked about every record of a run.

What is not on the machine is "not run", and the report says so. pyocmf (PyPI, MIT) comes with the development
dependencies, ocmf-js (npm @road-labs/ocmf, MIT) with the tests' peers, OpenSSL with the system; the S.A.F.E.
transparency software is used where PLUGBENCH_SAFE names its jar.
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from hil_rigs.run_folder import context_of
from ocmf.container import parse
from ocmf.keys import PublicKey
from ocmf.safe_xml import write_safe_xml
from ports.backend import SignedRecord

Records = Sequence[SignedRecord]
PATIENCE_S = 60
OCMF_JS = Path(__file__).resolve().parents[2] / ".peers" / "ocmf-js"
_JS = """
const { Verifier } = require('@road-labs/ocmf');
const { Crypto } = require('@road-labs/ocmf-crypto-noble');
(async () => {
  const crypto = new Crypto(), out = [];
  for (const [text, hex] of JSON.parse(require('fs').readFileSync(0, 'utf8'))) {
    try {
      const key = await crypto.decodeEcPublicKey(Buffer.from(hex, 'hex'), 'spki-der');
      out.push((await new Verifier(crypto).parseAndVerify(text, key)).verified ? '' : 'not verified');
    } catch (error) { out.push(String(error)); }
  }
  process.stdout.write(JSON.stringify(out));
})();
"""


class NotRunError(Exception):
    """This verifier is not on this machine; says what is missing."""


def pyocmf(records: Records, key: PublicKey) -> list[str]:
    """What pyocmf finds wrong: signatures of all, then begin and end as a pair."""
    try:
        judge = importlib.import_module("pyocmf")
    except ImportError:
        raise NotRunError("pyocmf is not installed (pip install pyocmf)") from None
    wrong = []
    payloads = []
    for record in records:
        try:
            one = judge.OCMF.from_string(record.ocmf)
            payloads.append(one.payload)
            if not one.verify_signature(key.hex()):
                wrong.append(f"{record.page}: signature not verified")
        except Exception as error:  # noqa: BLE001 - whatever a foreign library says is its verdict
            wrong.append(f"{record.page}: {error}")
    if not wrong:
        issues = judge.check_eichrecht_transaction(payloads[0], payloads[-1])
        wrong += [str(issue) for issue in issues if issue.severity.name == "ERROR"]
    return wrong


def ocmf_js(records: Records, key: PublicKey) -> list[str]:
    """What ocmf-js finds wrong with the signatures."""
    node = shutil.which("node")
    if node is None or not (OCMF_JS / "node_modules").is_dir():
        raise NotRunError("ocmf-js is not installed (npm install @road-labs/ocmf into .peers/ocmf-js)")
    asked = json.dumps([(record.ocmf, key.hex()) for record in records])
    run = subprocess.run(  # noqa: S603 - node with a script of ours
        [node, "-e", _JS], input=asked, cwd=OCMF_JS, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    if run.returncode:
        raise NotRunError(f"node failed: {run.stderr[-300:]}")
    answers = json.loads(run.stdout)
    return [f"{record.page}: {text}" for record, text in zip(records, answers, strict=True) if text]


def openssl(records: Records, key: PublicKey) -> list[str]:
    """What `openssl dgst -verify` says of the signed octets."""
    program = shutil.which("openssl")
    if program is None:
        raise NotRunError("openssl is not installed")
    wrong = []
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "key.der").write_bytes(bytes.fromhex(key.hex()))
        for record in records:
            parsed = parse(record.ocmf)
            (folder / "signed").write_bytes(parsed.payload)
            (folder / "signature").write_bytes(bytes.fromhex(parsed.signature["SD"]))
            command = [program, "dgst", "-sha256", "-keyform", "DER", "-verify", str(folder / "key.der")]
            command += ["-signature", str(folder / "signature"), str(folder / "signed")]
            run = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)  # noqa: S603
            if run.returncode:
                wrong.append(f"{record.page}: {(run.stdout + run.stderr).strip()}")
    return wrong


def safe(records: Records, key: PublicKey) -> list[str]:
    """What the S.A.F.E. transparency software says of the SAFE XML of these records, on its command line."""
    jar, java = os.environ.get("PLUGBENCH_SAFE", ""), shutil.which("java")
    if not jar or not Path(jar).is_file() or java is None:
        raise NotRunError("PLUGBENCH_SAFE names no jar of the transparency software, or there is no Java")
    with TemporaryDirectory() as name:
        file = Path(name) / "records.xml"
        values = [(1, context_of(record), record.ocmf) for record in records]
        file.write_text(write_safe_xml(values, key), encoding="utf-8")
        command = [java, "-jar", jar, "-cli", str(file)]
        run = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)  # noqa: S603
    return [] if run.returncode == 0 else [(run.stdout + run.stderr).strip()[-500:]]


VERIFIERS: Mapping[str, Callable[[Records, PublicKey], list[str]]] = {
    "pyocmf": pyocmf,
    "ocmf_js": ocmf_js,
    "openssl": openssl,
    "safe": safe,
}
