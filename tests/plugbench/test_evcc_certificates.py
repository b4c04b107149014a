"""What `plugbench evcc` makes of its files and of its store."""

from __future__ import annotations

import argparse
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from asn1crypto import pem
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from firmware_sim.vehicle.certificate_store import CertificateStore
from plugbench.evcc import add_commands
from plugbench.evcc_certificates import Certificates
from ports.errors import RigError
from tests.plugbench.test_session_commands import Secc, evcc
from tests.v2g.link.chains import write_chain
from tests.v2g.session.pki import EMAID, OTHER_EMAID, make_pki
from tests.v2g.test_certificates import NOW, Issued
from v2g.session.events import ContractInstalled
from v2g.session.faults import Drop
from v2g.session.signing_faults import CONTRACT_FAULTS


def write(folder: Path, kind: str, *chain: Issued) -> None:
    """As `plugbench pki export` does."""
    folder.mkdir(exist_ok=True)
    (folder / f"{kind}.pem").write_bytes(pem.armor("CERTIFICATE", chain[0].der))
    (folder / f"{kind}.chain.pem").write_bytes(b"".join(pem.armor("CERTIFICATE", one.der) for one in chain))
    key = chain[0].key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / f"{kind}.key").write_bytes(key)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    pki, folder = make_pki(), tmp_path / "files"
    write(folder, "contract", pki.contract, pki.mo_sub_2, pki.mo_sub_1)
    write(folder, "provisioning", pki.provisioning)
    write(folder, "v2g-root", pki.v2g_root)
    return folder


def options(*words: object) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_commands(parser.add_subparsers())
    return parser.parse_args(["evcc", "--interface", "lo", *map(str, words)])


def choice(*words: object) -> tuple[Any, ...]:
    found = Certificates(options(*words)).choice(NOW)
    return found.payment, found.contract.emaid if found.contract else "", found.action


def test_files_say_what_happens(files: Path) -> None:
    pki = ("--pki", files)
    assert choice() == ("ExternalPayment", "", "")
    assert choice(*pki) == ("ExternalPayment", "", "")
    assert choice(*pki, "--auth", "pnc") == ("Contract", EMAID, "")
    assert choice(*pki, "--install") == ("Contract", "", "install")
    assert choice(*pki, "--update") == ("Contract", EMAID, "update")
    found = Certificates(options(*pki, "--auth", "pnc")).choice(NOW).contract
    assert found is not None
    assert found.agree is not None


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--auth", "pnc"], "pnc needs --contract"),
        (["--update"], "pnc needs --contract"),
        (["--install"], "--install needs --provisioning"),
        (["--store", "{tmp}", "--auth", "pnc", "--no-fallback"], "pays by contract only"),
        (["--store", "{tmp}", "--install"], "no provisioning certificate"),
        (["--store", "{tmp}", "--update"], "orders to update the contract"),
        (["--install", "--provisioning", "{files}/provisioning.pem", "--provisioning-key", "{files}/contract.key"], ""),
    ],
)
def test_what_is_missing_is_said(tmp_path: Path, files: Path, words: list[str], text: str) -> None:
    given = [word.format(tmp=tmp_path / "store", files=files) for word in words]
    with pytest.raises(RigError, match=text or "needs --root"):
        choice(*given)


def test_a_store_is_made_from_the_files_once_and_keeps_what_comes(tmp_path: Path, files: Path) -> None:
    folder, pki = tmp_path / "store", make_pki()
    words = ("--store", folder, "--pki", files)
    assert choice(*words, "--install") == ("Contract", "", "install")
    assert choice("--store", folder, "--auth", "pnc") == ("Contract", "", "install")
    certificates = Certificates(options("--store", folder))
    chain = (pki.new_contract.der, pki.mo_sub_2.der)
    text = certificates.keep(ContractInstalled(OTHER_EMAID, chain, pki.new_contract.key))
    assert text.startswith(f"kept in {folder}: contract {OTHER_EMAID}, valid to 2030-")
    assert choice("--store", folder, "--auth", "pnc") == ("Contract", OTHER_EMAID, "")
    late = CertificateStore(folder).contracts[0].not_after - timedelta(days=1)
    assert Certificates(options("--store", folder, "--auth", "pnc")).choice(late).action == "update"
    assert Certificates(options()).keep(ContractInstalled(OTHER_EMAID, chain, pki.new_contract.key)) == ""


def test_roots_of_a_store_are_those_that_tls_trusts(tmp_path: Path, files: Path) -> None:
    other = write_chain(tmp_path, "B").root
    found = Certificates(options("--store", tmp_path / "store", "--pki", files, "--root", other))
    assert len(found.roots()) == 2
    tls = found.tls(None)
    assert tls is not None
    assert tls.roots == (found.store.root_files if found.store else ())
    assert Certificates(options("--tls", "off", "--pki", files)).tls(None) is None


def test_a_session_paid_from_a_store_and_an_attack(tmp_path: Path, files: Path) -> None:
    chain = write_chain(tmp_path, "A")
    root = tmp_path / "mo-root.pem"
    root.write_bytes(pem.armor("CERTIFICATE", make_pki().mo_root.der))
    station = ["--certificates", chain.certificates, "--key", chain.key, "--tls", "required", "--auth", "pnc,eim"]
    words = ["--store", tmp_path / "store", "--auth", "pnc", "--tls", "required", "--loops", 1]
    with Secc(*station, "--contract-root", root, "--sessions", 2) as secc:
        good = evcc(secc.port, *words, "--pki", files, "--root", chain.root)
        bad = evcc(secc.port, *words, "--fault", "another key")
        secc.finish()
    assert good.returncode == 0, good.stdout + good.stderr
    assert "EV     PaymentDetailsReq" in good.stdout
    assert bad.returncode == 1, bad.stdout + bad.stderr
    assert "AuthorizationRes  FAILED_SignatureError" in bad.stdout
    assert [one["outcome"] for one in secc.lines[-1]["sessions"]] == ["terminated", "failed"]


def test_faults_are_attacks_or_json() -> None:
    found = options("--fault", "wrong challenge", "--fault", '{"fault": "drop", "message": "SessionStopReq"}').fault
    assert found == [CONTRACT_FAULTS["wrong challenge"], Drop(message="SessionStopReq")]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("explode", "is no JSON object, and none of wrong challenge,"),
        ("[]", "is no JSON object"),
        ('{"fault": "explode"}', "known are"),
        ('{"fault": "delay", "message": "X"}', "seconds"),
    ],
)
def test_a_fault_that_nobody_knows(text: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        options("--fault", text)
    assert said in " ".join(capsys.readouterr().err.split())
