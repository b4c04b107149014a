"""Making and listing tokens and keys."""

from pathlib import Path

import pytest

from hsm.errors import Remedy, TokenError
from hsm.provision import Module
from hsm.softhsm import token_folder
from hsm.worker_process import ask_once
from ocmf.curves import CURVES


def test_inventory(tokens):
    library, (token,) = tokens.module.list_tokens()
    assert "SoftHSM" in library
    assert token.label == "plugbench"
    public = {key.label: key.public for key in token.keys}
    assert public == tokens.keys
    _, (with_login,) = tokens.module.list_tokens(login="plugbench", pin=tokens.pin)
    private = sorted(key.label for key in with_login.keys if key.kind == "private")
    assert private == sorted(tokens.keys)


def test_the_token_says_which_curves_it_has(tokens):
    curves, refused = tokens.module.curves("plugbench", tokens.pin)
    assert {curve.name for curve in curves} == {curve.name for curve in CURVES.values() if curve.in_table}
    assert refused == {}


def test_nothing_is_overwritten(tokens):
    with pytest.raises(TokenError, match="has a key 'billing'"):
        tokens.module.generate_key("plugbench", "billing", CURVES["secp256r1"], tokens.pin)
    with pytest.raises(TokenError, match="'plugbench' already"):
        tokens.module.init_token("plugbench", tokens.pin)


@pytest.mark.parametrize("label", ["", "x" * 33])
def test_labels_have_a_length(tokens, label):
    with pytest.raises(TokenError, match="1 to 32"):
        tokens.module.init_token(label, tokens.pin)


def test_pin_that_the_token_refuses(softhsm, tmp_path):
    short = tmp_path / "pin"
    short.write_text("1", encoding="utf-8")
    short.chmod(0o600)
    from hsm.pin import PinSource

    module = Module(softhsm, token_folder(tmp_path / "tokens"))
    with pytest.raises(TokenError, match="C_InitPIN gave CKR 0xA2") as error:
        module.init_token("plugbench", PinSource(short))
    assert error.value.ckr == 0xA2


def test_module_that_is_missing_or_is_none(tokens, tmp_path):
    with pytest.raises(TokenError, match="softhsm2"):
        Module(tmp_path / "none.so", {}).list_tokens()
    rubbish = tmp_path / "rubbish.so"
    rubbish.write_bytes(b"no library")
    with pytest.raises(TokenError):
        Module(rubbish, {}).list_tokens()
    with pytest.raises(TokenError, match=r"file too short|invalid ELF"):
        Module(rubbish, {}).init_token("plugbench", tokens.pin)


def test_token_folder_is_private(tmp_path):
    environment = token_folder(tmp_path / "new")
    assert (tmp_path / "new" / "tokens").stat().st_mode & 0o777 == 0o700
    assert str(tmp_path / "new" / "tokens") in Path(environment["SOFTHSM2_CONF"]).read_text(encoding="utf-8")


def test_worker_that_ends_or_hangs_is_an_error():
    with pytest.raises(TokenError, match=r"(?s)ended during nonsense.*has no attribute") as error:
        ask_once("nonsense", {})
    assert error.value.remedy is Remedy.RETRY
    with pytest.raises(TokenError, match=r"within 1e-06 s"):
        ask_once("health", {}, timeout_s=1e-6)
