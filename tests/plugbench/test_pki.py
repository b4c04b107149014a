"""`plugbench pki` from outside: what a person at a shell gets."""

from __future__ import annotations

import json
import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from plugbench.__main__ import main
from v2g.certificate_profiles import ISO2_STRICT, Role
from v2g.certificates import CertificateError, check_chain, load, load_all


@pytest.fixture
def folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    assert main(["pki", "init", str(tmp_path / "pki"), "--name", "secc=DE*ABC*E1"]) == 0
    assert "16/16 vehicle" in capsys.readouterr().err
    return tmp_path / "pki"


def run(capsys: pytest.CaptureFixture[str], *words: object) -> dict[str, object]:
    assert main(["pki", *map(str, words), "--json"]) == 0
    found: dict[str, object] = json.loads(capsys.readouterr().out)
    return found


def test_init_writes_a_whole_pki_that_only_its_owner_reads(folder: Path) -> None:
    certs = folder / "certs" / "iso2-strict"
    assert len(list(certs.glob("*.der"))) == 16
    leaf, *subs = load_all((certs / "secc.chain.pem").read_bytes())
    root = load((certs / "v2g-root.pem").read_bytes())
    check_chain(leaf, subs, [root], role=Role.SECC, profile=ISO2_STRICT, at=datetime.now(UTC))
    assert folder.stat().st_mode & 0o77 == 0
    keys = list((folder / "private_keys").rglob("*.pem"))
    assert len(keys) == 16
    for file in (*keys, folder / "passphrase", folder / "pki.toml", folder / "pki.db"):
        assert file.stat().st_mode & 0o77 == 0
    assert all(b"ENCRYPTED PRIVATE KEY" in file.read_bytes() for file in keys)


def test_a_second_realm_is_added_and_a_second_init_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = run(capsys, "init", folder, "--preset", "hubject-qa")
    assert list(made["realms"]) == ["hubject-qa"]  # type: ignore[call-overload]
    assert main(["pki", "init", str(folder)]) == 2
    assert "realm 'iso2-strict' exists" in capsys.readouterr().err
    assert main(["pki", "issue", str(folder), "contract"]) == 2
    assert "name one with --realm: iso2-strict, hubject-qa" in capsys.readouterr().err
    assert main(["pki", "init", str(folder), "--ocsp-url", "http://x/"]) == 2
    assert "change the settings there" in capsys.readouterr().err


def test_issue_show_revoke(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    issued = run(capsys, "issue", folder, "contract", "--name", "DE-ABC-C00000001", "--to", "2027-01-01", "--with-key")
    assert issued["valid_to"] == "2027-01-01T00:00:00+00:00"
    files = [Path(name) for name in issued["files"]]  # type: ignore[attr-defined]
    key = next(file for file in files if file.suffix == ".key")
    load_pem_private_key(key.read_bytes(), None)
    assert key.stat().st_mode & 0o77 == 0
    shown = run(capsys, "show", folder, "DE-ABC-C00000001")
    assert [row["kind"] for row in shown["chain"]] == ["contract", "mo-sub2", "mo-sub1", "mo-root"]  # type: ignore[attr-defined]
    assert shown["revoked"] is None
    revoked = run(capsys, "revoke", folder, str(issued["fingerprint"])[:10], "--reason", "superseded")
    assert (revoked["reason"], revoked["serial"]) == ("superseded", issued["serial"])
    assert main(["pki", "show", str(folder)]) == 0
    assert "DE-ABC-C00000001  [superseded" in capsys.readouterr().out
    assert len(run(capsys, "show", folder)["certificates"]) == 17  # type: ignore[arg-type]


def test_issue_for_a_request(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from cryptography.hazmat.primitives.asymmetric import ec

    from tests.backends.pki.requests import make_request

    (tmp_path / "request.der").write_bytes(make_request(ec.generate_private_key(ec.SECP256R1()), "any"))
    issued = run(capsys, "issue", folder, "secc", "--csr", tmp_path / "request.der", "--name", "DE*ABC*E2")
    assert (issued["key"], issued["common_name"]) == ("elsewhere", "DE*ABC*E2")
    assert main(["pki", "issue", str(folder), "secc", "--csr", str(tmp_path / "none")]) == 2
    (tmp_path / "broken").write_bytes(b"x")
    assert main(["pki", "issue", str(folder), "secc", "--csr", str(tmp_path / "broken")]) == 1


def test_bad_certificates(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    variants = run(capsys, "variants")
    assert {"expired", "not-yet-valid", "wrong-dc", "wrong-key-usage", "path-length", "revoked"} <= set(variants)
    issued = run(capsys, "issue", folder, "contract", "--bad", "expired")
    leaf, *subs = load_all(Path(issued["files"][2]).read_bytes())  # type: ignore[index]
    root = load((folder / "certs" / "iso2-strict" / "mo-root.pem").read_bytes())
    with pytest.raises(CertificateError, match="expired"):
        check_chain(leaf, subs, [root], role=Role.CONTRACT, profile=ISO2_STRICT, at=datetime.now(UTC))
    assert main(["pki", "issue", str(folder), "contract", "--bad", "ugly"]) == 2
    assert "'ugly' is unknown" in capsys.readouterr().err


def test_init_with_bad_ones_at_another_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = run(
        capsys, "init", tmp_path / "p", "--bad", "mo-sub2=wrong-dc", "--at", "2030-06-01T00:00", "--realm", "lab"
    )
    rows = {row["kind"]: row for row in made["realms"]["lab"]}  # type: ignore[index]
    assert rows["mo-sub2"]["bad"] == "wrong-dc"
    assert rows["v2g-root"]["valid_from"] == "2030-05-31T23:00:00+00:00"


def test_josev_layout(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The names are those of iso15118 0.31.2, iso15118/shared/security.py."""
    run(capsys, "export", folder, tmp_path / "out", "--layout", "josev")
    certs, private = tmp_path / "out" / "iso15118_2" / "certs", tmp_path / "out" / "iso15118_2" / "private_keys"
    for name in ("contractLeaf", "moSubCA2", "moSubCA1", "seccLeaf", "cpoSubCA2", "cpoSubCA1", "cpsLeaf", "cpsSubCA2"):
        load((certs / f"{name}Cert.der").read_bytes())
    for name in ("v2gRootCA", "moRootCA", "oemRootCA", "oemLeaf", "oemSubCA2", "oemSubCA1", "cpsSubCA1"):
        load((certs / f"{name}Cert.der").read_bytes())
    for key in ("contractLeaf", "moSubCA2", "seccLeaf", "cpsLeaf", "oemLeaf"):
        password = (private / f"{key}{'Leaf' * key.startswith('mo')}Password.txt").read_bytes().strip()
        load_pem_private_key((private / f"{key}.key").read_bytes(), password)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certs / "cpoCertChain.pem", private / "seccLeaf.key", "12345")
    context.load_cert_chain(certs / "oemCertChain.pem", private / "oemLeaf.key", "12345")
    context.load_verify_locations(certs / "v2gRootCACert.pem")


@pytest.mark.parametrize("layout", ["plain", "bundle", "crl"])
def test_other_layouts(layout: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "password").write_text("pass\n")
    made = run(capsys, "export", folder, tmp_path / "out", "--layout", layout, "--password-file", tmp_path / "password")
    assert len(made["files"]) == {"plain": 61, "bundle": 7, "crl": 11}[layout]  # type: ignore[arg-type]
    if layout == "plain":
        load_pem_private_key((tmp_path / "out" / "secc.key").read_bytes(), b"pass")
    if layout == "bundle":
        assert len(load_all((tmp_path / "out" / "roots.pem").read_bytes())) == 3
        assert len(load_all((tmp_path / "out" / "sub-cas.pem").read_bytes())) == 8
        assert len(load_all((tmp_path / "out" / "contract.chain.pem").read_bytes())) == 4


def test_hubject_preset_in_josev_layout(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, "init", tmp_path / "pki", "--preset", "hubject-qa")
    run(capsys, "export", tmp_path / "pki", tmp_path / "out", "--layout", "josev")
    certs = tmp_path / "out" / "iso15118_2" / "certs"
    assert (certs / "moRootCACert.der").read_bytes() == (certs / "v2gRootCACert.der").read_bytes()


def test_errors_say_what_to_do(tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cases = [
        (["show", str(tmp_path / "nothing")], "plugbench pki init"),
        (["show", str(folder), "nobody"], "plugbench pki show"),
        (["revoke", str(folder), "v2g-root"], "is a root"),
        (["revoke", str(folder), "secc", "--reason", "x"], "reason 'x' is unknown"),
        (["issue", str(folder), "secc", "--realm", "x"], "realm 'x' does not exist"),
        (["init", str(tmp_path / "n"), "--preset", "x"], "profile 'x' is unknown"),
        (["init", str(tmp_path / "n"), "--preset", "rise", "--preset", "iso2-strict", "--realm", "x"], "one --preset"),
    ]
    for words, text in cases:
        assert main(["pki", *words]) == 2, words
        assert text in capsys.readouterr().err
    assert not (tmp_path / "n").exists()


def test_passphrases_by_reference(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PKI_PASSPHRASE", "in the environment")
    folder = tmp_path / "pki"
    run(capsys, "init", folder, "--passphrase-env", "PKI_PASSPHRASE")
    assert "in the environment" not in (folder / "pki.toml").read_text()
    assert not (folder / "passphrase").exists()
    monkeypatch.setenv("PKI_PASSPHRASE", "another")
    assert main(["pki", "issue", str(folder), "contract"]) == 2
    error = capsys.readouterr().err
    assert "is the passphrase the right one" in error
    assert "another" not in error
    monkeypatch.delenv("PKI_PASSPHRASE")
    assert main(["pki", "issue", str(folder), "contract"]) == 2
    assert "PKI_PASSPHRASE holds no passphrase" in capsys.readouterr().err
