"""The electrical plant: one mains, several connectors, exact energy at every measuring point.

Everything that changes a flow passes through here: energy is counted up to that instant, then the flow changes, then
those concerned are told. Between two changes nothing runs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

from firmware_sim.agenda import Agenda, AgendaRunner, S
from firmware_sim.branch import Amounts, Branch, BranchSettings
from firmware_sim.cable import Cable
from firmware_sim.charger.dc_supply import SimulatedDcSupply
from firmware_sim.charger.settings import ChargerSettings
from firmware_sim.charger.simulated import SimulatedCharger
from firmware_sim.energy_counter import NW_PER_W, EnergyCounter, to_wh
from firmware_sim.mains import Mains, MainsSettings
from firmware_sim.vehicle.settings import VehicleSettings
from firmware_sim.vehicle.simulated import SimulatedVehicle
from ports.clock import Clock
from ports.dc_supply import DcRating
from ports.energy import Electrical
from ports.errors import LocalError
from ports.trace import TraceEvent, Tracer, no_trace


@dataclass(frozen=True, slots=True)
class Connector:
    """One outlet of the plant: its conductors, its power path, its firmware, and the power stage of a DC outlet."""

    name: str
    cable: Cable
    branch: Branch
    charger: SimulatedCharger
    dc: SimulatedDcSupply | None = None


class MeasuringPoint:
    """An `EnergySource`: what a meter at this place sees."""

    def __init__(
        self,
        circuit: Circuit,
        branches: Callable[[], list[Branch]],
        counter: EnergyCounter,
        behind: Branch | None = None,
    ) -> None:
        self._circuit = circuit
        self._behind = behind
        self._branches = branches
        self._counter = counter

    def electrical(self) -> Electrical:
        """Voltages, currents and powers now, and the exact energy up to now."""
        self._circuit.agenda.run_due()
        at = self._circuit.agenda.now()
        branches = self._branches()
        millivolts = self._circuit.mains.millivolts()
        milliamperes = [sum(b.mains_milliamperes(millivolts)[phase] for b in branches) for phase in range(3)]
        if self._behind is not None and self._behind.dc is not None:  # a DC meter, behind the power stage
            millivolts, milliamperes = self._behind.millivolts, list(self._behind.milliamperes)
        standing_w = sum(b.settings.standing_w for b in branches) if any(millivolts) else 0.0
        first = next((phase for phase in range(3) if millivolts[phase]), 0)  # the station's own supply
        volts = [mv / 1000 for mv in millivolts]
        amperes = [ma / 1000 for ma in milliamperes]
        watts = [mv * ma / 1_000_000 for mv, ma in zip(millivolts, milliamperes, strict=True)]
        if standing_w:
            watts[first] += standing_w
            amperes[first] += standing_w / volts[first]
        imported, exported = self._counter.units(at)
        return Electrical(
            voltage_v=(volts[0], volts[1], volts[2]),
            current_a=(amperes[0], amperes[1], amperes[2]),
            power_w=(watts[0], watts[1], watts[2]),
            frequency_hz=self._circuit.mains.frequency_hz,
            energy_import_wh=to_wh(imported),
            energy_export_wh=to_wh(exported),
        )


class Circuit:
    """The plant under one clock. Use as `async with Circuit(clock) as plant:`."""

    def __init__(
        self,
        clock: Clock,
        *,
        mains: MainsSettings | None = None,
        seed: int = 0,
        tracer: Tracer = no_trace,
    ) -> None:
        self.agenda = Agenda(lambda: round(clock.monotonic() * S))
        self.mains = Mains(mains or MainsSettings(), seed)
        self.connectors: dict[str, Connector] = {}
        self.vehicles: dict[str, SimulatedVehicle] = {}
        self._total = EnergyCounter(self.agenda.now())
        self._tracer = tracer
        self._runner = AgendaRunner(self.agenda, clock)

    async def __aenter__(self) -> Circuit:
        self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def start(self) -> None:
        """Power on; needs a running event loop."""
        self.mains.start_noise(self.agenda, self.change_mains)
        self._runner.start()

    async def close(self) -> None:
        """Switch everything off and end the plant's only task; raises what broke in it."""
        for connector in self.connectors.values():
            connector.charger.power_off()
        await self._runner.close()

    def add_connector(
        self,
        name: str,
        charger: ChargerSettings | None = None,
        branch: BranchSettings | None = None,
        dc: DcRating | None = None,
    ) -> Connector:
        """A further outlet on the same mains; dc: with a DC power stage. Raises LocalError when the name is taken."""
        if name in self.connectors:
            raise LocalError(f"there is a connector {name!r} already")
        cable = Cable(self.agenda)
        path = Branch(name, branch or BranchSettings(), self.agenda.now())
        firmware = SimulatedCharger(
            name,
            charger or ChargerSettings(),
            self.agenda,
            cable,
            lambda closed: self.set_contactor(name, closed),
            self.trace,
        )
        supply = None
        if dc is not None:
            supply = SimulatedDcSupply(dc, self.agenda, path, lambda: self._flow(path), firmware.board.trip)
        self.connectors[name] = Connector(name, cable, path, firmware, supply)
        if supply is None:
            path.listeners.append(lambda: firmware.power_changed(path, self.mains.nominal_mv))
        self._flow(path)
        return self.connectors[name]

    def add_vehicle(self, name: str, settings: VehicleSettings | None = None) -> SimulatedVehicle:
        """A vehicle, not plugged in yet. Raises LocalError when the name is taken."""
        if name in self.vehicles:
            raise LocalError(f"there is a vehicle {name!r} already")
        self.vehicles[name] = SimulatedVehicle(
            name, settings or VehicleSettings(), self.agenda, self.set_demand, self.trace
        )
        return self.vehicles[name]

    def point(self, connector: str = "") -> MeasuringPoint:
        """The measuring point of one connector (upstream of its contactor), or of the whole mains with no name."""
        if not connector:
            return MeasuringPoint(self, lambda: [c.branch for c in self.connectors.values()], self._total)
        if connector not in self.connectors:
            raise LocalError(f"no connector {connector!r}: there are {', '.join(sorted(self.connectors)) or 'none'}")
        branch = self.connectors[connector].branch
        return MeasuringPoint(self, lambda: [branch], branch.metered, branch)

    def set_contactor(self, connector: str, closed: bool) -> None:
        """The main contacts of a connector moved."""
        branch = self.connectors[connector].branch
        if branch.closed != closed:
            branch.closed = closed
            self._flow(branch)

    def set_demand(self, branch: Branch, milliamperes: Amounts) -> None:
        """A vehicle would draw this now."""
        if branch.demand_ma != milliamperes:
            branch.demand_ma = milliamperes
            self._flow(branch)

    def change_mains(self, change: Callable[[], None]) -> None:
        """Apply a change to the mains and let it take effect everywhere."""
        self.agenda.run_due()
        change()
        for connector in self.connectors.values():
            self._flow(connector.branch)
            if connector.dc is not None:
                connector.charger.mains_changed(self.mains.millivolts(), self.mains.nominal_mv)

    def _flow(self, branch: Branch) -> None:
        at = self.agenda.now()
        if not branch.flow(at, self.mains.millivolts()):
            return
        self._total.set_power(at, sum(c.branch.metered.power_nw for c in self.connectors.values()))
        self.trace(
            "power.flow",
            branch.name,
            {
                "closed": branch.closed,
                "millivolts": list(branch.millivolts),
                "milliamperes": list(branch.milliamperes),
                "watts": branch.metered.power_nw / NW_PER_W,
            },
        )
        for listener in tuple(branch.listeners):
            self.agenda.after(0, listener)

    def trace(self, kind: str, source: str, data: dict[str, object]) -> None:
        """Report; the layer is what stands before the dot in `kind`."""
        self._tracer(TraceEvent(self.agenda.now() / S, kind.partition(".")[0], kind, source, data))
