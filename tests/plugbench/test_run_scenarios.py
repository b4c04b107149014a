"""`plugbench run` of a scenario: what it prints, another seed, and what it refuses before the rig comes up."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from plugbench.__main__ import main
from tests.hil_rigs.evidence.conftest import SMALL

SCENARIO = """\
scenario: small
rig: rig.yaml
when:
  - {do: wait, time: 1 s}
then:
  - {never: "wire.power contactor", says: nobody came}
"""


@pytest.fixture
def small(tmp_path: Path) -> Path:
    (tmp_path / "rig.yaml").write_text(SMALL, encoding="utf-8")
    (tmp_path / "small.yaml").write_text(
        SCENARIO.replace("wire.power contactor", "wire.power contactor"), encoding="utf-8"
    )
    return tmp_path


def test_the_evidence_of_each_run_is_printed_and_a_seed_counts(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = small / "out"
    assert main(("run", str(small / "small.yaml"), "--out", str(out), "--seed", "7")) == 0
    printed = capsys.readouterr().out
    (run,) = out.iterdir()
    manifest = json.loads((run / "manifest.json").read_bytes())
    digest = (run / "manifest.sha256").read_text(encoding="utf-8").split()[0]
    assert f"evidence {run / 'evidence.zip'}, digest {digest}\n" in printed
    assert manifest["seed"] == 7
    assert f"everything is in {out}, each run in a folder of its own\n" in printed
    assert main(("replay", str(run / "evidence.zip"))) == 0


def test_a_seed_is_a_number(small: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        main(("run", str(small / "small.yaml"), "--seed", "-1"))
    assert ended.value.code == 2


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ("contactor", "contacter", '6: then[0].never: "wire.power contacter": wire.power never shows'),
        ("when:\n", "inject:\n  - {at: 1 s, fault: line.drop, on: bs}\nwhen:\n", "4: inject[0].on: no virtual line"),
        ("wait, time: 1 s", "until, seen: store Fiscal, within: 1 s", '4: when[0].seen: "store Fiscal": records are'),
        (
            "time: 1 s",
            "time: 30",
            "4: when[0].time: expected text like 5 s (a duration), found the number 30; write 30 s",
        ),
        ("then:\n", "then:\n  - {check: csms.values}\n", "6: then[0].check: csms.values needs page"),
        (
            "when:\n",
            'defects:\n  - {seed: board.any_diode, caught_by: ["then[9]"]}\nwhen:\n',
            '4: defects[0].caught_by[0]: "then[9]" is none of then[0]\n',
        ),
        *(
            ("when:\n", f"defects:\n  - {{seed: {defect}}}\nwhen:\n", f"4: defects[0].{says}")
            for defect, says in (
                ("board.blind", "seed: board.blind needs to residual or heat or"),
                ("board.blind, with: {to: hete}", "with: board.blind: to is 'hete', not one of residual, heat"),
                ("board.slow_pilot, with: {s: 1}", "with: board.slow_pilot has no s: it has seconds"),
                ("board.slow_pilot, with: {seconds: x}", "with: board.slow_pilot: seconds is 'x', not a number (s)"),
                ("board.slow_pilot, with: {seconds: true}", "with: board.slow_pilot: seconds is True, not a number"),
                ("board.any_diode, with: {s: 1}", "with: board.any_diode has no s: it has no parameters"),
                ("board.any_diode, on: m1", "on: board.any_diode is a defect of the device: leave out on"),
            )
        ),
        ("then:\n", "then:\n  - {check: store.pair}\n", '6: then[0].check: no check "store.pair"; did you mean'),
    ],
)
def test_what_cannot_be_is_refused_with_its_line_before_the_rig_comes_up(
    small: Path, capsys: pytest.CaptureFixture[str], before: str, after: str, says: str
) -> None:
    file = small / "small.yaml"
    file.write_text(file.read_text(encoding="utf-8").replace(before, after), encoding="utf-8")
    assert main(("run", str(file), "--out", str(small / "out"))) == 2
    assert f"small.yaml:{says}" in capsys.readouterr().err
    assert not (small / "out").exists()
