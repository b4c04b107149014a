"""`plugbench replay`: run again what evidence says was run, and tell whether the same happened."""

from __future__ import annotations

import argparse
import json
from contextlib import ExitStack
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # imported where they are used: the command has to start fast
    from hil_rigs.evidence.manifest import Manifest
    from hil_rigs.evidence.rerun import Difference
    from hil_rigs.evidence.seal import Sealed
    from hil_rigs.evidence.source import Source
    from hil_rigs.rig_file import RigFile

REPRODUCED, DIFFERENT = 0, 1
FAILED = ("fail", "error")  # verdicts of assertions


def add_commands(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `replay`."""
    parser = subparsers.add_parser(
        "replay",
        help="run again what evidence says was run, and compare",
        epilog="exit codes: 0 reproduced (also a run that failed and fails again), 1 something differs, "
        "2 usage or rig error, or evidence that does not hold",
    )
    parser.add_argument("evidence", type=Path, metavar="PATH", help="evidence.zip, or the folder of a run")
    parser.add_argument("--out", type=Path, help="folder for what the run leaves (default: none is kept)")
    parser.add_argument("--from", dest="place", type=Path, default=Path(), metavar="FOLDER", help="where relative "
                        "paths of the rig file count from (default: the current folder)")  # fmt: skip
    parser.add_argument("--digest", default="", metavar="HEX", help="what the run printed: nothing was rewritten since")
    parser.add_argument("--arm", action="store_true", help="let a rig with limits close its contactors")
    parser.add_argument("--real", action="store_true", help="also with hardware and programs that the rig file names")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.set_defaults(run=replay)


def replay(args: argparse.Namespace) -> int:
    """Run again and compare; 0 reproduced, 1 different."""
    from hil_rigs.arming import armed
    from hil_rigs.evidence.rerun import compare, results_of
    from hil_rigs.evidence.source import FolderSource, open_source
    from hil_rigs.evidence.verify import check_evidence
    from hil_rigs.run_folder import make_folder
    from ports.errors import RigError

    checked = check_evidence(args.evidence, args.digest)
    manifest = checked.manifest
    if checked.problems or manifest is None:
        raise RigError("\n".join(("this evidence does not hold:", *checked.problems)))
    with ExitStack() as stack:
        source = stack.enter_context(open_source(args.evidence))
        place = Path(stack.enter_context(TemporaryDirectory(prefix="plugbench-replay-")))
        folder = make_folder(args.out or place / "run")
        if args.arm:
            stack.enter_context(armed())
        again = _run_scenario if manifest.scenario else _run_rig
        verdict, sealed = again(source, manifest, args, place, folder)
        difference = compare(source, folder, repeats=sealed.repeats)
        failed = [
            [one.id for one in results_of(run) if one.verdict in FAILED] for run in (source, FolderSource(folder))
        ]
    _show(args, manifest, verdict, sealed, difference, failed)
    return REPRODUCED if difference is None and verdict == manifest.verdict else DIFFERENT


def _run_rig(
    source: Source, manifest: Manifest, args: argparse.Namespace, _place: Path, folder: Path
) -> tuple[str, Sealed]:
    """The rig file of the evidence, with the seed of the run. Raises RigError: it must not or cannot run here."""
    from msgspec import structs

    from hil_rigs.evidence.contents import RIG
    from hil_rigs.evidence.rerun import run_into
    from hil_rigs.evidence.source import whole
    from hil_rigs.locks.rig_lock import rig_held
    from hil_rigs.real_clock import RealClock
    from hil_rigs.rig_file import MAX_OCTETS, rig_of_text

    octets = whole(source, RIG, MAX_OCTETS)
    rig_file = rig_of_text(args.place / RIG, octets.decode("utf-8-sig"))
    rig_file = replace(rig_file, rig=structs.replace(rig_file.rig, seed=manifest.seed))
    _check(rig_file, args)
    with rig_held(rig_file.rig, RealClock()):
        outcome, sealed = run_into(rig_file, octets, folder, _now(), [], lambda _: None)
    return outcome.result.verdict, sealed


def _run_scenario(
    source: Source, manifest: Manifest, args: argparse.Namespace, place: Path, folder: Path
) -> tuple[str, Sealed]:
    """The scenario of the evidence. Raises RigError: it must not or cannot run here."""
    from hil_rigs.evidence.of_scenario import scenario_of
    from hil_rigs.evidence.rerun import run_scenario_into
    from hil_rigs.locks.rig_lock import rig_held
    from hil_rigs.real_clock import RealClock

    file, defect = scenario_of(source, manifest, place / "scenario")
    _check(file.rig, args)
    with rig_held(file.rig.rig, RealClock()):
        return run_scenario_into(file, defect, manifest.seed, folder, _now())


def _now() -> datetime:
    return datetime.now().astimezone()  # says when, in the manifest: no protocol time


def _check(rig_file: RigFile, args: argparse.Namespace) -> None:
    """Nothing real is started unasked, and all that is needed is there. Raises RigError."""
    from hil_rigs.reality import Where, describe
    from hil_rigs.surroundings import surroundings
    from ports.errors import RigError

    outside = [f"{one.name} ({one.why})" for one in describe(rig_file.rig)[1:] if one.where != Where.VIRTUAL]
    if outside and not args.real:
        raise RigError(f"not simulated: {', '.join(outside)}; --real runs it with them")
    if problems := surroundings(rig_file):
        raise RigError("\n".join(str(problem) for problem in problems))


def _show(
    args: argparse.Namespace,
    manifest: Manifest,
    verdict: str,
    sealed: Sealed,
    difference: Difference | None,
    failed: list[list[str]],
) -> None:
    from hil_rigs.evidence.versions import versions

    now = versions()
    same_program = (now.plugbench, now.commit) == (manifest.versions.plugbench, manifest.versions.commit)
    reproduced = difference is None and verdict == manifest.verdict
    if args.json:
        row = {
            "reproduced": reproduced,
            "verdict": {"recorded": manifest.verdict, "again": verdict},
            "failed": {"recorded": failed[0], "again": failed[1]},
            "event_hash": {"recorded": manifest.events.hash, "again": sealed.event_hash},
            "difference": None if difference is None else asdict(difference),
            "same_program": same_program,
        }
        print(json.dumps(row))
        return
    lines = [f"{'reproduced' if reproduced else 'NOT REPRODUCED'}: {manifest.run}, seed {manifest.seed}"]
    lines.append(f"  verdict   {manifest.verdict}, again {verdict}")
    if any(failed):
        lines.append(f"  failed    {', '.join(failed[0]) or 'nothing'}, again {', '.join(failed[1]) or 'nothing'}")
    if sealed.repeats:
        lines.append(f"  events    {manifest.events.count}, again {sealed.events}")
        lines.append(f"  hash      {manifest.events.hash}, again {sealed.event_hash}")
    if difference is not None:
        lines.append(f"  differs   first at {difference.place}")
        lines += [f"    recorded  {difference.recorded or 'nothing'}", f"    again     {difference.again or 'nothing'}"]
    if not (reproduced or same_program):
        before = " ".join(filter(None, (manifest.versions.plugbench, manifest.versions.commit)))
        lines.append(f"  note      recorded with Plugbench {before}, this is {now.plugbench} {now.commit}".rstrip())
    for line in lines:
        print("".join(char if char.isprintable() else "\ufffd" for char in line))
