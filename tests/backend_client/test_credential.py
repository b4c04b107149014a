from pathlib import Path

import pytest

from backend_client.credential import Credential
from ports.errors import LocalError, RigError


def test_a_secret_comes_from_a_file_or_a_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").write_text(" s3cret\n", encoding="utf-8")
    monkeypatch.setenv("PLUGBENCH_TEST_TOKEN", "other")
    assert Credential(tmp_path / "token").read() == "s3cret"
    assert Credential(variable="PLUGBENCH_TEST_TOKEN").read() == "other"


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe", b"a\nb"])
def test_a_file_without_a_usable_secret_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "token").write_bytes(content)
    with pytest.raises(RigError, match="token") as raised:
        Credential(tmp_path / "token").read()
    assert "a\nb" not in str(raised.value)


def test_a_missing_variable_is_named() -> None:
    with pytest.raises(RigError, match="PLUGBENCH_NO_SUCH is empty or not set"):
        Credential(variable="PLUGBENCH_NO_SUCH").read()


def test_one_source_exactly(tmp_path: Path) -> None:
    for arguments in ((None, ""), (tmp_path, "X")):
        with pytest.raises(LocalError):
            Credential(*arguments)
