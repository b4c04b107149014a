"""What happens at one station: its driver plugs in, shows the card, charges, shows the card again, unplugs."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from random import Random
from typing import Any

from firmware_sim.vehicle.transitions import Phase
from firmware_sim.vehicle.wish import Seconds
from gateway.authorisation import RefusedError
from gateway.transaction import ENDING, State
from hil_rigs.fleet.plan import MARGIN_H, FleetPlan
from hil_rigs.fleet.station import CONNECTOR, VEHICLE, Station
from ports.clock import Clock
from ports.errors import RigError

HOUR_S = 3600.0
EMPTY = 5.0  # per cent, before each session
PATIENCE_S = 120.0  # for what happens at once on a station that works; a charging loop of a minute included


def begins(plan: FleetPlan, random: Random) -> list[float]:
    """Seconds after the start of the fleet at which the sessions begin: each anywhere in its part of the time."""
    part = plan.hours / plan.sessions
    slack = part - plan.session_h - MARGIN_H
    return [HOUR_S * (number * part + slack * random.random()) for number in range(plan.sessions)]


async def drive(plan: FleetPlan, station: Station, clock: Clock, random: Random) -> list[str]:
    """All sessions of a station; what did not go as planned, one line each."""
    problems: list[str] = []
    began = clock.monotonic()
    for number, at in enumerate(begins(plan, random), 1):
        await clock.sleep(max(0.0, began + at - clock.monotonic()))
        for step in (_session(plan, station), _leave(station)):
            try:
                await step
            except (RefusedError, RigError) as error:
                why = station.evcc.problem if station.evcc is not None else ""
                problems.append(f"{station.name}, session {number}: {error}" + (f" ({why})" if why else ""))
    return problems


async def _session(plan: FleetPlan, station: Station) -> None:
    vehicle, controller = station.plant.vehicles[VEHICLE], station.controller
    charge_s = plan.session_h * HOUR_S
    vehicle.battery.set_soc(EMPTY)
    vehicle.want(Seconds(charge_s))
    if station.evcc is not None:
        station.evcc.forget()
    vehicle.plug_in(station.plant.connectors[CONNECTOR])
    await _within(PATIENCE_S, "the station sees the vehicle", controller.wait_for(CONNECTOR, State.PLUGGED))
    await controller.authorise(CONNECTOR, station.card)
    await _within(PATIENCE_S, "current flows", vehicle.until(Phase.CHARGING))
    if station.evcc is None:
        ended = vehicle.until(Phase.CONNECTED, Phase.UNPLUGGED)
        await _within(charge_s + PATIENCE_S, "the charge has ended", ended)
    else:
        await _within(charge_s + PATIENCE_S, "the V2G session has ended", station.evcc.idle())
        if station.evcc.problem:
            raise RigError("the V2G session failed")
    (status,) = controller.status()
    if status.transaction_id and status.state not in ENDING:
        await controller.authorise(CONNECTOR, station.card)
    await _within(PATIENCE_S, "the transaction has ended", controller.wait_for(CONNECTOR, State.PLUGGED, State.FAULTED))


async def _leave(station: Station) -> None:
    station.plant.vehicles[VEHICLE].unplug()
    free = station.controller.wait_for(CONNECTOR, State.AVAILABLE)
    await _within(PATIENCE_S, "the connector is free", free)


async def _within(seconds: float, what: str, wait: Coroutine[Any, Any, object]) -> None:
    try:
        async with asyncio.timeout(seconds):
            await wait
    except TimeoutError:
        raise RigError(f"waited {seconds:g} s until {what}") from None
