"""Faults of meters (`meters.faults`) and of their lines (`hil_rigs.serial_line.faults`)."""

from __future__ import annotations

from typing import Any

from hil_rigs.fault_catalogue.breakable import Breakable, chosen
from hil_rigs.fault_catalogue.entry import Entry, Injection, Parameter, Undo, number
from hil_rigs.serial_line import faults as line
from meters import faults as meter


def _meter_entry(kind: meter.FaultKind) -> Entry:
    def inject(bench: Breakable, injection: Injection) -> Undo:
        simulated = bench.bench.metering.simulated
        faults = simulated[chosen(injection.on, simulated, "simulated meter")].faults
        values = {name: number(injection.values, name) for name in injection.values}
        faults.inject(kind.name, injection.times, **values)
        return lambda: faults.clear(kind.name)

    parameters = tuple(Parameter(name, one.unit, one.default, one.meaning) for name, one in kind.parameters.items())
    return Entry(f"meter.{kind.name}", "meter", parameters, f"{kind.meaning}: {kind.effect}", "as before", inject)


def _line_entry(kind: line.FaultKind) -> Entry:
    def inject(bench: Breakable, injection: Injection) -> Undo:
        plan = bench.lines[chosen(injection.on, bench.lines, "virtual line")]
        values: dict[str, Any] = dict(injection.values)
        point = str(values.pop("point"))
        one = plan.inject(kind.name, point=point, times=injection.times, **values)
        return lambda: plan.undo(one)

    parameters = (
        *(Parameter(one.name, one.unit, one.default, one.doc) for one in kind.parameters),
        Parameter("point", "", kind.points[0], "which bursts", kind.points),
    )
    return Entry(f"line.{kind.name}", "serial line", parameters, f"{kind.doc} {kind.effect}", "as before", inject)


ENTRIES = (
    *(_meter_entry(kind) for kind in meter.FAULTS.values()),
    *(_line_entry(kind) for kind in line.FAULTS.values()),
)
