"""The rig that `make run` runs, in virtual time: what it leaves, what it says, and what it never shows."""

from __future__ import annotations

import base64
import json
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from hil_rigs.story.step import Verdict
from hil_rigs.story.tell import tell
from plugbench.__main__ import main
from v2g.exi.codec import decode

RIG = Path(__file__).parents[2] / "rigs" / "plug_and_charge.yaml"
VIRTUAL = ("{mode: real}", "{mode: virtual, start: 2026-11-20T08:00:00+01:00, zone: Europe/Berlin}")


@dataclass
class Ran:
    """What a run left. shown: on the screen. private: the files of the folder that ended with it, by name."""

    folder: Path
    code: int
    shown: str = ""
    private: dict[str, bytes] = field(default_factory=dict)

    @property
    def report(self) -> dict[str, object]:
        return json.loads((self.folder / "report.json").read_text(encoding="utf-8"))  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    folder = tmp_path_factory.mktemp("plug-and-charge")
    text = RIG.read_text(encoding="utf-8")
    assert VIRTUAL[0] in text
    (folder / "rig.yaml").write_text(text.replace(*VIRTUAL), encoding="utf-8")
    kept = Ran(folder / "run", -1)

    class Remembered(TemporaryDirectory[str]):
        """The private folder of the run; its files are looked at before they go."""

        def cleanup(self) -> None:
            root = Path(self.name)
            kept.private |= {
                str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()
            }
            super().cleanup()

    lines: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hil_rigs.bench.TemporaryDirectory", Remembered)
        patch.setattr("builtins.print", lambda *words, **_options: lines.append(" ".join(map(str, words))))
        kept.code = main(["run", str(folder / "rig.yaml"), "--out", str(kept.folder)])
    kept.shown = "\n".join(lines)
    return kept


def test_it_passes_and_says_so(ran: Ran) -> None:
    assert ran.code == 0, ran.shown
    assert re.search(r"GW-0001-12345678-T1: valid, 0\.07 kWh", ran.shown)
    assert re.search(r"bill by mo: 0\.07 kWh, 0\.45 EUR, \d values valid", ran.shown)
    assert "contracts installed: 1, receipts valid: 2" in ran.shown


def test_the_bill_is_the_record_to_the_last_digit(ran: Ran) -> None:
    (session,) = ran.report["sessions"]  # type: ignore[misc]
    (bill,) = ran.report["bills"]  # type: ignore[misc]
    assert bill["kwh"] == session["kwh"]
    assert bill["values"] == len(session["pages"])
    assert bill["problems"] == []
    assert Decimal(bill["total"]) == Decimal("0.45")  # 0.07 kWh at 49 ct and 35 ct for the session, 19 % VAT


def test_receipts_stay_as_evidence(ran: Ran) -> None:
    kept = sorted(path.name for path in (ran.folder / "receipts").iterdir())
    assert [name.rpartition(".")[2] for name in kept] == ["exi", "pem", "exi", "pem"]
    exi = next((ran.folder / "receipts").glob("*.exi")).read_bytes()
    message = decode("iso2", exi)
    assert type(message.Body.BodyElement).__name__ == "MeteringReceiptReqType"  # type: ignore[attr-defined]


def test_the_story_has_everybody_and_every_signature_holds(ran: Ran) -> None:
    story = tell(ran.folder)
    assert story.is_sound
    lanes = {step.sender for passage in story.passages for step in passage.steps}
    assert {lane.value for lane in lanes} == {"Vehicle", "Station", "Meter", "Token", "CPO", "Pools", "OEM", "MO"}
    valid = [one.what for one in story.signatures if one.verdict is Verdict.VALID]
    assert valid.count("MeteringReceiptReq") == 2
    assert {"CertificateInstallationReq", "CertificateInstallationRes", "AuthorizationReq"} <= set(valid)
    assert valid.count("OCMF record") == len(ran.report["sessions"][0]["pages"])  # type: ignore[index]
    assert all("leads to" in one.trust for one in story.signatures if one.what.endswith(("Req", "Res")))
    assert [one.what for one in story.signatures if one.verdict is Verdict.NOTED] == ["TLS handshake"]
    texts = [step.text for passage in story.passages for step in passage.steps]
    order = [
        "CertificateInstallationReq",
        "Get15118EVCertificate",
        "CertificateInstallationRes",
        "Authorize",
        "PowerDeliveryReq",
        "MeteringReceiptReq",
        "transaction is billed",
        "POST /ocpi/2.2.1/cdrs",
    ]
    assert sorted(order, key=texts.index) == order


def test_the_story_says_the_same_from_the_archive(ran: Ran, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["story", str(ran.folder / "evidence.zip"), "--mermaid"]) == 0
    archive = capsys.readouterr().out
    assert main(["story", str(ran.folder), "--mermaid"]) == 0
    assert capsys.readouterr().out == archive
    assert archive.startswith("sequenceDiagram\n")
    assert "CertificateInstallationReq" in archive
    assert (ran.folder / "story.md").read_text(encoding="utf-8").count("```mermaid") == 1
    assert json.loads((ran.folder / "story.json").read_text(encoding="utf-8"))["verdict"] == "pass"


def test_a_changed_record_is_seen_in_the_story(ran: Ran, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    (copy / "records").mkdir(parents=True)
    for name in ("events.jsonl", "public_key.hex", "report.json"):
        (copy / name).write_bytes((ran.folder / name).read_bytes())
    for path in (ran.folder / "records").glob("*.ocmf"):
        text = path.read_text(encoding="utf-8")
        (copy / "records" / path.name).write_text(text.replace('"PG":"T2"', '"PG":"T9"'), encoding="utf-8")
    story = tell(copy)
    assert not story.is_sound
    assert [one.covers for one in story.signatures if one.verdict is Verdict.INVALID] == ["GW-0001-12345678-T2.ocmf"]
    assert main(["story", str(copy)]) == 1


# what is never shown ------------------------------------------------------------------------------------------------


def _of_key(octets: bytes) -> dict[str, bytes]:
    """A private key in every form in which it could be written."""
    key = load_pem_private_key(octets, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    scalar = key.private_numbers().private_value.to_bytes(32)
    der = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    plain = base64.b64encode(scalar)
    return {
        "scalar": scalar,
        "hex": scalar.hex().encode(),
        "HEX": scalar.hex().upper().encode(),
        "base64": plain.rstrip(b"=")[:-1],
        "url-safe base64": base64.urlsafe_b64encode(scalar).rstrip(b"=")[:-1],
        "decimal": str(key.private_numbers().private_value).encode(),
        "DER": der,
        "PEM": base64.b64encode(der)[:60],
    }


def secrets(private: dict[str, bytes]) -> dict[str, bytes]:
    """Everything secret that a run had: private keys, passwords, PINs, tokens."""
    found: dict[str, bytes] = {}
    for name, octets in private.items():
        if b"-----BEGIN PRIVATE KEY-----" in octets:
            found |= {f"{name} as {form}": value for form, value in _of_key(octets).items()}
        elif name.endswith((".secret", "token", "password", "/pin", ".passphrase")):
            found[name] = octets.strip()
        elif name.endswith("clients.json"):
            clients = json.loads(octets)["clients"]
            found |= {f"client {one['client_id']}": one["client_secret"].encode() for one in clients}
    return found


def _contents(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in folder.rglob("*"):
        if path.is_file():
            yield path.name, path.read_bytes()
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                yield from ((f"{path.name}/{name}", archive.read(name)) for name in archive.namelist())


def test_no_secret_is_in_anything_that_a_run_leaves(ran: Ran) -> None:
    hidden = secrets(ran.private)
    names = " ".join(hidden)
    for wanted in ("contracts/DEPLBC00000001.pem", "provisioning", "secc.key", "cpo.secret", "mo.ocpi-token", "/pin"):
        assert wanted in names, f"the run had no {wanted}: {names}"
    assert all(len(value) >= 8 for value in hidden.values())
    looked = 0
    for file, octets in _contents(ran.folder):
        looked += 1
        for name, value in hidden.items():
            assert value not in octets, f"{name} is in {file}"
        assert not re.search(rb"eyJ[\w-]{20,}\.[\w-]{20,}\.", octets), f"a bearer token is in {file}"
    assert looked > 20
    for name, value in hidden.items():
        assert value.decode("latin-1") not in ran.shown, f"{name} was shown"


def test_the_search_finds_a_secret_that_is_there(ran: Ran, tmp_path: Path) -> None:
    hidden = secrets(ran.private)
    (tmp_path / "leak.json").write_bytes(b'{"key":"' + hidden["certs/provisioning.key as hex"] + b'"}')
    assert any(value in octets for _, octets in _contents(tmp_path) for value in hidden.values())


@pytest.mark.soak
def test_in_real_time_as_make_run_does(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", str(RIG), "--out", str(tmp_path / "run")]) == 0
    shown = capsys.readouterr().out
    assert "T1: valid, 0.07 kWh" in shown
    assert "bill by mo: 0.07 kWh" in shown
    assert tell(tmp_path / "run").is_sound
