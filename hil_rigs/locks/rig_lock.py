"""Everything of a rig that only one user may have at a time, held for the time of a run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from hil_rigs.locks.file_lock import held
from hil_rigs.locks.labgrid_place import LabgridPlace
from hil_rigs.resources import VehicleResource
from hil_rigs.rig import Rig
from hil_rigs.wiring.network_namespace import OWN
from ports.clock import Clock

# what names the thing behind a real resource; the first that a resource has
_NAMES = ("port", "host", "token", "interface", "reader")


def things(rig: Rig) -> list[str]:
    """The real things of a rig, each by a name that is the same for everybody on this machine."""
    found = []
    for name, resource in rig.resources.items():
        if not getattr(resource, "real", None):
            continue
        value = next((str(getattr(resource, key)) for key in _NAMES if getattr(resource, key, None)), name)
        found.append(os.path.realpath(value) if value.startswith("/") else value)
    return [*found, *_interfaces(rig)]


def _interfaces(rig: Rig) -> Iterator[str]:
    """Network interfaces of cables. Their names count in their namespace only."""
    here = str(OWN.readlink())
    for connector in rig.gateway.connectors:
        if connector.secc is not None and connector.secc.interface is not None:
            yield f"interface {connector.secc.interface} in {here}"
    for vehicle in rig.resources.values():
        if isinstance(vehicle, VehicleResource) and vehicle.interface is not None:
            yield f"interface {vehicle.interface} in {vehicle.netns or here}"


@contextmanager
def rig_held(rig: Rig, clock: Clock) -> Iterator[None]:
    """Hold the rig's real things, and its labgrid place if it has one. Raises RigError that names who holds it."""
    with ExitStack() as stack:
        if rig.place is not None:
            stack.enter_context(LabgridPlace(rig.place.name, rig.place.coordinator).held())
        stack.enter_context(held(things(rig), rig.rig, clock))
        yield
