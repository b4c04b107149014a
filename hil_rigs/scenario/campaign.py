"""Many runs of scenarios: one after the other, or, where all of them are in virtual time, side by side."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path

from hil_rigs.evidence.of_scenario import finish_scenario
from hil_rigs.evidence.seal import Sealed
from hil_rigs.locks.rig_lock import rig_held
from hil_rigs.real_clock import RealClock
from hil_rigs.rig import VirtualClockSettings
from hil_rigs.scenario.scenario_file import ScenarioFile, load_scenarios
from hil_rigs.scenario.scenario_run import ScenarioResult, run_scenario
from hil_rigs.trace_file import TraceFile
from ports.errors import PlugbenchError, RigError


@dataclass(frozen=True, slots=True)
class Take:
    """One run. name: of the scenario with its variant. defect: which of its defects is seeded, None = none.

    kind: the same number for all takes that have to give the same events. seed: instead of the rig's.
    """

    file: Path
    name: str
    folder: Path
    kind: int
    defect: int | None = None
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class Played:
    """What came of a take."""

    result: ScenarioResult
    sealed: Sealed


def takes_of(
    files: Sequence[ScenarioFile], place: Path, *, repeat: int = 1, defects: bool = False, seed: int | None = None
) -> list[Take]:
    """Every file in its order, with its defects where they are wanted, each so many times. seed: instead of theirs."""
    takes: list[Take] = []
    for number, file in enumerate(files):
        for count, _ in enumerate([None, *(file.scenario.defects if defects else ())]):
            first = len(takes)
            for again in range(repeat):
                name = "".join(char if char.isalnum() or char in "-_." else "-" for char in file.name)
                name = f"{number:02}-{name}{f'-defect{count}' if count else ''}{f'-{again + 1}' if again else ''}"
                takes.append(Take(file.path, file.name, place / name, first, count - 1 if count else None, seed))
    return takes


def jobs_of(files: Sequence[ScenarioFile], wanted: int | None) -> int:
    """How many processes: as wanted, one per core by default; real things and real time get the machine alone."""
    if not all(isinstance(file.rig.rig.clock, VirtualClockSettings) for file in files):
        return 1
    return wanted or len(os.sched_getaffinity(0))


def play_all(takes: Sequence[Take], jobs: int) -> Iterator[Played]:
    """In the order of the takes, each as soon as it and all before it are there. Raises RigError."""
    if min(jobs, len(takes)) <= 1:
        yield from map(play, takes)
        return
    context = multiprocessing.get_context("spawn")  # a fork would copy threads in the middle of what they do
    with ProcessPoolExecutor(min(jobs, len(takes)), context) as pool:
        try:
            yield from pool.map(_play_there, takes)
        finally:
            pool.shutdown(cancel_futures=True)


def play(take: Take) -> Played:
    """Run it and seal what it left in its folder, which is made. Raises RigError."""
    file = _files(take.file)[take.name]
    if take.seed is not None:
        file = file.seeded(take.seed)
    defect = None if take.defect is None else file.scenario.defects[take.defect]
    take.folder.mkdir()
    stamp = datetime.now().astimezone()  # says when, in the manifest: no protocol time
    with rig_held(file.rig.rig, RealClock()), TraceFile(take.folder / "events.jsonl") as tracer:
        result = run_scenario(file, take.folder, tracer, lambda _text: None, defect=defect)
    return Played(result, finish_scenario(take.folder, file, result, stamp))


def _play_there(take: Take) -> Played:
    """In another process: not every exception can be sent from one to the other."""
    try:
        return play(take)
    except PlugbenchError as error:
        raise RigError(f"{take.name}: {error}") from None


@lru_cache(maxsize=4)
def _files(path: Path) -> dict[str, ScenarioFile]:
    return {file.name: file for file in load_scenarios(path)}
