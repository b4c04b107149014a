"""A published reading carries its age; a dead meter is flagged in time."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from hil_rigs.serial_line.memory_line import MemoryLine
from hil_rigs.virtual_clock import VirtualClock, run_virtual
from meters.modbus_meter import ModbusMeter
from meters.model import load_model
from meters.rtu_master import RtuMaster
from meters.simulated import SimulatedMeter
from meters.watch import MeterWatch
from ports.errors import RigError
from ports.trace import TraceEvent
from tests.meters.plant import Plant


def test_age_and_death() -> None:
    async def main(clock: VirtualClock) -> None:
        model = load_model("eastron_sdm630")
        sim = SimulatedMeter(model, Plant(1000))
        line = MemoryLine(model.settings, [sim])
        events: list[TraceEvent] = []
        meter = ModbusMeter("m1", model, RtuMaster(line.port()), clock, settings=model.settings)
        watch = MeterWatch(meter, clock, period_s=2.0, names=("power",), tracer=events.append)
        with pytest.raises(RigError, match="m1 has not yet said its power"):
            watch.latest("power")
        assert not watch.alive
        task = asyncio.create_task(watch.run())
        await clock.sleep(10.5)
        fresh = watch.latest("power")
        assert fresh.alive
        assert 0 < fresh.age_s < 2
        sim.faults.inject("dead")
        died = clock.monotonic()
        while watch.alive:
            await clock.sleep(0.1)
        assert clock.monotonic() - died <= 2 * 2.0 + 0.7
        await clock.sleep(60)
        stale = watch.latest("power")
        assert not stale.alive
        assert stale.age_s > 60
        assert stale.reading == fresh.reading  # the old value, and it says how old
        assert "no answer" in str(watch.last_error)
        sim.faults.clear()
        await clock.sleep(4)
        assert watch.alive
        assert [event.kind for event in events] == ["meter.alive", "meter.dead", "meter.alive"]
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        line.close()

    run_virtual(main, start=datetime(2026, 1, 1, tzinfo=UTC))
