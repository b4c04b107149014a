"""Whether a seeded defect was caught, and what is said when it was not."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from hil_rigs.evidence.seal import Sealed
from hil_rigs.scenario.judge import Judged, Verdict
from hil_rigs.scenario.junit import junit
from hil_rigs.scenario.scenario_run import ScenarioResult
from hil_rigs.scenario.twin import twin_verdict, uncaught
from plugbench.scenario import _Screen

PASS, FAIL, BLIND = Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE


def twin(*verdicts: Verdict, caught_by: tuple[str, ...] = (), verdict: Verdict = FAIL) -> ScenarioResult:
    """A run with a defect in which each assertion came out so."""
    judged = tuple(
        Judged(f"then[{number}]", f"x.yaml:{number + 9}", "store", one, "a record", "nothing")
        for number, one in enumerate(verdicts)
    )
    return ScenarioResult("x", Path("x.yaml"), verdict, judged, defect="board.blind", caught_by=caught_by)


UNSEEN = "nothing failed with the defect: the scenario does not notice it"
TWO = "then[1] and then[3] were to fail and did not; what failed: then[2]"


@pytest.mark.parametrize(
    ("result", "says"),
    [
        (twin(PASS, PASS), UNSEEN),
        (twin(PASS, BLIND, caught_by=("then[1]",)), UNSEEN),
        (twin(PASS, PASS, FAIL, PASS, caught_by=("then[1]", "then[3]")), TWO),
        (
            twin(FAIL, BLIND, FAIL, caught_by=("then[1]",)),
            "then[1] (inconclusive) was to fail and did not; what failed: then[0] and then[2]",
        ),
        (twin(PASS, FAIL), ""),
        (twin(FAIL, FAIL, caught_by=("then[1]",)), ""),
    ],
)
def test_what_was_not_caught_says_why(result: ScenarioResult, says: str) -> None:
    assert uncaught(result) == says
    assert twin_verdict(result) is (Verdict.FAIL if says else Verdict.PASS)
    (case,) = ElementTree.fromstring(junit([result])).iter("testcase")
    messages = [failure.get("message", "") for failure in case.findall("failure")]
    assert [message.startswith(says) for message in messages] == ([True] if says else [])


def test_the_screen_says_so_too_and_names_each_assertion(capsys: pytest.CaptureFixture[str]) -> None:
    screen, sealed = _Screen(1), Sealed(Path("e.zip"), "0", "", 0, repeats=False)
    screen.result(twin(PASS, PASS, FAIL, PASS, caught_by=("then[1]", "then[3]")), Path("run"), sealed)
    printed = capsys.readouterr().out
    assert f"  not caught: {TWO}\n" in printed
    assert "    x.yaml:11 then[2] [store]\n" in printed
    screen.result(twin(PASS, FAIL), Path("run"), sealed)
    printed = capsys.readouterr().out
    assert "caught by then[1]\n" in printed
    assert "not caught" not in printed


def test_what_never_ran_is_neither() -> None:
    assert twin_verdict(twin(verdict=Verdict.ERROR)) is Verdict.ERROR
