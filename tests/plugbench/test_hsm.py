"""`plugbench hsm` from outside, with SoftHSM in a folder of its own and with a key file."""

import json

import pytest

from hsm.softhsm import find_module
from ocmf.keys import decode_public_key
from ocmf.verify import verify_signature
from plugbench.__main__ import main


def run(capsys, *arguments):
    code = main(["hsm", *map(str, arguments), "--json"])
    return code, json.loads(capsys.readouterr().out)


@pytest.fixture
def softhsm(tmp_path):
    if find_module() is None:
        pytest.skip("SoftHSM (Debian package softhsm2) is not installed")
    return tmp_path / "token"


@pytest.fixture
def message(tmp_path):
    path = tmp_path / "message"
    path.write_bytes(b"a payload")
    return path


def test_token_from_init_to_signature(softhsm, message, tmp_path, capsys):
    code, made = run(capsys, "init", "--softhsm", softhsm, "--curve", "brainpool256r1")
    assert code == 0
    assert made["curve"] == "brainpoolP256r1"
    assert made["is_hsm"]
    assert (softhsm / "pin").stat().st_mode & 0o777 == 0o600

    _, listed = run(capsys, "list", "--softhsm", softhsm)
    (token,) = listed["tokens"]
    assert [(key["kind"], key["public_key"]) for key in token["keys"]] == [("public", made["public_key"])]
    _, listed = run(capsys, "list", "--softhsm", softhsm, "--token", "plugbench", "--curves")
    assert {key["kind"] for key in listed["tokens"][0]["keys"]} == {"public", "private"}
    assert "secp192k1" in listed["curves"]

    _, signed = run(capsys, "sign", "--softhsm", softhsm, message, "-o", tmp_path / "signature")
    public = decode_public_key(made["public_key"])
    verify_signature(b"a payload", bytes.fromhex(signed["signature"]), public)
    assert (tmp_path / "signature").read_bytes() == bytes.fromhex(signed["signature"])

    for form in ("hex", "base64", "pem", "oca"):
        assert main(["hsm", "pubkey", "--softhsm", str(softhsm), "--form", form]) == 0
        assert decode_public_key(capsys.readouterr().out) == public
    assert main(["hsm", "pubkey", "--softhsm", str(softhsm), "--form", "qr"]) == 0
    assert len(capsys.readouterr().out.splitlines()) > 10
    assert main(["hsm", "pubkey", "--softhsm", str(softhsm), "--form", "svg", "-o", str(tmp_path / "key.svg")]) == 0
    assert (tmp_path / "key.svg").read_text().startswith("<svg")

    assert main(["hsm", "init", "--softhsm", str(softhsm)]) == 2
    assert "has a key 'billing'" in capsys.readouterr().err
    pin = (softhsm / "pin").read_text().strip()
    assert main(["hsm", "list", "--softhsm", str(softhsm)]) == 0
    assert pin not in "".join(capsys.readouterr())


def test_file_key_is_shown_as_what_it_is(message, tmp_path, capsys):
    file = tmp_path / "key.pem"
    _, made = run(capsys, "init", "--file", file)
    assert not made["is_hsm"]
    assert "not an HSM" in made["description"]
    assert main(["hsm", "sign", "--file", str(file), str(message)]) == 0
    out, err = capsys.readouterr()
    verify_signature(b"a payload", bytes.fromhex(out), decode_public_key(made["public_key"]))
    assert "not an HSM" in err
    _, shown = run(capsys, "pubkey", "--file", file)
    assert shown["public_key"] == made["public_key"]


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (["init", "--module", "/none.so", "--pin-env", "NOT_SET"], "/none.so is not there"),
        (["init", "--curve", "nonsense", "--file", "x"], "curve 'nonsense' is unknown"),
        (["sign", "--file", "/none.pem", "/dev/null"], "No such file"),
        (["sign", "--file", "/none.pem", "/none"], "/none: No such file"),
        (["pubkey", "--file", "/none.pem"], "No such file"),
    ],
)
def test_errors_name_the_place(capsys, arguments, match):
    assert main(["hsm", *arguments]) == 2
    assert match in capsys.readouterr().err


def test_pin_must_be_named(softhsm, capsys):
    assert main(["hsm", "sign", "--token", "x", "/dev/null"]) == 2
    assert "--pin-file" in capsys.readouterr().err
    assert main(["hsm", "sign", "--softhsm", str(softhsm), "/dev/null"]) == 2
    assert "PIN file" in capsys.readouterr().err


def test_missing_key_is_named(softhsm, capsys):
    assert run(capsys, "init", "--softhsm", softhsm)[0] == 0
    assert main(["hsm", "pubkey", "--softhsm", str(softhsm), "--key", "other"]) == 2
    assert "0 public keys 'other'" in capsys.readouterr().err
