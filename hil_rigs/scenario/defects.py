"""Defects of the device under test, seeded on purpose: a scenario that does not notice them proves nothing.

A defect replaces one behaviour of a bench that is up. It is not a fault of the surroundings, which the device has to
stand: with a defect, the device itself is wrong. Any fault of the catalogue can be a seed too (bad hardware).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

from firmware_sim.agenda import S
from firmware_sim.pilot import PilotLevels
from gateway import record_time
from gateway.journal_entry import Entry
from gateway.meter_reader import LostMeterError
from hil_rigs.fault_catalogue import catalogue
from hil_rigs.fault_catalogue.breakable import Breakable
from hil_rigs.fault_catalogue.entry import Parameter, Undo, checked
from hil_rigs.scenario.charging_defects import CHARGING_DEFECTS
from hil_rigs.scenario.format import Defect
from hil_rigs.scenario.seed import Seed, Values, patched, replace
from hil_rigs.scenario.session_defects import SESSION_DEFECTS
from ports.backend import Ack, SignedRecord
from ports.clock import TimeStatus


def _without_page(bench: Breakable, values: Values) -> None:
    journal, lost = bench.bench.journal, int(values["record"])

    async def fewer(*arguments: Any) -> list[Entry]:
        found = await journal.entries(*arguments)
        return [entry for number, entry in enumerate(found, 1) if number != lost]

    replace(bench.bench, "journal", entries=fewer)


def _deaf_to_pilot(bench: Breakable, _values: Values) -> None:
    for connector in bench.bench.controller.by_name.values():
        machine = connector.machine

        def deaf(pilot: Any, machine: Any = machine) -> Any:
            return [] if machine.in_transaction and pilot.value != "C" else machine.set_pilot(pilot)

        replace(connector, "machine", set_pilot=deaf)


def _stuck_driver(bench: Breakable, _values: Values) -> None:
    for connector in bench.bench.controller.by_name.values():
        reader, first = connector.reader, list[Any]()

        async def stuck(*arguments: Any, reader: Any = reader, first: list[Any] = first, **more: Any) -> Any:
            if not first:
                first.append(await reader.read(*arguments, **more))
            return first[0]

        replace(connector, "reader", read=stuck)


# what a board can be blind to, and the method of its machine that hears of it
_SENSES = {
    "residual": "residual_trip",
    "heat": "temperature",
    "proximity": "proximity",
    "over_current": "current",
    "supply": "supply",
    "earth": "earth",
}


def _blind_board(bench: Breakable, values: Values) -> None:
    for connector in bench.bench.plant.connectors.values():
        replace(connector.charger.board, "machine", **{_SENSES[values["to"]]: lambda *_arguments: []})


def _any_diode(bench: Breakable, _values: Values) -> None:
    for connector in bench.bench.plant.connectors.values():
        machine = connector.charger.board.machine

        def levels(at: int, measured: PilotLevels, machine: Any = machine) -> Any:
            return machine.levels(at, PilotLevels(measured.high, -12.0))

        replace(connector.charger.board, "machine", levels=levels)


def _no_self_test(bench: Breakable, _values: Values) -> None:
    for connector in bench.bench.plant.connectors.values():
        machine = connector.charger.board.machine

        def command(at: int, closed: bool, number: int, machine: Any = machine) -> Any:
            machine.residual_device_ok = True
            return machine.command_contactor(at, closed, number)

        replace(connector.charger.board, "machine", command_contactor=command)


def _ventilation(ventilated: bool, bench: Breakable, _values: Values) -> None:
    for connector in bench.bench.plant.connectors.values():
        machine = connector.charger.board.machine
        machine.settings = dataclasses.replace(machine.settings, ventilated=ventilated)
    for one in bench.bench.controller.by_name.values():
        one.machine.ventilated = ventilated


def _slow_pilot(bench: Breakable, values: Values) -> None:
    delay_s, agenda = float(values["seconds"]), bench.bench.plant.agenda
    for connector in bench.bench.plant.connectors.values():
        board = connector.charger.board
        machine = board.machine

        def levels(at: int, measured: PilotLevels, machine: Any = machine, board: Any = board) -> Any:
            agenda.at(at + round(delay_s * S), lambda: board.run(machine.levels(agenda.now(), measured)))
            return []

        replace(board, "machine", levels=levels)


def _civil_time(_bench: Breakable, _values: Values) -> Undo:
    def stamp(_self: object, time: datetime, status: TimeStatus, _monotonic: float) -> record_time.Stamp:
        return record_time.Stamp(time, status)

    return patched(record_time.RecordTime, "stamp", stamp)


def _wall_clock(_bench: Breakable, _values: Values) -> Undo:
    return patched(record_time, "_utc", lambda time: time.replace(tzinfo=UTC))


def _gives_up_meter(bench: Breakable, _values: Values) -> None:
    for connector in bench.bench.controller.by_name.values():
        reader, lost = connector.reader, list[LostMeterError]()

        async def read(*arguments: Any, reader: Any = reader, lost: list[LostMeterError] = lost, **more: Any) -> Any:
            if lost:
                raise lost[0]
            try:
                return await reader.read(*arguments, **more)
            except LostMeterError as error:
                lost.append(error)
                raise

        replace(connector, "reader", read=read)


def _charges_unsigned(bench: Breakable, _values: Values) -> None:
    for connector in bench.bench.controller.by_name.values():
        connector.policy = dataclasses.replace(connector.policy, token_s=1e9)


def _loses_delivery(bench: Breakable, values: Values) -> None:
    lost, count = int(values["record"]), 0
    for line in bench.bench.forwarder._lines.values():  # noqa: SLF001 - a defect is where nobody looks
        backend = line.backend

        async def deliver(record: SignedRecord, backend: Any = backend) -> Ack:
            nonlocal count
            count += 1
            return Ack.STORED if count == lost else await backend.deliver(record)

        replace(line, "backend", deliver=deliver)


DEFECTS: Mapping[str, Seed] = {
    "gateway.believes_civil_time": Seed("durations come from civil time, whatever happens to it", _civil_time),
    "gateway.believes_wall_clock": Seed("times are compared as the clock on the wall shows them", _wall_clock),
    "gateway.gives_up_meter": Seed("a meter that was silent once is never asked again", _gives_up_meter),
    "gateway.charges_unsigned": Seed("charging goes on however long the token is away", _charges_unsigned),
    "gateway.loses_delivery": Seed(
        "a delivery is taken for done that never was",
        _loses_delivery,
        (Parameter("record", "", 5, "which delivery, from 1"),),
    ),
    "board.blind": Seed(
        "the board does not sense one thing",
        _blind_board,
        (Parameter("to", "", choices=tuple(_SENSES), required=True),),
    ),
    "board.any_diode": Seed("the board never looks at the negative half of the pilot", _any_diode),
    "board.skips_self_test": Seed("the board takes its residual current device for sound", _no_self_test),
    "board.always_ventilated": Seed("ventilation is taken for granted", partial(_ventilation, True)),
    "board.never_ventilated": Seed("there is ventilation, and nobody knows", partial(_ventilation, False)),
    "board.slow_pilot": Seed(
        "the board sees the pilot late", _slow_pilot, (Parameter("seconds", "s", 0.5, "how late"),)
    ),
    "journal.loses_page": Seed(
        "the store loses a record", _without_page, (Parameter("record", "", 2, "which one, from 1"),)
    ),
    "gateway.deaf_to_pilot": Seed("the gateway does not act on the pilot while it charges", _deaf_to_pilot),
    "meter.stuck_driver": Seed("the driver hands out its first reading again and again", _stuck_driver),
    **SESSION_DEFECTS,
    **CHARGING_DEFECTS,
}


def plant(bench: Breakable, defect: Defect) -> Undo:
    """Put a defect in; returns what takes it out. Raises LocalError or RigError where it has no place."""
    seed = DEFECTS.get(defect.seed)
    if seed is None:
        return catalogue.inject(bench, defect.seed, defect.on, defect.values)
    return seed.plant(bench, checked(defect.seed, seed.parameters, defect.values)) or _nothing


def _nothing() -> None:
    """What goes with the bench needs no undo."""
