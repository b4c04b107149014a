"""Defects of the device under test, seeded on purpose: a scenario that does not notice them proves nothing.

A defect replaces one behaviour of a bench that is up. It is not a fault of the surroundings, which the device has to
stand: with a defect, the device itself is wrong. Any fault of the catalogue can be a seed too (bad hardware).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.journal_entry import Entry
from hil_rigs.fault_catalogue import catalogue
from hil_rigs.fault_catalogue.breakable import Breakable
from hil_rigs.scenario.format import Defect

Values = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Seed:
    """meaning: what is wrong with the device. plant: puts it into the bench."""

    meaning: str
    plant: Callable[[Breakable, Values], None]


class Impostor:
    """Stands in for a part of the device: some of its attributes are others, the rest is the part's own."""

    def __init__(self, part: object, **others: object) -> None:
        object.__setattr__(self, "_part", part)
        object.__setattr__(self, "_others", others)

    def __getattr__(self, name: str) -> Any:
        others = object.__getattribute__(self, "_others")
        return others[name] if name in others else getattr(object.__getattribute__(self, "_part"), name)

    def __setattr__(self, name: str, value: object) -> None:
        setattr(object.__getattribute__(self, "_part"), name, value)


def replace(owner: object, attribute: str, **others: object) -> None:
    """Put an impostor in the place of a part."""
    setattr(owner, attribute, Impostor(getattr(owner, attribute), **others))


def _without_page(bench: Breakable, values: Values) -> None:
    """with: record = which one, counted from 1."""
    journal, lost = bench.bench.journal, int(values.get("record", 2))

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


DEFECTS: Mapping[str, Seed] = {
    "journal.loses_page": Seed("the store loses a record", _without_page),
    "gateway.deaf_to_pilot": Seed("the gateway does not act on the pilot while it charges", _deaf_to_pilot),
    "meter.stuck_driver": Seed("the driver hands out its first reading again and again", _stuck_driver),
}


def plant(bench: Breakable, defect: Defect) -> None:
    """Put a defect in. Raises LocalError or RigError where it has no place."""
    seed = DEFECTS.get(defect.seed)
    if seed is not None:
        seed.plant(bench, defect.values)
    else:
        catalogue.inject(bench, defect.seed, defect.on, defect.values)
