"""The proof of scale: a thousand stations for a day against one CPO and one set of pools, with faults and an outage."""

from __future__ import annotations

import tempfile
from pathlib import Path

import msgspec

from benchmarks.report import Report
from hil_rigs.fleet.memory import folder_in_memory
from hil_rigs.fleet.plan import Iso15118, proof_of_scale
from hil_rigs.fleet.run import FLAT_SHARE, FleetResult, run_fleet
from hil_rigs.fleet.shard import Hour

TITLE = "a thousand stations for a day: nothing lost, nothing twice, flat memory, ten minutes on two quiet cores"
PROCESSES = 2
LIMIT_S = 600.0
SMALL, SMALL_DIGITAL, SMALL_HOURS = 10, 2, 6.0  # for the hash: the same stations once in two processes and once in one
DIGITAL = proof_of_scale().iso15118.stations


def run(report: Report) -> None:
    """Print the counts and the time."""
    result = full_size(report)
    sent = f"{result.signed} signed values of {result.transactions} transactions"
    faults = ", ".join(f"{count} {name}" for name, count in sorted(result.faults.items()))
    report.ratio("signed values lost, per signed value", result.lost, result.signed, ceiling=0, detail=sent)
    detail = f"{result.repeated} messages came again; {faults}"
    report.ratio("effects doubled, per signed value", result.doubled, result.signed, ceiling=0, detail=detail)
    report.ratio("gaps in pages, per signed value", result.gaps, result.signed, ceiling=0)
    detail = "; ".join(result.problems[:3])
    report.ratio("other problems, per station", result.problem_count, result.stations, ceiling=0, detail=detail)
    report.ratio("transactions billed, of those planned", result.billed, 2 * result.stations, floor=1, ceiling=1)
    detail = f"the pools handed out {result.handed_out}"
    report.ratio(
        "contracts installed exactly once, of those ordered",
        result.contracts,
        DIGITAL,
        floor=1,
        ceiling=1,
        detail=detail,
    )
    report.ratio(
        "sessions billed by contract, of those of these vehicles", result.by_contract, 2 * DIGITAL, floor=1, ceiling=1
    )
    detail = f"{result.resident_mib:.0f} MiB in {result.processes} processes"
    size = result.resident_mib / result.processes
    report.ratio(
        "growth of a process in an hour, of its size", result.growth_mib_h, size, ceiling=FLAT_SHARE, detail=detail
    )
    detail = f"{result.seconds:.0f} s, {result.cpu_seconds:.0f} s of CPU; both cores have to be free for this"
    report.ratio("time, of ten minutes", result.seconds, LIMIT_S, ceiling=1, detail=detail)
    report.value("virtual station hours in a second", result.stations * result.hours / result.seconds, "h/s")
    same_hash(report)


def full_size(report: Report) -> FleetResult:
    """A thousand stations, a day."""
    report.progress("1000 stations, 24 hours")

    def tell(hours: list[Hour]) -> None:
        signed, waiting = sum(one.signed for one in hours), sum(one.waiting for one in hours)
        seconds = max(one.seconds for one in hours)
        report.progress(f"hour {hours[0].hour}: {signed} signed, {waiting} waiting, {seconds:.0f} s")

    plan = msgspec.structs.replace(proof_of_scale(), processes=PROCESSES)
    with tempfile.TemporaryDirectory(prefix="plugbench-fleet-", dir=folder_in_memory(plan.need_mib)) as folder:
        return run_fleet(plan, Path(folder), tell)


def same_hash(report: Report) -> None:
    """Two runs of one seed; how stations are shared out does not matter."""
    hashes = []
    for processes in (PROCESSES, 1):
        report.progress(f"{SMALL} stations, {SMALL_HOURS:g} hours, {processes} processes")
        plan = msgspec.structs.replace(
            proof_of_scale(SMALL, SMALL_HOURS), processes=processes, iso15118=Iso15118(stations=SMALL_DIGITAL)
        )
        with tempfile.TemporaryDirectory(prefix="plugbench-fleet-", dir=folder_in_memory(plan.need_mib)) as folder:
            hashes.append(run_fleet(plan, Path(folder), lambda _hours: None).event_hash)
    detail = f"{hashes[0][:16]}, {hashes[1][:16]}"
    report.ratio("event hashes of one seed that differ, per run", len(set(hashes)) - 1, 2, ceiling=0, detail=detail)
