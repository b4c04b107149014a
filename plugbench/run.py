"""`plugbench run`: run the sessions of rig files, show the progress, check every record."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # imported where they are used: the command has to start fast
    from hil_rigs.evidence.seal import Sealed
    from hil_rigs.run import RunOutcome
    from ports.trace import TraceEvent

CODES = {"pass": 0, "fail": 1, "inconclusive": 3}


def add_commands(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `run`."""
    parser = subparsers.add_parser(
        "run",
        help="run the sessions of a rig file, or scenarios, and check every record",
        epilog="exit codes: 0 pass, 1 fail, 2 usage or rig error, 3 inconclusive",
    )
    parser.add_argument("rig", type=Path, metavar="PATH", help="rig file, scenario file, or folder of scenarios")
    parser.add_argument("--out", type=Path, help="folder for what the run leaves (default: a new one in runs/)")
    parser.add_argument("--json", action="store_true", help="one JSON object a line: progress, then the result")
    parser.add_argument("--junit", type=Path, metavar="FILE", help="scenarios: the verdicts as JUnit XML")
    parser.add_argument("--arm", action="store_true", help="let a rig with limits close its contactors")
    parser.add_argument(
        "--repeat", type=int, default=1, metavar="N", help="scenarios: N times each, all with the same event hash"
    )
    parser.add_argument(
        "--defects", action="store_true", help="scenarios: also with each seeded defect, which has to be caught"
    )
    parser.add_argument(
        "--jobs", type=int, metavar="N", help="scenarios in virtual time: so many at once (default: one per core)"
    )
    parser.add_argument("--seed", type=_seed, metavar="N", help="of the rig, instead of the file's")
    parser.set_defaults(run=run)


def _seed(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 0")
    return int(text)


def run(args: argparse.Namespace) -> int:
    """Run one rig, or scenarios; 0 pass, 1 fail, 3 inconclusive."""
    if not args.arm:
        return _run(args)
    from hil_rigs.arming import armed

    with armed():
        return _run(args)


def _run(args: argparse.Namespace) -> int:
    if args.rig.is_dir() or _is_scenario(args.rig):
        from plugbench.scenario import run_scenarios

        return run_scenarios(args)
    from msgspec import structs

    from hil_rigs.evidence.rerun import run_into
    from hil_rigs.locks.rig_lock import rig_held
    from hil_rigs.real_clock import RealClock
    from hil_rigs.reality import description_table
    from hil_rigs.rig_file import load_rig
    from hil_rigs.run_folder import make_folder
    from hil_rigs.surroundings import surroundings
    from ports.errors import RigError

    rig_file = load_rig(args.rig)
    if args.seed is not None:
        rig_file = replace(rig_file, rig=structs.replace(rig_file.rig, seed=args.seed))
    if problems := surroundings(rig_file):
        raise RigError("\n".join(str(problem) for problem in problems))
    stamp = datetime.now().astimezone()  # the folder's name: no protocol time
    folder = make_folder(args.out or Path("runs") / f"{rig_file.rig.rig}-{stamp:%Y%m%d-%H%M%S-%f}")
    show = _JsonLines() if args.json else _Screen()
    show.begin(rig_file.rig.rig, description_table(rig_file.rig))
    with rig_held(rig_file.rig, RealClock()):
        outcome, sealed = run_into(rig_file, args.rig.read_bytes(), folder, stamp, [show.event], show.say)
    show.sealed(sealed)
    show.end(outcome, folder)
    return CODES[outcome.result.verdict]


def _is_scenario(path: Path) -> bool:
    from hil_rigs.scenario.kind import is_scenario

    return is_scenario(path)


class _JsonLines:
    """Progress and result for machines."""

    def begin(self, rig: str, _table: str) -> None:
        self._line(event="begin", rig=rig)

    def say(self, text: str) -> None:
        self._line(event="note", text=text)

    def event(self, event: TraceEvent) -> None:
        if event.kind in _PROGRESS:
            self._line(event=event.kind, at=event.at, source=event.source, data=dict(event.data))

    def sealed(self, evidence: Sealed) -> None:
        self._line(event="evidence", **asdict(evidence))

    def end(self, outcome: RunOutcome, folder: Path) -> None:
        self._line(event="result", folder=str(folder), **asdict(outcome.result))

    def _line(self, **content: Any) -> None:
        print(json.dumps(content, default=str), flush=True)


class _Screen:
    """Progress and result for people: one line that changes where there is a terminal, one per phase elsewhere."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()
        self._phases: dict[str, str] = {}
        self._began: float | None = None

    def begin(self, rig: str, table: str) -> None:
        print(f"{rig}\n{table}", flush=True)

    def say(self, text: str) -> None:
        print(text, flush=True)

    def event(self, event: TraceEvent) -> None:
        show = _PROGRESS.get(event.kind)
        if show is None:
            return
        if self._began is None:
            self._began = event.at
        phase, text = show(event)
        clock = f"{event.at - self._began:8.1f} s"
        if event.kind == "session.energy":
            if self._live:
                sys.stderr.write(f"\r{clock}  {event.source:<4} CHARGE {text}\033[K")
                sys.stderr.flush()
            return
        if self._live:
            sys.stderr.write("\r\033[K")
            sys.stderr.flush()
        if phase == self._phases.get(event.source) and not text:
            return
        if phase:
            self._phases[event.source] = phase
        print(
            f"{clock}  {event.source:<4} {phase or self._phases.get(event.source, ''):<6} {text}".rstrip(), flush=True
        )

    def sealed(self, evidence: Sealed) -> None:
        if self._live:
            sys.stderr.write("\r\033[K")
        print(f"evidence {evidence.archive}, digest {evidence.digest}")
        if evidence.repeats:
            print(f"events   {evidence.events}, hash {evidence.event_hash}: the same in every run of this rig and seed")

    def end(self, outcome: RunOutcome, folder: Path) -> None:
        for one in outcome.result.sessions:
            kwh = "no energy" if one.kwh is None else f"{one.kwh} kWh"
            print(f"{one.transaction_id or one.connector}: {one.verdict}, {kwh}, {_pages(one.pages)}")
            if one.difference_wh is not None:
                print(
                    f"  plant {one.plant_wh.normalize():f} Wh, record {one.kwh} kWh: {one.difference_wh:+.3f} Wh apart"
                )
            for finding in one.findings:
                print(f"  {finding}")
        for bill in outcome.result.bills:
            if not bill.problems:
                print(
                    f"bill by {bill.operator}: {bill.kwh} kWh, {bill.total} {bill.currency}, {bill.values} values valid"
                )
        if outcome.result.contracts_installed or outcome.result.receipts:
            print(
                f"contracts installed: {outcome.result.contracts_installed}, receipts valid: {outcome.result.receipts}"
            )
        for problem in outcome.result.problems:
            print(f"problem: {problem}")
        print(f"{outcome.result.verdict}; everything is in {folder}; check it again: plugbench verify {folder}")


def _pages(pages: tuple[str, ...]) -> str:
    if len(pages) > 2:
        return f"{len(pages)} pages {pages[0]} to {pages[-1]}"
    return f"pages {' '.join(pages) or 'none'}"


def _state(event: TraceEvent) -> tuple[str, str]:
    from gateway.phases import PHASES
    from gateway.transaction import State

    return PHASES[State(str(event.data["state"]))], ""


def _energy(event: TraceEvent) -> tuple[str, str]:
    return "CHARGE", f"{event.data.get('kwh', '')} kWh"


def _record(event: TraceEvent) -> tuple[str, str]:
    return "", f"signed {event.data.get('page', '')}"


def _trouble(event: TraceEvent) -> tuple[str, str]:
    return "", f"{event.kind}: {event.data.get('why', event.data)}"


def _joined(event: TraceEvent) -> str:
    if event.data["outcome"] == "begun":
        return "session joined again" if event.data.get("resumed") else "session begun"
    return " ".join(filter(None, (f"session {event.data['outcome']}", str(event.data.get("why", "")))))


def _contract(event: TraceEvent) -> str:
    seconds = f"{event.data['source']}, {event.data['latency_s']:g} s"
    return " ".join(filter(None, (f"contract {event.data['outcome']} ({seconds})", str(event.data.get("why") or ""))))


_PROGRESS: dict[str, Callable[[TraceEvent], tuple[str, str]]] = {
    "session.state": _state,
    "session.energy": _energy,
    "session.record": _record,
    "session.trouble": _trouble,
    "session.refused": _trouble,
    "secc.session": lambda event: ("", f"V2G {_joined(event)}"),
    "secc.certificate": lambda event: ("", _contract(event)),
    "secc.receipt": lambda event: ("", f"receipt for {event.data.get('page', '')}"),
    "session.ocsp": lambda event: ("", f"certificate status: {event.data['decision']}"),
    "mo.cdr.billed": lambda _event: ("", "billed"),
    "evcc.failed": _trouble,
    "session.fault": _trouble,
    "backend.trouble": _trouble,
    "meter.dead": _trouble,
    "meter.alive": _trouble,
    "token.away": _trouble,
}
