"""The twin of a scenario: the same run with a defect in the device, which the scenario has to catch."""

from __future__ import annotations

from collections.abc import Sequence

from hil_rigs.scenario.judge import Verdict
from hil_rigs.scenario.scenario_run import ScenarioResult


def twin_verdict(result: ScenarioResult) -> Verdict:
    """pass: the defect was caught, by what the scenario names; fail: it went unnoticed; error: it never ran."""
    if result.verdict in (Verdict.ERROR, Verdict.NOT_RUN):
        return result.verdict
    return Verdict.FAIL if uncaught(result) else Verdict.PASS


def uncaught(result: ScenarioResult) -> str:
    """Why the defect does not count as caught; "" when it does."""
    failed = [one.id for one in result.failed]
    if not failed:
        return "nothing failed with the defect: the scenario does not notice it"
    became = {one.id: one.verdict for one in result.judged}
    missing = [
        name if became[name] is Verdict.PASS else f"{name} ({became[name]})"
        for name in dict.fromkeys(result.caught_by)
        if name not in failed
    ]
    if not missing:
        return ""
    was = "was" if len(missing) == 1 else "were"
    return f"{_and(missing)} {was} to fail and did not; what failed: {_and(failed)}"


def _and(names: Sequence[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
