"""The twin of a scenario: the same run with a defect in the device, which the scenario has to catch."""

from __future__ import annotations

from hil_rigs.scenario.judge import Verdict
from hil_rigs.scenario.scenario_run import ScenarioResult


def twin_verdict(result: ScenarioResult) -> Verdict:
    """pass: the defect was caught, by what the scenario names; fail: it went unnoticed; error: it never ran."""
    if result.verdict in (Verdict.ERROR, Verdict.NOT_RUN):
        return result.verdict
    failed = {one.id for one in result.failed}
    wanted = set(result.caught_by)
    caught = wanted <= failed if wanted else bool(failed)
    return Verdict.PASS if caught else Verdict.FAIL
