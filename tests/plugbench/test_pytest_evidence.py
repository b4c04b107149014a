"""What `pytest --evidence` keeps of each test is a sealed archive."""

from __future__ import annotations

import json

import pytest

from plugbench.__main__ import main
from tests.plugbench.test_pytest_plugin import run

TESTS = """\
def test_good(rig):
    rig.plug()
    rig.card("04A1B2C3D4E5F6")
    rig.until("wire.power contactor closed=true", within="10 s")
    rig.expect("session authorised", says="the card is known")

def test_unmet(rig):
    rig.expect("wire.pilot state state=D")

def test_wrong(rig):
    assert rig.clock.monotonic() < 0, "no time for that"
"""


def test_each_test_leaves_evidence_that_holds(pytester: pytest.Pytester, capsys: pytest.CaptureFixture[str]) -> None:
    output, junit = run(pytester, "--rig", "rig.yaml", "--rig-seed", "5", "--evidence", "kept", tests=TESTS)
    assert "1 passed, 2 failed" in output or "2 failed, 1 passed" in output
    folders = sorted((pytester.path / "kept").iterdir())
    assert [folder.name for folder in folders] == [f"test_them.py--test_{name}" for name in ("good", "unmet", "wrong")]
    told = {one.get("value") for one in junit.iter("property") if one.get("name") == "evidence"}
    for folder, verdict, count in zip(folders, ("pass", "fail", "fail"), (2, 2, 1), strict=True):
        digest = (folder / "manifest.sha256").read_text(encoding="utf-8").split()[0]
        assert f"{folder / 'evidence.zip'}, digest {digest}".removeprefix(f"{pytester.path}/") in told
        capsys.readouterr()
        assert main(("evidence", "verify", str(folder / "evidence.zip"), "--digest", digest, "--json")) == 0
        checked = json.loads(capsys.readouterr().out)
        assert (checked["verdict"], checked["manifest"]["seed"]) == (verdict, 5)
        assert len(json.loads((folder / "assertions.json").read_bytes())) == count
    assert list(folders[0].glob("records/*.ocmf"))
    last = json.loads((folders[2] / "assertions.json").read_bytes())[-1]
    assert "no time for that" in last["observed"]
    assert main(("replay", str(folders[0]))) == 2
    assert "run test_them.py::test_good again with pytest --rig" in capsys.readouterr().err
