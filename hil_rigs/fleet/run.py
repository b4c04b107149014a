"""Run a fleet: its stations shared out over processes that meet in the CPO's database, and judged as one."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from multiprocessing.connection import Connection, wait
from pathlib import Path

from hil_rigs.fleet.audit import audit
from hil_rigs.fleet.contract_audit import audit_contracts
from hil_rigs.fleet.contracts import prepare_contracts
from hil_rigs.fleet.csms import make_database
from hil_rigs.fleet.event_hashes import combined
from hil_rigs.fleet.memory import slope
from hil_rigs.fleet.plan import FleetPlan
from hil_rigs.fleet.shard import Hour, ShardResult, run_shard
from hil_rigs.fleet.station import name_of
from hil_rigs.virtual_clock import VirtualClock, run_virtual
from ports.errors import RigError

FLAT_SHARE = 0.005  # of its size that a process may grow each hour, and still counts as flat
FLAT_MIB = 1.0  # or so much: of a small one, chance is a larger share
FLAT_HOURS = 9  # fewer say nothing about growth
MAX_PROBLEMS = 200


@dataclass(frozen=True, slots=True)
class FleetResult:
    """What came of a fleet. verdict: "pass" or "fail"; problems say why (the first ones, problem_count = all).

    signed, kept: signed values in the journals, and at the CPO. repeated: messages that came again. faults: injected.
    by_contract: of the bills. contracts: installed in vehicles; handed_out: by the pools, more where answers were lost.
    resident_mib: of all processes together, at the end; growth_mib_h: of the process that grew most, in the last
    third. event_hash: the same for the same plan. seconds: real ones; cpu_seconds: of all processes.
    """

    verdict: str
    stations: int
    hours: float
    processes: int
    transactions: int
    billed: int
    billed_kwh: Decimal
    signed: int
    kept: int
    lost: int
    doubled: int
    gaps: int
    repeated: int
    by_contract: int
    contracts: int
    handed_out: int
    faults: dict[str, int]
    resident_mib: float
    growth_mib_h: float
    events: int
    event_hash: str
    seconds: float
    cpu_seconds: float
    problem_count: int
    problems: tuple[str, ...]


def run_fleet(plan: FleetPlan, folder: Path, say: Callable[[list[Hour]], None]) -> FleetResult:
    """Run and judge. folder: empty; journals and database stay in it. say: takes each virtual hour of all processes.

    Raises RigError: the folder is not empty, a process ended before its time.
    """
    if any(folder.iterdir()):
        raise RigError(f"{folder} is not empty; a fleet begins with new journals: name another folder")
    began = time.monotonic()
    prepare(plan, folder)
    shards = share_out(plan.stations, plan.processes or len(os.sched_getaffinity(0)))
    results = _run_alone(plan, shards[0], folder, say) if len(shards) == 1 else _run_all(plan, shards, folder, say)
    registers = {name: register for one in results for name, register in one.registers.items()}
    found = audit(folder, registers)
    if plan.has_contracts:
        handed_out, installed = _summed(one.handed_out for one in results), _summed(one.installed for one in results)
        audit_contracts(found, _digital(plan), folder, handed_out, installed)
    planned = plan.stations * plan.sessions
    problems = [problem for one in results for problem in one.problems] + found.problems
    if found.transactions != planned:
        problems.append(f"{planned} sessions were planned, {found.transactions} became transactions")
    worst = 0.0
    for one in results:
        samples = [hour.resident_mib for hour in one.hours]
        growth = slope(samples)
        worst = max(worst, growth)
        if len(samples) >= FLAT_HOURS and growth > max(FLAT_MIB, FLAT_SHARE * samples[-1]):
            problems.append(f"process {one.shard} grows by {growth:.2f} MiB an hour")
    return FleetResult(
        verdict="fail" if problems else "pass",
        stations=plan.stations,
        hours=plan.hours,
        processes=len(shards),
        transactions=found.transactions,
        billed=found.billed,
        billed_kwh=found.billed_kwh,
        signed=found.signed,
        kept=found.kept,
        lost=found.lost,
        doubled=found.doubled,
        gaps=found.gaps,
        repeated=found.repeated,
        by_contract=found.by_contract,
        contracts=found.contracts,
        handed_out=found.handed_out,
        faults=_summed(one.faults for one in results),
        resident_mib=round(sum(one.hours[-1].resident_mib for one in results if one.hours), 1),
        growth_mib_h=round(worst, 3),
        events=sum(one.events for one in results),
        event_hash=combined({name: text for one in results for name, text in one.hashes.items()}),
        seconds=round(time.monotonic() - began, 1),
        cpu_seconds=round(sum(one.cpu_seconds for one in results), 1),
        problem_count=len(problems),
        problems=tuple(problems[:MAX_PROBLEMS]),
    )


def prepare(plan: FleetPlan, folder: Path) -> None:
    """Make what all processes share: the CPO's database; the pools with their PKI, and a contract for each vehicle."""
    run_virtual(lambda clock: _prepare(plan, folder, clock), start=plan.start, seed=plan.seed)


def share_out(stations: int, processes: int) -> list[range]:
    """Station numbers of each process, every n-th one: those that lead by ISO 15118 come first and cost more."""
    count = min(processes, stations)
    return [range(first, stations, count) for first in range(count)]


def _summed(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    return dict(sum((Counter(one) for one in counts), Counter()))


def _digital(plan: FleetPlan) -> list[str]:
    return [name_of(number) for number in range(plan.iso15118.stations)]


async def _prepare(plan: FleetPlan, folder: Path, clock: VirtualClock) -> None:
    await make_database(folder, clock).close()
    if plan.has_contracts:
        await prepare_contracts(plan, _digital(plan), folder, clock)


def _run_alone(plan: FleetPlan, numbers: range, folder: Path, say: Callable[[list[Hour]], None]) -> list[ShardResult]:
    return [run_shard(plan, 0, numbers, folder, lambda hour: say([hour]))]


def _run_all(
    plan: FleetPlan, shards: list[range], folder: Path, say: Callable[[list[Hour]], None]
) -> list[ShardResult]:
    spawn = multiprocessing.get_context("spawn")  # a fork would copy threads and locks
    ends: dict[Connection, int] = {}
    processes = []
    try:
        for shard, numbers in enumerate(shards):
            ours, theirs = spawn.Pipe(duplex=False)
            process = spawn.Process(
                target=_in_process, args=(plan, shard, numbers, folder, theirs), name=f"fleet {shard}", daemon=True
            )
            process.start()
            theirs.close()
            ends[ours] = shard
            processes.append(process)
        return listen(ends, say)
    finally:
        for process in processes:
            process.join(timeout=10)
            if process.is_alive():
                process.kill()
                process.join()


def listen(ends: dict[Connection, int], say: Callable[[list[Hour]], None]) -> list[ShardResult]:
    """Results of the processes at these ends, in their order. Raises RigError when one fails."""
    results: dict[int, ShardResult] = {}
    hours: dict[int, list[Hour]] = {}
    count = len(ends)
    open_ends = set(ends)
    while open_ends:
        for end in wait(list(open_ends)):
            assert isinstance(end, Connection)  # noqa: S101 - for the type checker
            try:
                news = end.recv()
            except EOFError:
                open_ends.discard(end)
                if ends[end] not in results:
                    raise RigError(f"process {ends[end]} of the fleet ended before its time") from None
                continue
            if isinstance(news, ShardResult):
                results[news.shard] = news
            elif isinstance(news, Hour):
                hours.setdefault(news.hour, []).append(news)
                if len(hours[news.hour]) == count:
                    say(hours.pop(news.hour))
            else:
                raise RigError(f"process {ends[end]} of the fleet: {news}")
    return [results[shard] for shard in sorted(results)]


def _in_process(plan: FleetPlan, shard: int, numbers: range, folder: Path, parent: Connection) -> None:
    try:
        parent.send(run_shard(plan, shard, numbers, folder, parent.send))
    except Exception as error:
        parent.send(f"{type(error).__name__}: {error}")
        raise
    finally:
        parent.close()
