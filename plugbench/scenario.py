"""`plugbench run` for scenarios: one, several variants, or a folder of them; with their seeded defects; JUnit."""

from __future__ import annotations

import json
from argparse import Namespace
from collections import Counter
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hil_rigs.evidence.seal import Sealed
    from hil_rigs.scenario.campaign import Played, Take
    from hil_rigs.scenario.judge import Judged
    from hil_rigs.scenario.scenario_run import ScenarioResult

CODES = {"pass": 0, "fail": 1, "error": 2, "inconclusive": 3, "not run": 3}
WORST = ("error", "fail", "inconclusive", "pass", "not run")


def run_scenarios(args: Namespace) -> int:
    """Run what the argument names. Exit code: that of the worst verdict."""
    from hil_rigs.run_folder import make_folder
    from hil_rigs.scenario.campaign import jobs_of, play_all, takes_of
    from hil_rigs.scenario.junit import junit
    from hil_rigs.scenario.scenario_file import load_scenarios
    from hil_rigs.surroundings import surroundings
    from ports.errors import RigError

    files = load_scenarios(args.rig)
    for file in files:
        if problems := surroundings(file.rig):
            raise RigError("\n".join(str(problem) for problem in problems))
    place = make_folder(args.out or _new_folder(args.rig))
    show = _JsonLines() if args.json else _Screen(len(files))
    takes = takes_of(files, place, repeat=args.repeat, defects=args.defects, seed=args.seed)
    results: list[ScenarioResult] = []
    hashes: dict[int, str] = {}
    for take, played in zip(takes, play_all(takes, jobs_of(files, args.jobs)), strict=True):
        results.append(_compared(take, played, hashes))
        show.result(results[-1], take.folder, played.sealed)
    if args.junit is not None:
        args.junit.write_text(junit(results), encoding="utf-8")
    verdict = next((one for one in WORST if any(_word(result) == one for result in results)), "pass")
    show.end(verdict, place, results)
    return CODES[verdict]


def _compared(take: Take, played: Played, hashes: dict[int, str]) -> ScenarioResult:
    """The result; a failure where the same seed gave other events before. hashes: of the first of each kind."""
    sealed, result = played.sealed, played.result
    if sealed.repeats and hashes.setdefault(take.kind, sealed.event_hash) != sealed.event_hash:
        different = "the same seed gave other events than the run before"
        return replace(result, verdict=type(result.verdict).FAIL, problem=different, where=str(take.folder))
    return result


def _word(result: ScenarioResult) -> str:
    """The verdict that counts: a twin passes when its defect was caught."""
    from hil_rigs.scenario.twin import twin_verdict

    return str(twin_verdict(result) if result.defect else result.verdict)


def _new_folder(path: Path) -> Path:
    stamp = datetime.now().astimezone()  # the folder's name: no protocol time
    return Path("runs") / f"{path.stem}-{stamp:%Y%m%d-%H%M%S-%f}"


class _JsonLines:
    """Results for machines."""

    def result(self, result: ScenarioResult, folder: Path, sealed: Sealed) -> None:
        line = {"event": "scenario", "counts_as": _word(result), "folder": str(folder), **asdict(result)}
        line |= {"digest": sealed.digest, "event_hash": sealed.event_hash}
        print(json.dumps(line, default=str), flush=True)

    def end(self, verdict: str, folder: Path, results: list[ScenarioResult]) -> None:
        tried = Counter(cell for result in results if not result.defect for cell in result.coverage)
        coverage = [{"layer": layer, "phase": phase, "faults": count} for (layer, phase), count in tried.items()]
        line = {"event": "end", "verdict": verdict, "folder": str(folder), "coverage": coverage}
        print(json.dumps(line), flush=True)


class _Screen:
    """Results for people: expected and observed first, then where it stands."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._words: list[str] = []

    def result(self, result: ScenarioResult, folder: Path, sealed: Sealed) -> None:
        from hil_rigs.scenario.twin import uncaught

        word = _word(result)
        self._words.append(word)
        name = f"{result.name} with {result.defect}" if result.defect else result.name
        good = sum(one.verdict == "pass" for one in result.judged)
        events = f", events {sealed.event_hash[:16]}" if sealed.event_hash else ""
        print(f"{word:<12} {name}: {good} of {len(result.judged)}, {result.virtual_s:.1f} s{events}", flush=True)
        print(f"             evidence {sealed.archive}, digest {sealed.digest}", flush=True)
        if result.defect and word == "pass":
            print(f"             caught by {', '.join(one.id for one in result.failed)}")
            return
        if result.defect and word == "fail":
            print(f"  not caught: {uncaught(result)}")
        for one in result.judged:
            if one.verdict != "pass":
                self._judged(one)
        if result.problem:
            print(f"  stopped: {result.problem}\n    {result.where}")
        if word != "pass":
            print(f"    what was seen: {folder / 'report.html'}")

    def _judged(self, one: Judged) -> None:
        print(f"  {one.verdict}: expected {one.expected}\n    observed {one.observed}")
        print(f"    {one.where} {one.id} [{one.channel}]")

    def end(self, verdict: str, folder: Path, results: list[ScenarioResult]) -> None:
        from hil_rigs.scenario.coverage import table

        tried = Counter(cell for result in results if not result.defect for cell in result.coverage)
        if tried:
            print(f"faults tried, by layer and phase of the session:\n{table(tried)}")
        counts = ", ".join(f"{self._words.count(word)} {word}" for word in CODES if word in self._words)
        print(f"{verdict}: {counts}; everything is in {folder}, each run in a folder of its own")
