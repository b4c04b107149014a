"""The test bench: a plant under virtual time, with everything that it reports kept."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TypeVar

from firmware_sim.branch import BranchSettings
from firmware_sim.charger.settings import ChargerSettings
from firmware_sim.circuit import Circuit, Connector
from firmware_sim.faults import Target, inject
from firmware_sim.mains import MainsSettings
from firmware_sim.vehicle.settings import VehicleSettings
from firmware_sim.vehicle.simulated import SimulatedVehicle
from hil_rigs.virtual_clock import VirtualClock, run_virtual
from ports.charge_control import ContactorChanged, ControlEvent, ControlFault, FaultChanged, PilotChanged
from ports.trace import TraceEvent

T = TypeVar("T")
START = datetime(2026, 11, 20, 8, tzinfo=UTC)


class Bench:
    """One connector, one vehicle, and what they did."""

    def __init__(
        self,
        clock: VirtualClock,
        charger: ChargerSettings | None = None,
        vehicle: VehicleSettings | None = None,
        mains: MainsSettings | None = None,
        branch: BranchSettings | None = None,
        seed: int = 0,
    ) -> None:
        self.clock = clock
        self.trace: list[TraceEvent] = []
        self.plant = Circuit(clock, mains=mains, seed=seed, tracer=self.trace.append)
        self.connector: Connector = self.plant.add_connector("c1", charger, branch)
        self.vehicle: SimulatedVehicle = self.plant.add_vehicle("ev", vehicle)
        self.charger = self.connector.charger
        self.point = self.plant.point("c1")
        self.events: list[ControlEvent] = []
        self._news = asyncio.Event()

    async def collect(self) -> None:
        async for event in self.charger.events():
            self.events.append(event)
            self._news.set()

    def at(self, condition: Callable[[ControlEvent], bool]) -> float:
        """Time of the first event like this."""
        return next(event.at for event in self.events if condition(event))

    def traced(self, kind: str) -> list[TraceEvent]:
        return [event for event in self.trace if event.kind == kind]

    def contactor(self) -> list[bool]:
        return [event.closed for event in self.events if isinstance(event, ContactorChanged)]

    def pilots(self) -> list[str]:
        return [f"{e.state}{2 if e.pwm else 1}" for e in self.events if isinstance(e, PilotChanged)]

    def faults(self) -> list[tuple[ControlFault, bool]]:
        return [(event.fault, event.active) for event in self.events if isinstance(event, FaultChanged)]

    async def until(self, condition: Callable[[ControlEvent], bool], within: float = 60) -> ControlEvent:
        """The next event like this, counted from now."""
        seen = len(self.events)
        async with asyncio.timeout(within):  # virtual seconds
            while True:
                for event in self.events[seen:]:
                    if condition(event):
                        return event
                seen = len(self.events)
                self._news.clear()
                await self._news.wait()

    async def until_pilot(self, name: str, within: float = 60) -> ControlEvent:
        return await self.until(
            lambda e: isinstance(e, PilotChanged) and f"{e.state}{2 if e.pwm else 1}" == name, within
        )

    def inject(self, name: str, **parameters: float | str) -> Callable[[], None]:
        return inject(Target(self.plant, self.connector, self.vehicle), name, **parameters)

    async def charge(self, amperes: float = 32, ready: str = "C2") -> None:
        """From an unplugged vehicle to a charging one."""
        self.vehicle.plug_in(self.connector)
        await self.until_pilot("B1")
        if not self.connector.charger.board.machine.settings.tethered:
            await self.charger.set_lock(True)
        await self.charger.offer_current(amperes)
        await self.until_pilot(ready)
        await self.charger.set_contactor(True)
        await self.clock.sleep(5)


def on_bench(main: Callable[[Bench], Awaitable[T]], **settings: object) -> T:
    """Run a test on a bench in virtual time."""

    async def run(clock: VirtualClock) -> T:
        bench = Bench(clock, **settings)  # type: ignore[arg-type]
        async with bench.plant:
            collecting = asyncio.ensure_future(bench.collect())
            await asyncio.sleep(0)
            result = await main(bench)
            await bench.charger.close()
            await collecting
            return result

    return run_virtual(run, start=START)
