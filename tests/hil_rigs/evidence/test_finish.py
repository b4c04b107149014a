from pathlib import Path

from hil_rigs.evidence.finish import complete
from hil_rigs.evidence.verify import check_evidence
from hil_rigs.run import RunResult
from tests.hil_rigs.evidence.conftest import STARTED


def test_a_recording_that_nobody_can_read_is_sealed_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").write_text("")
    (tmp_path / "rig.yaml").write_text("rig: none")
    (tmp_path / "report.json").write_text('{"verdict": "error", "problems": ["x"]}')
    (tmp_path / "v2g-1.pcapng").write_bytes(b"\x0a\x0d\x0d\x0a" + b"\xff" * 60)
    result = RunResult("none", "error", "real", 0, "", False, [], (), ("x",))
    complete(tmp_path, result, (), STARTED, scenario="none")
    assert check_evidence(tmp_path / "evidence.zip").require().verdict == "error"
    report = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "cannot be told as a sequence" in report
    assert "No events." in report
