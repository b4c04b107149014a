import json
from collections.abc import Callable
from pathlib import Path

import pytest

from hil_rigs.evidence.assertions import Assertion, write_assertions
from hil_rigs.evidence.event_hash import EventError
from hil_rigs.evidence.manifest import decode_manifest
from hil_rigs.evidence.seal import About, Sealed, seal
from hil_rigs.evidence.verify import EvidenceError, check_evidence
from ocmf.container import parse
from ocmf.keys import decode_public_key
from ports.errors import RigError


def reseal(folder: Path, **changes: object) -> Sealed:
    """What somebody would do who rewrites evidence: everything fits again, but for what the signer alone can make."""
    manifest = decode_manifest((folder / "manifest.json").read_bytes())
    names = ("run", "rig", "seed", "clock", "started", "verdict", "signer", "is_hsm", "resources", "versions")
    return seal(folder, About(**{name: getattr(manifest, name) for name in names} | changes))


def edit(file: Path, before: str, after: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert before in text
    file.write_text(text.replace(before, after, 1), encoding="utf-8")


def test_folder_and_archive_hold(folder: Path) -> None:
    for path in (folder, folder / "evidence.zip"):
        checked = check_evidence(path).require()
        assert (checked.verdict, checked.records) == ("pass", 2)
        assert checked.digest == (folder / "manifest.sha256").read_text().split()[0]
        assert check_evidence(path, checked.digest.upper()).problems == ()


def test_sealing_again_gives_the_same_archive(folder: Path) -> None:
    before = (folder / "evidence.zip").read_bytes()
    reseal(folder)
    assert (folder / "evidence.zip").read_bytes() == before


def test_the_manifest_says_what_ran(folder: Path) -> None:
    manifest = decode_manifest((folder / "manifest.json").read_bytes())
    assert (manifest.rig, manifest.seed, manifest.clock, manifest.verdict) == ("small", 17, "virtual", "pass")
    assert {one.name: one.where for one in manifest.resources}["m1"] == "virtual"
    assert manifest.versions.plugbench
    assert manifest.versions.libraries["cryptography"] not in ("", "unknown")
    assert {"rig.yaml", "events.jsonl", "serial-bus.txt", "report.json", "records/index.json"} <= set(manifest.files)
    assert not any(name.startswith(("journal", "cpo.db")) for name in manifest.files)


CHANGES: list[tuple[Callable[[Path], object], str]] = [
    (lambda folder: (folder / "rig.yaml").unlink(), "rig.yaml: No such file"),
    (lambda folder: (folder / "more.txt").touch(), "more.txt: not in the manifest"),
    (
        lambda folder: edit(folder / "events.jsonl", "line.request", "line.Request"),
        "events.jsonl: .* the manifest says",
    ),
    (lambda folder: edit(folder / "manifest.json", '"pass"', '"fail"'), "manifest.sha256: is not the digest"),
    (lambda folder: edit(folder / "manifest.json", '"rig":', '"rig": '), "not in the form"),
    (lambda folder: (folder / "manifest.json").unlink(), "manifest.json: No such file"),
    (lambda folder: (folder / "manifest.json").write_bytes(b"[" * 100_000), "manifest.json"),
]


@pytest.mark.parametrize(("change", "problem"), CHANGES)
def test_a_change_is_found(folder: Path, change: Callable[[Path], object], problem: str) -> None:
    change(folder)
    with pytest.raises(EvidenceError, match=problem):
        check_evidence(folder).require()


def remove_page(folder: Path, page: str) -> None:
    next((folder / "records").glob(f"*{page}.ocmf")).unlink()


def forget_page(folder: Path, page: str) -> None:
    """Its file, its row, and its copy in SAFE XML."""
    remove_page(folder, page)
    index = folder / "records/index.json"
    rows = [row for row in json.loads(index.read_bytes()) if row["page"] != page]
    index.write_text(json.dumps(rows), encoding="utf-8")
    for file in (folder / "records").glob("*.xml"):
        file.unlink()


REWRITTEN: list[tuple[Callable[[Path], object], str]] = [
    (lambda folder: edit(folder / "records/GW-T-12345678-T2.ocmf", '"RV":100.', '"RV":109.'), "index.json: page T2"),
    (lambda folder: remove_page(folder, "T2"), "index.json: page T2 of 12345678 has no file"),
    (lambda folder: forget_page(folder, "T2"), "pages .* the records say .'T1'"),
    (lambda folder: edit(folder / "report.json", '"kwh": "0.3', '"kwh": "9.3'), "kWh 9.3"),
    (lambda folder: edit(folder / "records/index.json", '"T1"', '"T7"'), "GW-T 12345678 T7 is signed as .* T1"),
    (lambda folder: edit(folder / "records/GW-T-12345678-T1.xml", "RV", "RX"), "has no file of its own"),
    (
        lambda folder: edit(folder / "report.json", '"verdict": "pass"', '"verdict": "fail"'),
        "report.json: verdict fail",
    ),
    (lambda folder: (folder / "public_key.hex").write_text("00"), "public key not readable"),
    (lambda folder: (folder / "report.json").write_text("[]"), "Expected `object`"),
]


@pytest.mark.parametrize(("change", "problem"), REWRITTEN)
def test_what_was_rewritten_and_sealed_again_is_found(
    folder: Path, change: Callable[[Path], object], problem: str
) -> None:
    change(folder)
    sealed = reseal(folder)
    for path in (folder, sealed.archive):
        with pytest.raises(EvidenceError, match=problem):
            check_evidence(path).require()


def test_what_is_no_event_is_not_sealed(folder: Path) -> None:
    edit(folder / "events.jsonl", '{"at"', '{"when"')
    with pytest.raises(EventError, match=r"events\.jsonl, line 1"):
        reseal(folder)


def test_a_changed_record_is_not_signed(folder: Path) -> None:
    """Also where its row in the index is changed alike: only the signer could sign it."""
    one = folder / "records/GW-T-12345678-T2.ocmf"
    before = one.read_text(encoding="utf-8")
    edit(one, '"RV":100.', '"RV":109.')
    edit(folder / "records/index.json", parse(before).record_id, parse(one.read_text(encoding="utf-8")).record_id)
    reseal(folder)
    assert any("signature" in problem for problem in check_evidence(folder).problems)


def test_everything_rewritten_is_found_by_the_digest_alone(folder: Path) -> None:
    """The honest limit: what no key protects can be rewritten by whoever seals again."""
    noted = check_evidence(folder).digest
    edit(folder / "rig.yaml", "seed: 17", "seed: 18")
    reseal(folder)
    assert check_evidence(folder).problems == ()
    assert "not the one noted" in check_evidence(folder, noted).problems[0]


def test_a_key_from_elsewhere_is_the_one_that_counts(folder: Path) -> None:
    key = decode_public_key((folder / "public_key.hex").read_text())
    assert check_evidence(folder, key=key).problems == ()
    other = decode_public_key(
        "3059301306072A8648CE3D020106082A8648CE3D030107034200046B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D8"
        "98C2964FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5"
    )
    problems = check_evidence(folder, key=other).problems
    assert "is not the one given" in problems[0]
    assert any("signature" in problem for problem in problems)


def test_a_failed_assertion_is_a_failed_run(folder: Path) -> None:
    said = {"claim": "ac", "channel": "wire.v2g", "expected": "OK", "observed": "FAILED", "place": "rig.yaml:3"}
    write_assertions(folder, [Assertion(id=word, verdict=word, **said) for word in ("pass", "fail")])
    reseal(folder)
    assert "manifest.json: verdict pass, what is in the evidence says fail" in check_evidence(folder).problems
    reseal(folder, verdict="fail")
    assert check_evidence(folder).verdict == "fail"


def test_a_link_is_no_evidence(folder: Path) -> None:
    (folder / "passwd").symlink_to("/etc/passwd")
    with pytest.raises(RigError, match="a link is no evidence"):
        check_evidence(folder)


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(RigError, match="No such file"):
        check_evidence(tmp_path / "evidence.zip")
