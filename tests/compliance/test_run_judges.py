"""Records of whole runs before foreign judges: pyocmf 0.6.0 (PyPI, MIT) and ocmf-js 0.0.9 (npm, MIT).

The run is that of `make run` in virtual time: rig file, simulated SDM630 on a line, token, journal, HTTP, CPO.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pyocmf import OCMF, OcmfContainer, check_eichrecht_transaction

from hil_rigs.rig_file import load_rig
from hil_rigs.run import RunOutcome, run_rig
from hil_rigs.run_folder import make_folder, write_records
from ports.trace import no_trace

RIGS = Path(__file__).resolve().parents[2] / "rigs"


@pytest.fixture(scope="module", params=["first_session", pytest.param("two_connectors", marks=pytest.mark.foreign)])
def outcome(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> RunOutcome:
    """A finished run of an example rig, moved to virtual time."""
    folder = tmp_path_factory.mktemp("run")
    text = (RIGS / f"{request.param}.yaml").read_text(encoding="utf-8")
    text = text.replace("clock: {mode: real}", "clock: {mode: virtual, start: 2026-06-01T08:00:00+02:00}")
    (folder / "rig.yaml").write_text(text, encoding="utf-8")
    return run_rig(load_rig(folder / "rig.yaml"), make_folder(folder / "left"), no_trace, lambda _text: None)


def test_pyocmf_accepts_every_record_and_every_transaction(outcome: RunOutcome) -> None:
    assert outcome.result.verdict == "pass"
    transactions: dict[str, list[OCMF]] = {}
    for record in outcome.records:
        ocmf = OCMF.from_string(record.ocmf)
        assert ocmf.verify_signature(outcome.public_key.hex())
        transactions.setdefault(record.transaction_id, []).append(ocmf)
    for records in transactions.values():
        assert check_eichrecht_transaction(records[0].payload, records[-1].payload) == []


def test_ocmf_js_accepts_every_record(
    outcome: RunOutcome, judge_js: Callable[[list[tuple[str, str]]], list[object]]
) -> None:
    verdicts = judge_js([(record.ocmf, outcome.public_key.hex()) for record in outcome.records])
    assert verdicts == [True] * len(outcome.records)
    changed = outcome.records[0].ocmf.replace('"RV":', '"RV":1')
    assert judge_js([(changed, outcome.public_key.hex())]) != [True]


def test_pyocmf_reads_the_safe_xml_of_a_run(outcome: RunOutcome, tmp_path: Path) -> None:
    for file in write_records(tmp_path, outcome.records, outcome.public_key):
        if file.suffix == ".xml":
            container = OcmfContainer.from_xml(file)
            assert len(container) == sum(record.transaction_id == file.stem for record in outcome.records)
