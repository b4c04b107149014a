"""Many runs: which, in what order, on how many cores, and what becomes of them."""

import pickle
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from hil_rigs.scenario.campaign import Take, _play_there, jobs_of, play, play_all, takes_of
from hil_rigs.scenario.judge import Verdict
from hil_rigs.scenario.scenario_file import ScenarioFile, load_scenarios
from ports.errors import RigError

LIBRARY = Path(__file__).resolve().parents[3] / "scenarios"
RIG = (LIBRARY / "rigs" / "basic_ac.yaml").read_text(encoding="utf-8")
SHORT = """
scenario: {name}
title: the vehicle is seen
rig: rig.yaml
given: [{{do: plug}}]
when: [{{do: wait, time: 2 s}}]
then: [{{expect: "wire.pilot vehicle phase=connected"}}]
defects: [{{seed: gateway.deaf_to_pilot}}]
"""


@pytest.fixture
def library(tmp_path: Path) -> Path:
    folder = tmp_path / "library"
    folder.mkdir()
    (folder / "rig.yaml").write_text(RIG, encoding="utf-8")
    for name in ("first", "second"):
        (folder / f"{name}.yaml").write_text(SHORT.format(name=name), encoding="utf-8")
    return folder


@pytest.fixture
def files(library: Path) -> list[ScenarioFile]:
    return load_scenarios(library)


def test_takes_stand_in_the_order_of_the_files_each_kind_together(files: list[ScenarioFile], tmp_path: Path) -> None:
    takes = takes_of(files, tmp_path, repeat=2, defects=True)
    assert [take.folder.name for take in takes] == [
        "00-first", "00-first-2", "00-first-defect1", "00-first-defect1-2",
        "01-second", "01-second-2", "01-second-defect1", "01-second-defect1-2",
    ]  # fmt: skip
    assert [take.kind for take in takes] == [0, 0, 2, 2, 4, 4, 6, 6]
    assert [take.defect for take in takes] == [None, None, 0, 0] * 2
    assert [take.defect for take in takes_of(files, tmp_path)] == [None, None]


def test_real_time_has_the_machine_for_itself(library: Path, files: list[ScenarioFile]) -> None:
    assert jobs_of(files, 7) == 7
    assert jobs_of(files, None) >= 1
    real = re.sub(r"^clock: .*$", "clock: {mode: real}", RIG, flags=re.MULTILINE)
    (library / "rig.yaml").write_text(real, encoding="utf-8")
    assert jobs_of([files[0], *load_scenarios(library)], 7) == 1


@pytest.mark.soak  # CI runs the whole library side by side, see `make scenarios`
def test_side_by_side_gives_what_one_after_the_other_gives(files: list[ScenarioFile], tmp_path: Path) -> None:
    alone, together = tmp_path / "alone", tmp_path / "together"
    for folder in (alone, together):
        folder.mkdir()
    one_by_one = list(play_all(takes_of(files, alone), 1))
    at_once = list(play_all(takes_of(files, together), 2))
    assert [played.result.verdict for played in at_once] == [Verdict.PASS] * 2
    assert [played.result for played in one_by_one] == [played.result for played in at_once]
    assert [played.sealed.event_hash for played in one_by_one] == [played.sealed.event_hash for played in at_once]
    assert len({played.sealed.event_hash for played in at_once}) == 1, "the two differ in their names only"
    assert all((together / name / "evidence.zip").is_file() for name in ("00-first", "01-second"))


@pytest.mark.parametrize("play_it", [play, _play_there], ids=["here", "in another process"])
def test_what_cannot_be_run_is_told(
    files: list[ScenarioFile], tmp_path: Path, play_it: Callable[[Take], object]
) -> None:
    files[0].path.write_text("scenario: [", encoding="utf-8")
    with pytest.raises(RigError, match=r"first\.yaml") as told:
        play_it(Take(files[0].path, "first", tmp_path / "0", 0))
    if play_it is _play_there:
        assert str(pickle.loads(pickle.dumps(told.value))) == str(told.value)
