"""Records and metering receipts of whole gateway sessions before foreign judges.

Judges: pyocmf 0.6.0 (PyPI, MIT, github.com/paul-ww/pyocmf), its signature check and its rules for a transaction; the
openssl command (Debian package openssl, Apache-2.0) for every signature around a receipt. The sessions are played by
the gateway itself in virtual time, with the faults that it has to survive.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from pyocmf import OCMF, check_eichrecht_transaction

from gateway.policy import Policy
from gateway.receipt import Receipt
from gateway.transaction import State
from hil_rigs.virtual_clock import VirtualClock, run_virtual
from ports.backend import SignedRecord
from tests.gateway.backend_doubles import Words
from tests.gateway.point import CARD, START, Point
from tests.gateway.secc.bench import Bench, on_bench
from tests.gateway.secc.test_contract import plug_and_wait
from tests.gateway.secc.test_contract_backends import settings
from tests.v2g.session.pki import make_pki
from v2g.exi.codec import decode, encode_fragment


def records(folder: Path, *, trouble: str = "") -> list[SignedRecord]:
    """What a backend got from one session."""

    async def main(clock: VirtualClock) -> list[SignedRecord]:
        point = Point(clock, folder)
        controller = await point.start()
        point.cable.plug()
        await controller.wait_for("c1", State.PLUGGED)
        await controller.authorise("c1", CARD)
        await controller.wait_for("c1", State.CHARGING)
        await clock.sleep(90)
        if trouble == "clock":
            clock.step(-3600)
            await clock.sleep(30)
        if trouble == "power":
            await point.crash()
            await clock.sleep(600)
            controller = await point.start()
        elif trouble == "meter":
            point.meter.silent = True
        else:
            point.cable.unplug()
        await controller.wait_for("c1", State.AVAILABLE, State.PLUGGED)
        await controller.close()
        return point.backend.records

    return run_virtual(main, start=START, seed=11)


@pytest.mark.parametrize("trouble", ["", "clock", "power", "meter"])
def test_every_record_is_valid_for_pyocmf(tmp_path: Path, trouble: str) -> None:
    found = records(tmp_path, trouble=trouble)
    assert len(found) >= 3
    for record in found:
        parsed = OCMF.from_string(record.ocmf, strict=True)
        assert parsed.verify_signature(record.public_key)
        changed = record.ocmf.replace('"ZH"', '"ZI"')
        assert not OCMF.from_string(changed).verify_signature(record.public_key)


@pytest.mark.parametrize(("trouble", "good"), [("", True), ("power", True), ("meter", False)])
def test_pyocmf_bills_the_transactions_that_we_bill(tmp_path: Path, trouble: str, good: bool) -> None:
    found = records(tmp_path, trouble=trouble)
    begin, end = (OCMF.from_string(record.ocmf) for record in (found[0], found[-1]))
    issues = check_eichrecht_transaction(begin.payload, end.payload)
    serious = [issue for issue in getattr(issues, "issues", issues) if "ERROR" in str(issue.severity).upper()]
    assert bool(serious) is not good


def openssl(*words: object, text: bytes = b"") -> bytes:
    """What it says. Raises CalledProcessError when it disagrees."""
    return subprocess.run(["openssl", *map(str, words)], input=text, capture_output=True, check=True).stdout


def pem(der: bytes) -> bytes:
    return openssl("x509", "-inform", "der", text=der)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="the openssl command is not installed")
def test_openssl_proves_a_receipt_from_the_vehicle_to_the_meter(tmp_path: Path) -> None:
    """The contract's chain, the vehicle's signature, and the meter's signature that the vehicle was shown."""

    async def main(bench: Bench) -> Receipt:
        await plug_and_wait(bench)
        return (await bench.controller.receipts(bench.backend.records[0].transaction_id))[-1]

    receipt = on_bench(main, **settings(tmp_path, Words(), policy=Policy(receipt_messages=5)))
    leaf, *sub_cas = receipt.certificates
    for name, octets in {
        "leaf": pem(leaf),
        "subs": b"".join(map(pem, sub_cas)),
        "root": pem(make_pki().mo_root.der),
    }.items():
        (tmp_path / name).write_bytes(octets)
    said = openssl("verify", "-CAfile", tmp_path / "root", "-untrusted", tmp_path / "subs", tmp_path / "leaf")
    assert said.rstrip().endswith(b"OK")

    def check(key: bytes, raw: bytes, signed: bytes) -> None:
        (tmp_path / "key").write_bytes(key)
        numbers = (int.from_bytes(half, "big") for half in (raw[:32], raw[32:]))
        (tmp_path / "signature").write_bytes(encode_dss_signature(*numbers))
        words = ("dgst", "-sha256", "-verify", tmp_path / "key", "-signature", tmp_path / "signature")
        assert openssl(*words, text=signed) == b"Verified OK\n"
        with pytest.raises(subprocess.CalledProcessError):
            openssl(*words, text=signed + b" ")

    message: Any = decode("iso2", receipt.exi)
    signature, body = message.Header.Signature, message.Body.BodyElement
    contract_key = openssl("x509", "-noout", "-pubkey", text=(tmp_path / "leaf").read_bytes())
    check(contract_key, signature.SignatureValue.value, encode_fragment("xmldsig", "SignedInfo", signature.SignedInfo))
    digest = openssl("dgst", "-sha256", "-binary", text=encode_fragment("iso2", "MeteringReceiptReq", body))
    assert digest == signature.SignedInfo.Reference[0].DigestValue
    assert receipt.record is not None
    meter_key = openssl("pkey", "-pubin", "-inform", "der", text=bytes.fromhex(receipt.record.public_key))
    payload = receipt.record.ocmf.split("|")[1]
    check(meter_key, body.MeterInfo.SigMeterReading, payload.encode())
    shown = OCMF.from_string(receipt.record.ocmf, strict=True).payload.RD[0]
    assert shown.RV is not None
    assert body.MeterInfo.MeterReading == shown.RV * 1000
