"""Samples of the simulated plant in the trace: what a meter and an oscilloscope at the cable would show.

async with open_bench(...) as bench, sampled(bench, tracer):

Nothing here has a timer: between two changes power is constant, so the exact energy at each change says it all.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from firmware_sim.agenda import S
from firmware_sim.circuit import Circuit, Connector
from hil_rigs.bench import Bench
from ports.trace import TraceEvent, Tracer

KIND = "plant.sample"
APART_S = 0.2
"""Samples are so far apart at least, unless contactor or pilot changed: mains noise changes flows all the time."""


@asynccontextmanager
async def sampled(bench: Bench, tracer: Tracer) -> AsyncIterator[None]:
    """Trace a sample of every connector at each change, at the beginning and at the end."""
    samplers = [_Sampler(bench.plant, connector, tracer) for connector in bench.plant.connectors.values()]
    try:
        yield
    finally:
        for sampler in samplers:
            sampler.close()


class _Sampler:
    def __init__(self, plant: Circuit, connector: Connector, tracer: Tracer) -> None:
        self._connector = connector
        self._plant = plant
        self._point = plant.point(connector.name)
        self._tracer = tracer
        self._last = 0.0
        self._state: object = None
        connector.branch.listeners.append(self._changed)
        connector.cable.listen(self._changed)
        self._sample()

    def close(self) -> None:
        """The last sample."""
        self._connector.branch.listeners.remove(self._changed)
        self._connector.cable.leave(self._changed)
        self._sample()

    def _changed(self) -> None:
        if self._state != self._now() or self._plant.agenda.now() / S - self._last >= APART_S:
            self._sample()

    def _now(self) -> object:
        """What is sampled at each change."""
        return self._connector.cable.station_levels(), self._connector.cable.output, self._connector.branch.closed

    def _sample(self) -> None:
        seen = self._point.electrical()
        levels, output = self._connector.cable.station_levels(), self._connector.cable.output
        self._last = self._plant.agenda.now() / S
        self._state = self._now()
        data = {
            "voltage_v": list(seen.voltage_v),
            "current_a": list(seen.current_a),
            "power_w": sum(seen.power_w),
            "energy_wh": str(seen.energy_import_wh),
            "contactor": self._connector.branch.closed,
            "pilot_v": [round(levels.high, 3), round(levels.low, 3)],
            "duty": round(output.duty, 3) if output.drive.value == "pwm" else None,
        }
        self._tracer(TraceEvent(self._last, "plant", KIND, self._connector.name, data))
