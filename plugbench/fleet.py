"""`plugbench fleet`: many stations in virtual time against one CPO and one set of pools, judged."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hil_rigs.fleet.plan import FleetPlan
    from hil_rigs.fleet.run import FleetResult
    from hil_rigs.fleet.shard import Hour

OPTIONS = ("stations", "hours", "seed", "processes")


def add_commands(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `fleet run` and `fleet check`."""
    parser = subparsers.add_parser(
        "fleet", help="run many stations against one CPO and its pools, count what is lost or doubled"
    )
    verbs = parser.add_subparsers(dest="verb", metavar="verb", required=True)
    run = verbs.add_parser("run", help="run a fleet in virtual time and judge it (exit 0 pass, 1 fail, 2 not runnable)")
    run.add_argument("file", nargs="?", type=Path, metavar="FILE", help="fleet file; without: the proof of scale")
    run.add_argument("--stations", type=int, metavar="N", help="how many (1000)")
    run.add_argument("--hours", type=float, metavar="H", help="of virtual time (24)")
    run.add_argument("--seed", type=int, metavar="N", help="of everything that is drawn (17)")
    run.add_argument("--processes", type=int, metavar="N", help="that share the stations (one for each core)")
    run.add_argument("--folder", type=Path, help="where journals and database stay; without: in memory, and deleted")
    run.add_argument("--json", action="store_true", help="the result as one JSON object")
    run.set_defaults(run=run_command)
    check = verbs.add_parser("check", help="check a fleet file (exit 0 good, 2 not)")
    check.add_argument("file", type=Path, metavar="FILE")
    check.set_defaults(run=check_command)


def run_command(args: argparse.Namespace) -> int:
    """Run; 0 when nothing was lost, doubled or left out, else 1."""
    import msgspec

    from hil_rigs.fleet.memory import folder_in_memory
    from hil_rigs.fleet.run import run_fleet

    plan = _plan(args)
    if args.folder is not None:
        args.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        result = run_fleet(plan, args.folder, _tell)
    else:
        with tempfile.TemporaryDirectory(prefix="plugbench-fleet-", dir=folder_in_memory(plan.need_mib)) as folder:
            result = run_fleet(plan, Path(folder), _tell)
    if args.json:
        print(msgspec.json.encode(result).decode())
    else:
        _show(result)
    return 0 if result.verdict == "pass" else 1


def check_command(args: argparse.Namespace) -> int:
    """Check a file. Raises RigFileError with every problem."""
    from hil_rigs.fleet.plan import load_plan

    plan = load_plan(args.file)
    print(f"{args.file}: good: {plan.stations} stations, {plan.hours:g} h, {plan.sessions} sessions each")
    return 0


def _plan(args: argparse.Namespace) -> FleetPlan:
    """Of the file, or the proof of scale; options go first. Raises RigFileError, RigError."""
    import msgspec

    from hil_rigs.fleet.plan import FleetPlan, load_plan, proof_of_scale
    from ports.errors import RigError

    said = {name: getattr(args, name) for name in OPTIONS if getattr(args, name) is not None}
    try:
        if args.file is None:
            plan = proof_of_scale(said.pop("stations", 1000), said.pop("hours", 24.0))
        else:
            plan = load_plan(args.file)
        return msgspec.convert(msgspec.to_builtins(plan) | said, FleetPlan)
    except (msgspec.ValidationError, ValueError) as error:
        raise RigError(f"fleet: {error}") from None


def _tell(hours: list[Hour]) -> None:
    signed, waiting = sum(one.signed for one in hours), sum(one.waiting for one in hours)
    memory = " + ".join(f"{one.resident_mib:.0f}" for one in sorted(hours, key=lambda one: one.shard))
    seconds = max(one.seconds for one in hours)
    print(
        f"hour {hours[0].hour:3}: {signed} signed, {waiting} waiting, {memory} MiB, {seconds:.0f} s",
        file=sys.stderr,
        flush=True,
    )


def _show(result: FleetResult) -> None:
    faults = ", ".join(f"{count} {name}" for name, count in sorted(result.faults.items())) or "none"
    lines = {
        "verdict": result.verdict,
        "fleet": f"{result.stations} stations, {result.hours:g} h, {result.processes} processes",
        "transactions": f"{result.transactions}, {result.billed} billed ({result.by_contract} by contract),"
        f" {result.billed_kwh} kWh",
        "contracts": f"{result.contracts} installed, {result.handed_out} handed out by the pools",
        "signed values": f"{result.signed} in the journals, {result.kept} at the CPO, {result.lost} lost",
        "effects": f"{result.doubled} doubled, {result.repeated} messages came again",
        "pages": f"{result.gaps} gaps",
        "faults": faults,
        "memory": f"{result.resident_mib:.0f} MiB, {result.growth_mib_h:+.2f} MiB an hour at most",
        "events": f"{result.events}, hash {result.event_hash}",
        "time": f"{result.seconds:.1f} s, {result.cpu_seconds:.1f} s of CPU",
    }
    for name, text in lines.items():
        print(f"{name:<14} {text}")
    for problem in result.problems:
        print(f"problem        {problem}")
    if result.problem_count > len(result.problems):
        print(f"problem        and {result.problem_count - len(result.problems)} more")
