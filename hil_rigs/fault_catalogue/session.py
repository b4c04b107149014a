"""Faults of V2G messages, by name and count (`v2g.session.faults`); counted from their injection."""

from __future__ import annotations

import msgspec

from hil_rigs.fault_catalogue.breakable import Breakable, Chain, chosen
from hil_rigs.fault_catalogue.entry import Entry, Injection, Parameter, Undo
from ports.errors import LocalError
from v2g.session.faults import FAULTS, Fault, FaultPlan, read_fault

SIDES = ("station", "vehicle")


def _entry(tag: str, kind: type[Fault]) -> Entry:
    def inject(bench: Breakable, injection: Injection) -> Undo:
        values = dict(injection.values)
        side = str(values.pop("side"))
        links = bench.bench.links
        hook = links[chosen(injection.on, links, "connector with V2G")].faults[side]
        if not isinstance(hook, Chain):
            raise LocalError(f"{tag}: this bench was not made to be broken")
        times = 0 if injection.times is None else injection.times
        plan = FaultPlan([read_fault({"fault": tag, "times": times, **values})])
        hook.hooks.append(plan)
        return lambda: hook.hooks.remove(plan) if plan in hook.hooks else None

    name = tag.replace(" ", "_")
    effect = " ".join((kind.__doc__ or "").split("\n\n")[0].split())
    return Entry(f"v2g.{name}", "connector", tuple(_parameters(kind)), effect, "messages go out as they are", inject)


def _parameters(kind: type[Fault]) -> list[Parameter]:
    parameters = [Parameter("side", "", "station", "whose messages", SIDES)]
    for field in msgspec.structs.fields(kind):
        if field.name != "times":
            optional = not field.required and field.default is None
            default = None if field.required or optional else field.default
            parameters.append(Parameter(field.name, "", default, "", (), field.required, optional))
    return parameters


ENTRIES = tuple(_entry(tag, kind) for tag, kind in FAULTS.items())
