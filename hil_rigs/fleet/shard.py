"""The stations of one process: brought up, led through their hours, and closed when everything has arrived."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from gateway.journal_entry import Entry
from hil_rigs.fleet.csms import FleetCsms, make_database
from hil_rigs.fleet.driver import HOUR_S, drive
from hil_rigs.fleet.event_hashes import EventHashes
from hil_rigs.fleet.inline_loop import InlineLoop
from hil_rigs.fleet.memory import resident_mib
from hil_rigs.fleet.plan import FleetPlan
from hil_rigs.fleet.pools import FleetPools
from hil_rigs.fleet.station import Station, meter_of, name_of, open_station
from hil_rigs.virtual_clock import VirtualClock, run_virtual
from ports.errors import PlugbenchError

DRAIN_S = 2 * HOUR_S  # for what waits at the end: a few of the longest pauses between two attempts


@dataclass(frozen=True, slots=True)
class Hour:
    """Where a shard is. signed: records so far. waiting: of these without an answer. seconds: real ones so far."""

    shard: int
    hour: int
    signed: int
    waiting: int
    resident_mib: float
    seconds: float


@dataclass(frozen=True, slots=True)
class ShardResult:
    """What a shard can say itself; the rest stands in journals and database.

    hashes: of the events, by station. registers: what each meter has counted, kWh as text, by station.
    faults: how often what was done to calls, connections and requests. handed_out: contracts, by the pools.
    installed: contracts, by vehicles. cpu_seconds: of this shard's work.
    """

    shard: int
    hashes: dict[str, str]
    events: int
    registers: dict[str, str]
    faults: dict[str, int]
    problems: list[str]
    handed_out: dict[str, int] = field(default_factory=dict)
    installed: dict[str, int] = field(default_factory=dict)
    cpu_seconds: float = 0.0
    hours: list[Hour] = field(default_factory=list)


def run_shard(
    plan: FleetPlan, shard: int, numbers: Sequence[int], folder: Path, say: Callable[[Hour], None]
) -> ShardResult:
    """Run these stations in virtual time. Raises RigError when they cannot be brought up."""
    return run_virtual(
        lambda clock: _Shard(plan, shard, numbers, folder, clock, say).run(),
        start=plan.start,
        seed=plan.seed,
        loop_factory=InlineLoop,
    )


class _Shard:
    def __init__(
        self,
        plan: FleetPlan,
        shard: int,
        numbers: Sequence[int],
        folder: Path,
        clock: VirtualClock,
        say: Callable[[Hour], None],
    ) -> None:
        self._plan = plan
        self._shard = shard
        self._numbers = numbers
        self._folder = folder
        self._clock = clock
        self._say = say
        self._hashes = EventHashes()
        self._stations: list[Station] = []
        self._signed = 0
        self._hours: list[Hour] = []
        self._problems: list[str] = []
        self._began = time.monotonic()
        self._cpu_before = time.process_time()

    async def run(self) -> ShardResult:
        database = make_database(self._folder, self._clock)
        csms = FleetCsms(self._plan, database, self._clock, self._hashes.of_backend)
        pools = FleetPools(self._plan.faults, self._folder, self._clock, self._hashes.of_backend)
        servers: list[FleetCsms | FleetPools] = [csms, pools] if self._plan.has_contracts else [csms]
        try:
            for one in servers:
                await one.start()
            await self._open(csms)
            await self._live(servers)
            await self._drain()
            registers = {one.name: str(one.simulated.shown("energy_import")) for one in self._stations}
        finally:
            await self._close()
            for one in servers:
                await one.stop()
            await database.close()
        return ShardResult(
            self._shard,
            self._hashes.hexes(),
            self._hashes.count,
            registers,
            {**csms.faults.hit, **pools.hit},
            self._problems,
            dict(pools.handed_out),
            dict(self._hashes.installed),
            round(time.process_time() - self._cpu_before, 1),
            self._hours,
        )

    async def _open(self, csms: FleetCsms) -> None:
        password = self._folder / f"password-{self._shard}"
        password.touch(mode=0o600)
        password.write_text("fleet-of-simulated-stations", encoding="ascii")
        for number in self._numbers:
            tracer = self._hashes.of(name_of(number), meter_of(number))
            station, key = await open_station(self._plan, number, self._folder, password, self._clock, tracer)
            self._stations.append(station)
            station.journal.subscribe(self._count)
            await csms.register_key(station.name, meter_of(number), key)

    def _count(self, _entry: Entry) -> None:
        self._signed += 1

    async def _live(self, servers: Sequence[FleetCsms | FleetPools]) -> None:
        end = self._clock.monotonic() + self._plan.hours * HOUR_S
        async with asyncio.TaskGroup() as group:
            drivers = [
                group.create_task(
                    drive(self._plan, one, self._clock, self._clock.fork_random(f"{one.name} driver")), name=one.name
                )
                for one in self._stations
            ]
            group.create_task(self._outages(servers), name="outages")
            group.create_task(self._tell_hours(), name="hours")
        self._problems += [problem for driver in drivers for problem in driver.result()]
        await self._clock.sleep(max(0.0, end - self._clock.monotonic()))

    async def _outages(self, servers: Sequence[FleetCsms | FleetPools]) -> None:
        began = self._clock.monotonic()
        for outage in sorted(self._plan.outages, key=lambda one: one.at_h):
            await self._clock.sleep(began + outage.at_h * HOUR_S - self._clock.monotonic())
            for one in servers:
                await one.stop()
            await self._clock.sleep(outage.hours * HOUR_S)
            for one in servers:
                await one.start()

    async def _tell_hours(self) -> None:
        for hour in range(1, math.ceil(self._plan.hours) + 1):
            await self._clock.sleep(HOUR_S)
            waiting = sum(one.waiting for one in self._stations)
            seconds = round(time.monotonic() - self._began, 1)
            now = Hour(self._shard, hour, self._signed, waiting, round(resident_mib(), 1), seconds)
            self._hours.append(now)
            self._say(now)

    async def _drain(self) -> None:
        try:
            async with asyncio.timeout(DRAIN_S):
                await asyncio.gather(*(one.forwarder.drained() for one in self._stations))
        except TimeoutError:
            self._problems += [
                f"{one.name}: {one.waiting} records are undelivered {DRAIN_S / HOUR_S:g} h after the end"
                for one in self._stations
                if one.waiting
            ]

    async def _close(self) -> None:
        outcomes = await asyncio.gather(*(one.close() for one in self._stations), return_exceptions=True)
        for one, outcome in zip(self._stations, outcomes, strict=True):
            if isinstance(outcome, BaseException):
                self._problems.append(f"{one.name}: {_said(outcome)}")


def _said(error: BaseException) -> str:
    if isinstance(error, BaseExceptionGroup):
        with suppress(IndexError):
            return f"{error.message}: {error.exceptions[0]!r}"
    return str(error) if isinstance(error, PlugbenchError) else repr(error)
