"""Put faults of `fault_table.FAULTS` into a running plant, and take them out again. Several may be active at once."""

from __future__ import annotations

from collections.abc import Mapping

from firmware_sim.fault_effects import Target, Undo, Values
from firmware_sim.fault_table import FAULTS, Fault
from ports.errors import LocalError

__all__ = ["FAULTS", "Fault", "Target", "Undo", "inject"]


def inject(target: Target, name: str, **parameters: float | str) -> Undo:
    """Put a fault in; what is not given has its default. Returns the undo (harmless when called twice).

    Raises LocalError: unknown fault or parameter, value outside its limits, no vehicle there.
    """
    if name not in FAULTS:
        raise LocalError(f"no fault {name!r}: there are {', '.join(FAULTS)}")
    fault = FAULTS[name]
    target.plant.agenda.run_due()
    undo = fault.apply(target, Values(_checked(fault, parameters)))
    trace = target.plant.trace
    trace("fault.injected", target.connector.name, {"fault": name, **parameters})
    pending = [undo]

    def once() -> None:
        if pending:
            target.plant.agenda.run_due()
            pending.pop()()
            trace("fault.undone", target.connector.name, {"fault": name})

    return once


def _checked(fault: Fault, given: Mapping[str, float | str]) -> dict[str, float | str]:
    known = {parameter.name: parameter for parameter in fault.parameters}
    if unknown := sorted(set(given) - set(known)):
        raise LocalError(f"{fault.name} has no {', '.join(unknown)}: it has {', '.join(known) or 'no parameters'}")
    values: dict[str, float | str] = {}
    for name, parameter in known.items():
        value = given.get(name, parameter.default)
        if parameter.choices:
            if value not in parameter.choices:
                raise LocalError(f"{fault.name}: {name} is {value!r}, not one of {', '.join(parameter.choices)}")
        elif isinstance(value, (str, bool)) or not parameter.low <= value <= parameter.high:
            limits = f"{parameter.low:g} and {parameter.high:g} {parameter.unit}".rstrip()
            raise LocalError(f"{fault.name}: {name} is {value!r}, not between {limits}")
        values[name] = value
    return values
