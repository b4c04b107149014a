"""Faults at the cable: pilot, contactor, lock, protection, vehicle, mains (`firmware_sim.fault_table`)."""

from __future__ import annotations

from firmware_sim import faults as firmware
from hil_rigs.fault_catalogue.breakable import Breakable
from hil_rigs.fault_catalogue.entry import Entry, Injection, Parameter, Undo


def _entry(fault: firmware.Fault) -> Entry:
    def inject(bench: Breakable, injection: Injection) -> Undo:
        values = {name: value for name, value in injection.values.items() if isinstance(value, int | float | str)}
        return firmware.inject(bench.target(injection.on), fault.name, **values)

    parameters = tuple(
        Parameter(one.name, one.unit, one.default, _limits(one), one.choices) for one in fault.parameters
    )
    effect = f"{fault.effect}; reported as {fault.reported}" if fault.reported else fault.effect
    return Entry(f"cable.{fault.name}", "connector or vehicle", parameters, effect, fault.undo, inject, counts=False)


def _limits(one: object) -> str:
    low, high = getattr(one, "low"), getattr(one, "high")  # noqa: B009 - of firmware_sim.fault_table.Parameter
    return "" if low == -float("inf") else f"{low:g} to {high:g}"


ENTRIES = tuple(_entry(fault) for fault in firmware.FAULTS.values())
