"""The states that a rig can be brought into, and how: one row for each, with the state before it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from firmware_sim.vehicle.transitions import Phase

if TYPE_CHECKING:
    from hil_rigs.bench import Bench


class RigState(StrEnum):
    """How far a vehicle has come at its connector."""

    POWERED = "powered"  # everything is up, nothing is plugged in
    PLUGGED = "plugged"
    AUTHORISED = "authorised"  # a transaction is open
    CHARGING = "charging"  # current flows


@dataclass(frozen=True, slots=True)
class Way:
    """before: the state to come from. action: of `Actor`, "" = only wait. seen: what says that it is reached."""

    before: RigState
    action: str
    seen: str
    within: str


WAYS: Mapping[RigState, Way] = {
    RigState.PLUGGED: Way(RigState.POWERED, "plug", "wire.pilot state state!=A @{connector}", "5 s"),
    RigState.AUTHORISED: Way(RigState.PLUGGED, "card", "session record context=Transaction.Begin @{connector}", "60 s"),
    RigState.CHARGING: Way(RigState.AUTHORISED, "", "wire.pilot vehicle phase=charging @{vehicle}", "60 s"),
}
BACK = Way(RigState.POWERED, "unplug", "session state state=available @{connector}", "60 s")


def state_of(bench: Bench, vehicle: str, connector: str) -> RigState:
    """Where this vehicle stands now."""
    car = bench.plant.vehicles[vehicle]
    if car.outlet is None:
        return RigState.POWERED
    if car.phase is Phase.CHARGING:
        return RigState.CHARGING
    status = next(one for one in bench.controller.status() if one.name == connector)
    return RigState.AUTHORISED if status.transaction_id else RigState.PLUGGED


def route(here: RigState, wanted: RigState) -> list[Way]:
    """The ways to go, in order; backwards always leads over an unplugged vehicle."""
    order = list(RigState)
    ways: list[Way] = []
    if order.index(wanted) < order.index(here):
        ways.append(BACK)
        here = RigState.POWERED
    return ways + [WAYS[state] for state in order[order.index(here) + 1 : order.index(wanted) + 1]]
