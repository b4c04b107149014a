"""A bench whose parts can be broken: the hooks that a run installs before it starts, and where each fault goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from backends.faults import FaultSwitch
from backends.operators.cpo.faults import FaultPlan as CsmsPlan
from firmware_sim.fault_effects import Target
from hil_rigs.bench import Bench
from hil_rigs.fault_catalogue.entry import Injection
from hil_rigs.hooks import Hooks
from hil_rigs.http_faults import HttpFaults
from hil_rigs.serial_line import FaultPlan as LinePlan
from hil_rigs.serial_line import MemoryLine
from hil_rigs.serial_line.line import Line
from hsm.signer_faults import BreakableSigner
from ports.clock import Clock
from ports.errors import RigError
from ports.faults import FaultHook
from ports.signer import Signer
from ports.trace import TraceEvent, Tracer

T = TypeVar("T")


class Chain:
    """A fault hook made of others, which come and go while messages pass."""

    def __init__(self) -> None:
        self.hooks: list[FaultHook] = []

    def __call__(self, point: str, unit: T) -> list[T]:
        """As `ports.faults.FaultHook`: through all of them, in order."""
        units = [unit]
        for hook in tuple(self.hooks):
            units = [changed for one in units for changed in hook(point, one)]
        return units


@dataclass(slots=True)
class Breakable:
    """clock, tracer: of the run. cpo, csms, pools: faults of the embedded ones.

    signer: set when the bench makes its signer.
    """

    clock: Clock
    tracer: Tracer
    cpo: FaultSwitch = field(default_factory=FaultSwitch)
    csms: CsmsPlan = field(default_factory=CsmsPlan)
    pools: HttpFaults = field(default_factory=HttpFaults)
    signer: BreakableSigner | None = None
    lines: dict[str, LinePlan] = field(default_factory=dict)
    _bench: Bench | None = None

    def hooks(self) -> Hooks:
        """What `open_bench` takes."""
        self.pools.clock = self.clock
        return Hooks(signer=self._wrap, cpo=self.cpo, csms=self.csms, pools=self.pools.before)

    def attach(self, bench: Bench) -> None:
        """The bench is up: be ready to break it."""
        self._bench = bench
        for link in bench.links.values():
            link.faults = {"station": Chain(), "vehicle": Chain()}
        for name, line in bench.metering.lines.items():
            plan = self.lines[name] = LinePlan(bench.rig.seed)
            if isinstance(line, MemoryLine):
                line.line.faults = plan
            else:
                line.call(partial(_give, plan))

    @property
    def bench(self) -> Bench:
        """The bench. Raises RigError before it is up."""
        if self._bench is None:
            raise RigError("the bench is not up yet")
        return self._bench

    def target(self, on: str) -> Target:
        """A connector of the plant, by its own name or by that of the vehicle at it."""
        plant = self.bench.plant
        if on in plant.vehicles:
            vehicle = plant.vehicles[on]
            outlet = vehicle.outlet
            name = outlet.name if outlet is not None else only(plant.connectors, "connector")
            return Target(plant, plant.connectors[name], vehicle)
        return Target(plant, plant.connectors[chosen(on, plant.connectors, "connector or vehicle")])

    def say(self, kind: str, name: str, injection: Injection) -> None:
        """Trace what was done to the bench."""
        data = {"fault": name, "times": injection.times, **injection.values}
        self.tracer(TraceEvent(self.clock.monotonic(), "fault", kind, injection.on, data))

    def _wrap(self, signer: Signer) -> Signer:
        self.signer = BreakableSigner(signer, self.clock)
        return self.signer


def _give(plan: LinePlan, line: Line, _now: float) -> None:
    line.faults = plan


def chosen(name: str, known: dict[str, T] | Sequence[str], what: str) -> str:
    """A name that is known, or the only one when none is given. Raises RigError."""
    if name in known:
        return name
    if name:
        raise RigError(f"no {what} {name!r}: there are {', '.join(known) or 'none'}")
    return only(known, what)


def only(known: dict[str, T] | Sequence[str], what: str) -> str:
    """The only one. Raises RigError when there are several, or none."""
    names = list(known)
    if len(names) != 1:
        raise RigError(f"say which {what}: there are {', '.join(names) or 'none'}")
    return names[0]
