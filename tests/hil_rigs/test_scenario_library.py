"""The scenarios that come with Plugbench: each passes, each catches its seeded defects, each repeats itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from hil_rigs.evidence.event_hash import hash_events
from hil_rigs.scenario.defects import DEFECTS
from hil_rigs.scenario.format import Defect
from hil_rigs.scenario.judge import Verdict
from hil_rigs.scenario.scenario_file import ScenarioFile, load_scenarios
from hil_rigs.scenario.scenario_run import ScenarioResult, run_scenario
from hil_rigs.scenario.scenario_schema import scenario_schema
from hil_rigs.scenario.twin import twin_verdict
from hil_rigs.trace_file import TraceFile
from hil_rigs.yaml_nodes import MappingNode, Node, ScalarNode, SequenceNode, compose, scalar_value

LIBRARY = Path(__file__).resolve().parents[2] / "scenarios"
FILES = sorted(LIBRARY.glob("*.yaml"))
# 1 to 30, and of the second list what ISO 15118-2 has: 31 is one of -20, 37 wants a tariff that nobody offers yet
NUMBERS = {*range(1, 31), 32, 33, 34, 35, 36, 38, 39, 40}
REPETITIONS = 20
SCHEMA = jsonschema_rs.validator_for(scenario_schema())


def plain(node: Node | None) -> Any:
    """A file as YAML 1.2 reads it: `on` is a key."""
    if isinstance(node, MappingNode):
        return {key.value: plain(value) for key, value in node.value}
    if isinstance(node, SequenceNode):
        return [plain(item) for item in node.value]
    return scalar_value(node) if isinstance(node, ScalarNode) else None


def play(file: ScenarioFile, folder: Path, defect: Defect | None = None) -> tuple[ScenarioResult, str]:
    """Run it; what came of it, and the hash of its events."""
    folder.mkdir()
    with TraceFile(folder / "events.jsonl") as tracer:
        result = run_scenario(file, folder, tracer, lambda _text: None, defect=defect)
    with (folder / "events.jsonl").open("rb") as lines:
        return result, hash_events(lines).hex()


def told(result: ScenarioResult) -> str:
    """What went wrong, for whoever reads the failure."""
    lines = [f"{one.where} {one.verdict}: expected {one.expected}, observed {one.observed}" for one in result.failed]
    return "\n".join([f"{result.name}: {result.verdict} {result.problem} {result.where}", *lines])


def test_every_number_of_the_list_has_a_scenario() -> None:
    assert {int(path.name[:2]) for path in FILES} == NUMBERS


# all of them are run by `make scenarios`, and so by CI; these few show here that the library is whole
SLICE = {"01_ac_basic", "04_contract_installation", "12_residual_current", "29_slow_token"}
FEW = [pytest.param(path, id=path.stem, marks=() if path.stem in SLICE else pytest.mark.soak) for path in FILES]


@pytest.mark.parametrize("path", FEW)
def test_passes(path: Path, tmp_path: Path) -> None:
    assert not list(SCHEMA.iter_errors(plain(compose(path.read_text(encoding="utf-8")))))
    for number, file in enumerate(load_scenarios(path)):
        assert file.scenario.defects, "a scenario without a seeded defect proves nothing"
        result, _ = play(file, tmp_path / str(number))
        assert result.verdict is Verdict.PASS, told(result)


@pytest.mark.soak
def test_every_defect_of_the_list_is_caught_somewhere() -> None:
    used = {defect.seed for path in FILES for file in load_scenarios(path) for defect in file.scenario.defects}
    assert set(DEFECTS) <= used


@pytest.mark.soak
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_catches_its_defects(path: Path, tmp_path: Path) -> None:
    for number, file in enumerate(load_scenarios(path)):
        for count, defect in enumerate(file.scenario.defects):
            result, _ = play(file, tmp_path / f"{number}-{count}", defect)
            failed = [one.id for one in result.failed]
            assert twin_verdict(result) is Verdict.PASS, (
                f"{defect.seed}: {failed} failed, expected {result.caught_by}\n{told(result)}"
            )


@pytest.mark.soak
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_repeats_itself_event_by_event(path: Path, tmp_path: Path) -> None:
    for number, file in enumerate(load_scenarios(path)):
        hashes = {play(file, tmp_path / f"{number}-{again}")[1] for again in range(REPETITIONS)}
        assert len(hashes) == 1
