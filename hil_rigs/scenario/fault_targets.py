"""What of a rig a fault can strike, known before the rig comes up: what an entry of the catalogue says under `on`."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping

from hil_rigs.fault_catalogue.entry import Entry
from hil_rigs.resources import (
    CpoMqttResource,
    CpoRestResource,
    CsmsResource,
    MeterResource,
    PoolsResource,
    SerialResource,
    VehicleResource,
)
from hil_rigs.resources.url import EMBEDDED
from hil_rigs.rig import Rig, VirtualClockSettings

NOTHING = "nothing"
VIRTUAL = "virtual"


def target_problem(entry: Entry, on: str, rig: Rig) -> str:
    """Why this fault cannot strike that in this rig; "" when it can."""
    needs = _NEEDS.get(entry.layer)
    if needs is not None and not needs[1](rig):
        return f"{entry.name} needs {needs[0]}, and the rig has none"
    if entry.on == NOTHING:
        return f'{entry.name} has only one thing to strike: leave out on, which is "{on}"' if on else ""
    targets = _TARGETS.get(entry.on)
    if targets is None:  # hosts of the network have any name
        return ""
    known = targets[1](rig)
    there = f"there are {', '.join(known)}" if known else "the rig has none"
    if on:
        near = difflib.get_close_matches(on, known, 1)
        hint = f"did you mean {near[0]}?" if near else there
        return "" if on in known else f'no {targets[0]} "{on}" for {entry.name} to strike; {hint}'
    # a cable has an end at each vehicle, too: without a name its only connector is meant
    choice = _connectors(rig) if entry.on == CABLE else known
    return "" if len(choice) == 1 else f"say which {targets[0]} {entry.name} strikes (on); {there}"


def _lines(rig: Rig) -> list[str]:
    return [name for name, one in rig.resources.items() if isinstance(one, SerialResource) and one.port == VIRTUAL]


def _meters(rig: Rig) -> list[str]:
    lines = _lines(rig)
    meters = ((name, one) for name, one in rig.resources.items() if isinstance(one, MeterResource))
    return [name for name, one in meters if one.bus in lines or one.host == VIRTUAL]


def _connectors(rig: Rig) -> list[str]:
    return [one.id for one in rig.gateway.connectors]


def _talking(rig: Rig) -> list[str]:
    return [one.id for one in rig.gateway.connectors if one.secc is not None]


def _vehicles(rig: Rig) -> list[str]:
    return [name for name, one in rig.resources.items() if isinstance(one, VehicleResource)]


def _talking_vehicles(rig: Rig) -> list[str]:
    vehicles = ((name, one) for name, one in rig.resources.items() if isinstance(one, VehicleResource))
    return [name for name, one in vehicles if one.protocol != "none"]


def _embedded_csms(rig: Rig) -> list[str]:
    return [name for name, one in rig.resources.items() if isinstance(one, CsmsResource) and one.url == EMBEDDED]


def _embedded(*kinds: type) -> Callable[[Rig], bool]:
    def there(rig: Rig) -> bool:
        return any(isinstance(one, kinds) and getattr(one, "url", "") == EMBEDDED for one in rig.resources.values())

    return there


def _in_virtual_time(rig: Rig) -> bool:
    return isinstance(rig.clock, VirtualClockSettings)


CABLE = "connector or vehicle"
# what an entry says under `on`: what it is called, and the names of it in a rig
_TARGETS: Mapping[str, tuple[str, Callable[[Rig], list[str]]]] = {
    "serial line": ("virtual line", _lines),
    "meter": ("simulated meter", _meters),
    "connector": ("connector with V2G", _talking),
    CABLE: (CABLE, lambda rig: _connectors(rig) + _vehicles(rig)),
    "vehicle": ("vehicle with V2G", _talking_vehicles),
    "CSMS": ("embedded CSMS", _embedded_csms),
    "backend": ("backend", lambda rig: list(rig.gateway.backends)),
}
# layers without a name to say
_NEEDS: Mapping[str, tuple[str, Callable[[Rig], bool]]] = {
    "cpo": ("an embedded cpo.rest or cpo.mqtt", _embedded(CpoRestResource, CpoMqttResource)),
    "pools": ("embedded pools", _embedded(PoolsResource)),
    "clock": ("virtual time", _in_virtual_time),
    "network": ("virtual time", _in_virtual_time),
}
