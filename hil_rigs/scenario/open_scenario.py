"""A rig that is up for a scenario or for a Python test: bench, faults, observer and actor together."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from backends.cpo_store import records as stored_records
from gateway.transaction import State
from hil_rigs.bench import Bench, BootClock, open_bench
from hil_rigs.evidence.plant_sampler import sampled
from hil_rigs.fault_catalogue.breakable import Breakable
from hil_rigs.rig_file import RigFile
from hil_rigs.scenario.holdings import holdings
from hil_rigs.scenario.observer import Observer
from hil_rigs.scenario.plant_energy import PlantEnergy
from hil_rigs.scenario.remains import Delivered, Remains
from hil_rigs.scenario.steps import Actor
from ocmf.container import parse
from ocmf.keys import decode_public_key
from ports.errors import PlugbenchError
from ports.trace import TraceEvent, Tracer

SETTLE_S = 60.0  # for the last transaction to end and the last records to reach the backends
READ_AT_ONCE = 100_000


@dataclass(slots=True)
class Stage:
    """Everything of a run. start: boot-time seconds at which the rig was up. held: by the process, then."""

    bench: Bench
    breakable: Breakable
    observer: Observer
    actor: Actor
    energy: PlantEnergy
    folder: Path
    start: float
    held: Counter[str]

    async def settle(self) -> None:
        """Everybody goes home: vehicles leave, transactions end, records reach their backends, if they can."""
        for vehicle in self.bench.plant.vehicles.values():
            vehicle.unplug()
        controller = self.bench.controller
        # what is missing then is missing in the remains, too: assertions say whether that is right
        with contextlib.suppress(TimeoutError, PlugbenchError):
            async with asyncio.timeout(SETTLE_S):
                for status in controller.status():
                    await controller.wait_for(status.name, State.AVAILABLE, State.FAULTED)
                unsigned = (asyncio.shield(pending.signed) for pending in self.bench.journal.unsigned())
                await asyncio.gather(*unsigned)
                await self.bench.forwarder.drained()

    async def remains(self) -> Remains:
        """What is left; records are observations of the channel `store` from now on."""
        entries = await self.bench.journal.entries()
        for entry in entries:
            if entry.is_signed:
                fields = parse(entry.record().ocmf).fields
                last = dict(fields.get("RD", [{}])[-1])
                content = {**fields, **last, "transaction": entry.transaction_id, "page": entry.page}
                self.observer.add(entry.boottime, "store", entry.kind, entry.connector, content)
        delivered = None
        for cpo in self.bench.backends.embedded:
            stored = await cpo.database.read(lambda connection: stored_records(connection, limit=READ_AT_ONCE))
            rows = Counter(one.record.record_id for one in stored)
            delivered = [Delivered(one.record, rows[one.record.record_id]) for one in stored]
        key = decode_public_key((await self.bench.signer.identity()).public_key)
        held = self.held, holdings()
        plant_wh = self.energy.by_transaction()
        return Remains(self.folder, key, entries, delivered, self.observer, plant_wh, held, self.start)


@asynccontextmanager
async def open_stage(
    rig: RigFile, clock: BootClock, folder: Path, tracer: Tracer, say: Callable[[str], None]
) -> AsyncIterator[Stage]:
    """Bring a rig up so that its parts can be broken and everything is seen. Raises RigError, PeerError."""
    observer = Observer()

    def trace(event: TraceEvent) -> None:
        tracer(event)
        observer(event)

    breakable = Breakable(clock, trace)
    async with open_bench(rig, clock, folder, trace, say, breakable.hooks()) as bench, sampled(bench, trace):
        breakable.attach(bench)
        start = clock.monotonic()
        actor = Actor(breakable, observer, start)
        try:
            energy = PlantEnergy(bench, observer)
            yield Stage(bench, breakable, observer, actor, energy, folder, start, holdings())
        finally:
            actor.close()
