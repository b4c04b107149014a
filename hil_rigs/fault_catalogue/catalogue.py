"""All faults by name. A new layer adds its entries here."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

from hil_rigs.fault_catalogue import around, cable, metering, parties, session
from hil_rigs.fault_catalogue.breakable import Breakable
from hil_rigs.fault_catalogue.entry import Entry, Injection, Undo, Value
from ports.errors import LocalError

CATALOGUE: Mapping[str, Entry] = {
    entry.name: entry for part in (cable, metering, session, around, parties) for entry in part.ENTRIES
}

LAYERS: Mapping[str, str] = {
    "cable": "pilot, proximity, contactor, lock, protection, vehicle, mains",
    "line": "the serial line of a meter",
    "meter": "the meter and its data",
    "token": "the signing token",
    "v2g": "V2G messages of either side",
    "vehicle": "what a vehicle holds and offers",
    "cpo": "the backend that takes signed values, over REST or MQTT",
    "csms": "the embedded CSMS",
    "delivery": "the way from the journal to a backend",
    "pools": "the embedded pools",
    "clock": "civil time",
    "network": "the network in memory",
}


def find(name: str) -> Entry:
    """An entry. Raises LocalError with the nearest name."""
    entry = CATALOGUE.get(name)
    if entry is None:
        near = difflib.get_close_matches(name, CATALOGUE, 1, 0.5)
        hint = f"did you mean {near[0]}?" if near else "`plugbench faults` lists them"
        raise LocalError(f"no fault {name!r}; {hint}")
    return entry


def inject(
    bench: Breakable, name: str, on: str = "", values: Mapping[str, Value] | None = None, times: int | None = None
) -> Undo:
    """Break something; returns the undo. Raises LocalError (wrong name or values) or RigError (nothing to break)."""
    entry = find(name)
    if times is not None and not entry.counts:
        raise LocalError(f"{name} cannot be counted: say how long (for), not how often (times)")
    injection = Injection(on, entry.checked(values or {}), times)
    bench.say("fault.begun", name, injection)
    undo = entry.inject(bench, injection)
    done = False

    def once() -> None:
        nonlocal done
        if not done:
            done = True
            bench.say("fault.over", name, injection)
            undo()

    return once
