"""What each fault does to the plant, and how that is undone: one function per kind, used by `fault_table`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from firmware_sim.agenda import ns
from firmware_sim.charger.board import PHASE_NAMES
from firmware_sim.charger.dc_supply import SimulatedDcSupply
from firmware_sim.circuit import Circuit, Connector
from firmware_sim.vehicle.simulated import SimulatedVehicle
from ports.errors import LocalError

Undo = Callable[[], None]
ROOM_C = 25.0


class Target:
    """Where a fault goes: a connector of a plant, and the vehicle at it (or the one that will come)."""

    def __init__(self, plant: Circuit, connector: Connector, vehicle: SimulatedVehicle | None = None) -> None:
        self.plant = plant
        self.connector = connector
        self._vehicle = vehicle

    @property
    def vehicle(self) -> SimulatedVehicle:
        """The vehicle. Raises LocalError when there is none."""
        at_outlet = (v for v in self.plant.vehicles.values() if v.outlet is self.connector)
        vehicle = self._vehicle or next(at_outlet, None)
        if vehicle is None:
            raise LocalError(f"no vehicle at {self.connector.name}: plug one in, or name it")
        return vehicle


class Values:
    """The checked parameters of one injection."""

    def __init__(self, values: Mapping[str, float | str]) -> None:
        self._values = values

    def number(self, name: str) -> float:
        """A parameter with a unit."""
        return float(self._values[name])

    def word(self, name: str) -> str:
        """A parameter with choices."""
        return str(self._values[name])


def set_pilot(target: Target, **values: object) -> Undo:
    """Change the cable, and put back what was there."""
    cable = target.connector.cable
    before = {name: getattr(cable, name) for name in values}
    cable.change(**values)
    return lambda: cable.change(**before)


def set_vehicle(target: Target, attribute: str, value: object) -> Undo:
    vehicle = target.vehicle
    before = getattr(vehicle, attribute)

    def put(to: object) -> None:
        setattr(vehicle, attribute, to)
        vehicle.touch()

    put(value)
    return lambda: put(before)


def set_contactor(target: Target, **values: object) -> Undo:
    contactor = target.connector.charger.board.contactor
    before = {name: getattr(contactor, name) for name in values}

    def put(to: Mapping[str, object]) -> None:
        for name, value in to.items():
            setattr(contactor, name, value)

    put(values)
    return lambda: put(before)


def weld(target: Target, _values: Values) -> Undo:
    contactor = target.connector.charger.board.contactor
    contactor.weld(True)
    return lambda: contactor.weld(False)


def no_feedback(target: Target, _values: Values) -> Undo:
    contactor = target.connector.charger.board.contactor
    contactor.lose_feedback(True)
    return lambda: contactor.lose_feedback(False)


def set_mains(target: Target, change: Callable[[], None], back: Callable[[], None]) -> Undo:
    target.plant.change_mains(change)
    return lambda: target.plant.change_mains(back)


def set_level(target: Target, level: float) -> Undo:
    mains = target.plant.mains
    before = mains.level
    return set_mains(target, lambda: setattr(mains, "level", level), lambda: setattr(mains, "level", before))


def lose_phase(target: Target, values: Values) -> Undo:
    on, phase = target.plant.mains.phase_on, PHASE_NAMES.index(values.word("phase"))
    return set_mains(target, lambda: on.__setitem__(phase, False), lambda: on.__setitem__(phase, True))


def residual(kind: str) -> Callable[[Target, Values], Undo]:
    def apply(target: Target, values: Values) -> Undo:
        device = target.connector.charger.board.residual
        device.sense(**{kind: values.number("milliamperes")})
        return lambda: device.sense(**{kind: 0.0})

    return apply


def self_test(target: Target, _values: Values) -> Undo:
    machine = target.connector.charger.board.machine
    machine.residual_device_ok = False
    return lambda: setattr(machine, "residual_device_ok", True)


def no_earth(target: Target, _values: Values) -> Undo:
    board = target.connector.charger.board
    board.earth(False)
    return lambda: board.earth(True)


def heat(target: Target, values: Values) -> Undo:
    """A ramp in steps of one degree."""
    board, agenda = target.connector.charger.board, target.plant.agenda
    first, last, seconds = values.number("from_c"), values.number("to_c"), values.number("seconds")
    steps = max(math.ceil(abs(last - first)), 1)
    entries = []
    for n in range(steps + 1):
        celsius = first + (last - first) * n / steps
        entries.append(agenda.after(ns(seconds * n / steps), lambda celsius=celsius: board.heat(celsius)))  # type: ignore[misc]

    def undo() -> None:
        for entry in entries:
            entry.cancel()
        board.heat(ROOM_C)

    return undo


def emergency_stop(target: Target, _values: Values) -> Undo:
    board = target.connector.charger.board
    board.press_emergency_stop(True)
    return lambda: board.press_emergency_stop(False)


def jam(target: Target, _values: Values) -> Undo:
    lock = target.connector.charger.board.lock
    lock.jammed = True
    return lambda: setattr(lock, "jammed", False)


def broken_latch(target: Target, _values: Values) -> Undo:
    target.connector.charger.board.lock.break_loose()
    return lambda: None


def pulse(target: Target, values: Values) -> Undo:
    target.vehicle.toggle(1, c_ms=round(values.number("milliseconds")))
    return lambda: None


def _power_stage(target: Target) -> SimulatedDcSupply:
    if target.connector.dc is None:
        raise LocalError(f"{target.connector.name} has no DC power stage: this fault goes with energy: dc")
    return target.connector.dc


def leak(target: Target, values: Values) -> Undo:
    stage = _power_stage(target)
    before = stage.insulation_kohm
    stage.leak(values.number("kohm"))
    return lambda: stage.leak(before)


def set_power_stage(target: Target, attribute: str, value: float) -> Undo:
    stage = _power_stage(target)
    before = getattr(stage, attribute)
    setattr(stage, attribute, value)
    return lambda: setattr(stage, attribute, before)


def ventilation(target: Target, _values: Values) -> Undo:
    return set_vehicle(target, "needs_ventilation", True)
