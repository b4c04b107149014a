"""A whole run of Plug & Charge before foreign judges, from nothing but what it left and what the operators hold.

* pyocmf 0.6.0 (PyPI, MIT) and ocmf-js 0.0.9 (npm, MIT): the signed values of the charge detail record, with the key
  that the mobility operator has registered itself.
* OpenSSL (Debian package openssl): every certificate chain, and the signatures of the V2G messages.
* EXIficient 1.0.x (MIT, in the PyPI wheel iso15118 0.31.2): the octets that these signatures cover.
* tshark (Debian package): the recording, opened with the TLS keys in it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import sqlite3
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from pyocmf import OCMF, check_eichrecht_transaction

from plugbench.__main__ import main
from ports.errors import RigError
from tests.compliance.exificient import Exificient
from v2g.capture import read_capture
from v2g.session_decoder import DecodedFrame, SessionFrame, decode_frames
from v2g.tshark import decrypt

pytestmark = [pytest.mark.foreign, pytest.mark.timeout(300)]
RIG = Path(__file__).parents[2] / "rigs" / "plug_and_charge.yaml"
SIGNED = ["CertificateInstallationReq", "CertificateInstallationRes", "AuthorizationReq", "MeteringReceiptReq"]
SIGNED += ["MeteringReceiptReq"]


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a run left."""
    folder = tmp_path_factory.mktemp("judged")
    virtual = "{mode: virtual, start: 2026-11-20T08:00:00+01:00}"
    (folder / "rig.yaml").write_text(RIG.read_text(encoding="utf-8").replace("{mode: real}", virtual), encoding="utf-8")
    assert main(["run", str(folder / "rig.yaml"), "--out", str(folder / "run")]) == 0
    return folder / "run"


@pytest.fixture(scope="module")
def signed(left: Path) -> list[DecodedFrame]:
    """The signed messages of the recording."""
    capture = read_capture((left / "v2g-1.pcapng").read_bytes())
    return [one for one in decode_frames(SessionFrame.of(frame) for frame in capture.frames) if one.signature]


@pytest.fixture(scope="module")
def exificient() -> Iterator[Exificient]:
    try:
        found = Exificient()
    except (RigError, OSError) as error:
        pytest.skip(f"EXIficient cannot be prepared: {error}")
    with found:
        yield found


def charge_detail(left: Path) -> tuple[dict[str, object], list[str], str, Decimal]:
    """Of the mobility operator: the CDR as it came, its signed values, its own key, the energy of the bill."""
    with sqlite3.connect(left / "mo.db") as database:
        ((body,),) = database.execute("SELECT body FROM mo_cdrs").fetchall()
        ((key,),) = database.execute("SELECT public_key FROM mo_keys").fetchall()
        ((bill,),) = database.execute("SELECT bill FROM mo_bills").fetchall()
    database.close()
    cdr = json.loads(body, parse_float=Decimal)
    values = [base64.b64decode(one["signed_data"]).decode() for one in cdr["signed_data"]["signed_values"]]
    return cdr, values, key, Decimal(json.loads(bill)["energy_kwh"])


def test_pyocmf_finds_the_energy_of_the_bill_in_its_signed_values(left: Path) -> None:
    cdr, values, key, billed = charge_detail(left)
    records = [OCMF.from_string(value) for value in values]
    assert len(records) >= 2
    assert all(record.verify_signature(key) for record in records)
    begin, end = records[0].payload, records[-1].payload
    assert check_eichrecht_transaction(begin, end) == []
    assert end.RD[-1].RV - begin.RD[0].RV == billed == cdr["total_energy"]
    assert begin.ID == "DEPLBC00000001"


def test_ocmf_js_accepts_what_the_mobility_operator_got(
    left: Path, judge_js: Callable[[list[tuple[str, str]]], list[object]]
) -> None:
    _, values, key, _ = charge_detail(left)
    assert judge_js([(value, key) for value in values]) == [True] * len(values)
    assert judge_js([(values[0].replace('"RV":', '"RV":1'), key)]) != [True]


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_openssl_trusts_every_signer_below_the_roots_of_the_run(
    left: Path, signed: list[DecodedFrame], tmp_path: Path
) -> None:
    certificates = [certificate_of(one, signed) for one in signed]
    for number, der in enumerate(certificates):
        leaf = tmp_path / f"{number}.der"
        leaf.write_bytes(der)
        roots, subs = left / "certificates" / "roots.pem", left / "certificates" / "sub-cas.pem"
        command = [
            "openssl",
            "verify",
            "-attime",
            "1795158000",
            "-CAfile",
            str(roots),
            "-untrusted",
            str(subs),
            str(leaf),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        without = ["openssl", "verify", "-attime", "1795158000", "-untrusted", str(subs), "-no-CAfile", "-no-CApath"]
        assert subprocess.run([*without, "-no-CAstore", str(leaf)], capture_output=True, check=False).returncode


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_exificient_and_openssl_verify_every_signature_of_the_session(
    signed: list[DecodedFrame], exificient: Exificient, tmp_path: Path
) -> None:
    assert [one.name for one in signed] == SIGNED
    for one in signed:
        message = ET.fromstring(exificient.ask("iso2", hex=one.source.frame.payload.hex())["hex"])
        by_id = {
            value: element
            for element in message.iter()
            for name, value in element.attrib.items()
            if name.endswith("Id")
        }
        for reference in (element for element in message.iter() if element.tag.endswith("}Reference")):
            covered = by_id[reference.attrib["URI"].removeprefix("#")]
            digest = next(element.text for element in reference.iter() if element.tag.endswith("}DigestValue"))
            assert fragment_hash(exificient, "iso2", covered) == base64.b64decode(digest or "")
        info = next(element for element in message.iter() if element.tag.endswith("}SignedInfo"))
        value = next(element.text for element in message.iter() if element.tag.endswith("}SignatureValue"))
        octets = base64.b64decode(value or "")
        signature = encode_dss_signature(int.from_bytes(octets[:32]), int.from_bytes(octets[32:]))
        signed_octets = fragment(exificient, "xmldsig", info)
        assert openssl_verifies(certificate_of(one, signed), signed_octets, signature, tmp_path)
        assert not openssl_verifies(certificate_of(one, signed), signed_octets + b"\0", signature, tmp_path)


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
def test_tshark_opens_the_recording_with_the_keys_in_it(left: Path, signed: list[DecodedFrame]) -> None:
    clear = b"".join(text.octets for text in decrypt(left / "v2g-1.pcapng"))
    assert all(one.source.frame.payload in clear for one in signed)


def fragment(judge: Exificient, schema: str, element: ET.Element) -> bytes:
    """The element as EXIficient writes it: an EXI fragment."""
    return bytes.fromhex(judge.ask(schema, fragment=True, xml=ET.tostring(element, encoding="unicode"))["xml"])


def fragment_hash(judge: Exificient, schema: str, element: ET.Element) -> bytes:
    return hashlib.sha256(fragment(judge, schema, element)).digest()


def certificate_of(one: DecodedFrame, signed: list[DecodedFrame]) -> bytes:
    """Who signs a message: the vehicle's certificate, the CPS, or the contract that the CPS has sent before."""
    body = one.message.Body.BodyElement  # type: ignore[union-attr]
    if one.name == "CertificateInstallationReq":
        return bytes(body.OEMProvisioningCert)
    if one.name == "CertificateInstallationRes":
        return bytes(body.SAProvisioningCertificateChain.Certificate)
    (installed,) = [each for each in signed if each.name == "CertificateInstallationRes"]
    return bytes(installed.message.Body.BodyElement.ContractSignatureCertChain.Certificate)  # type: ignore[union-attr]


def openssl_verifies(certificate: bytes, octets: bytes, signature: bytes, folder: Path) -> bool:
    (folder / "leaf.der").write_bytes(certificate)
    (folder / "octets").write_bytes(octets)
    (folder / "signature").write_bytes(signature)
    command = ["openssl", "x509", "-in", "leaf.der", "-pubkey", "-noout"]
    key = subprocess.run(command, cwd=folder, capture_output=True, check=True).stdout
    (folder / "key.pem").write_bytes(key)
    verify = ["openssl", "dgst", "-sha256", "-verify", "key.pem", "-signature", "signature", "octets"]
    return subprocess.run(verify, cwd=folder, capture_output=True, check=False).returncode == 0
