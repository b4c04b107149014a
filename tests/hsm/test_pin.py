"""PINs from files and variables."""

import pytest

from hsm.errors import Remedy, TokenError
from hsm.pin import PinSource


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "pin"
    path.write_text("12 34\r\n", encoding="utf-8")
    path.chmod(0o600)
    return path


def test_file_and_variable(file, monkeypatch):
    assert PinSource(file).read() == "12 34"
    monkeypatch.setenv("TOKEN_PIN", "5678")
    assert PinSource(variable="TOKEN_PIN").read() == "5678"


def test_a_source_never_shows_the_pin(file, monkeypatch):
    monkeypatch.setenv("TOKEN_PIN", "5678")
    assert "5678" not in repr(PinSource(variable="TOKEN_PIN"))
    assert "12 34" not in repr(PinSource(file))


def test_file_that_others_can_read(file):
    file.chmod(0o640)
    with pytest.raises(TokenError, match=r"mode 0640.*chmod 600") as error:
        PinSource(file).read()
    assert error.value.remedy is Remedy.FATAL
    assert "12 34" not in str(error.value)


def test_missing_and_empty(file, tmp_path, monkeypatch):
    monkeypatch.delenv("TOKEN_PIN", raising=False)
    with pytest.raises(TokenError, match="TOKEN_PIN is not set"):
        PinSource(variable="TOKEN_PIN").read()
    with pytest.raises(TokenError, match="No such file"):
        PinSource(tmp_path / "none").read()
    file.write_bytes(b"\n")
    with pytest.raises(TokenError, match="is empty"):
        PinSource(file).read()
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(TokenError, match="UTF-8"):
        PinSource(file).read()


def test_exactly_one_source(file):
    for broken in ({}, {"file": file, "variable": "X"}):
        with pytest.raises(TokenError, match="one file or one environment variable"):
            PinSource(**broken)
