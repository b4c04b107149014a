"""What happens at one station: its driver plugs in, shows the card, charges, shows the card again, unplugs."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from random import Random
from typing import Any

from firmware_sim.vehicle.transitions import Phase
from firmware_sim.vehicle.wish import Seconds
from gateway.authorisation import RefusedError
from gateway.transaction import ENDING, State
from hil_rigs.fleet.plan import MARGIN_H, FleetPlan
from hil_rigs.fleet.station import CONNECTOR, VEHICLE, Station
from hil_rigs.fleet.v2g import CARD, CONTRACT
from ports.clock import Clock
from ports.errors import RigError

HOUR_S = 3600.0
EMPTY = 5.0  # per cent, before each session
FIRST_PAUSE_S, LONGEST_PAUSE_S = 60.0, 900.0  # until a vehicle asks for its contract again: twice as long each time
FEWEST_TRIES = 3  # they take four of the 15 minutes between two sessions
PATIENCE_S = 120.0  # for what happens at once on a station that works; a charging loop of a minute included


def begins(plan: FleetPlan, random: Random) -> list[float]:
    """Seconds after the start of the fleet at which the sessions begin: each anywhere in its part of the time."""
    slack = _slack_s(plan)
    return [number * _part_s(plan) + slack * random.random() for number in range(plan.sessions)]


def _part_s(plan: FleetPlan) -> float:
    return HOUR_S * plan.hours / plan.sessions


def _slack_s(plan: FleetPlan) -> float:
    """A session can begin so much later than its part of the time."""
    return _part_s(plan) - HOUR_S * (plan.session_h + MARGIN_H)


async def drive(plan: FleetPlan, station: Station, clock: Clock, random: Random) -> list[str]:
    """All sessions of a station; what did not go as planned, one line each."""
    problems: list[str] = []
    began = clock.monotonic()
    for number, at in enumerate(begins(plan, random)):
        await clock.sleep(max(0.0, began + at - clock.monotonic()))
        latest = began + number * _part_s(plan) + _slack_s(plan)
        for step in (_session(plan, station, clock, latest), _leave(station)):
            try:
                await step
            except (RefusedError, RigError) as error:
                why = station.evcc.problem if station.evcc is not None else ""
                problems.append(f"{station.name}, session {number + 1}: {error}" + (f" ({why})" if why else ""))
    return problems


async def _session(plan: FleetPlan, station: Station, clock: Clock, latest: float) -> None:
    vehicle, controller = station.plant.vehicles[VEHICLE], station.controller
    charge_s = plan.session_h * HOUR_S
    vehicle.battery.set_soc(EMPTY)
    vehicle.want(Seconds(charge_s))
    if station.pools is None or not await _begin_by_contract(station, clock, latest):
        await _plug_in(station)
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


async def _plug_in(station: Station) -> None:
    if station.evcc is not None:
        station.evcc.forget()
    station.plant.vehicles[VEHICLE].plug_in(station.plant.connectors[CONNECTOR])
    seen = station.controller.wait_for(CONNECTOR, State.PLUGGED)
    await _within(PATIENCE_S, "the station sees the vehicle", seen)


async def _begin_by_contract(station: Station, clock: Clock, latest: float) -> bool:
    """Plug in, and pay by contract; where none can be installed, leave and come again later.

    latest: boot time until which it is worth the while, a few times in any case. False when none came: then the vehicle
    is set to be paid for by card, this time.
    """
    assert station.evcc is not None  # noqa: S101 - it has pools
    pause, tries = FIRST_PAUSE_S, 0
    station.evcc.setup = replace(station.evcc.setup, payment=CONTRACT)
    while True:
        await _plug_in(station)
        await _within(PATIENCE_S, "the vehicle pays by contract", _charging_or_failed(station))
        if not station.evcc.problem:
            return True
        if not station.evcc.contract_problem:
            raise RigError("the V2G session failed")
        await _leave(station)
        tries += 1
        if tries >= FEWEST_TRIES and clock.monotonic() + pause > latest:
            station.evcc.setup = replace(station.evcc.setup, payment=CARD)
            return False
        await clock.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE_S)


async def _charging_or_failed(station: Station) -> None:
    assert station.evcc is not None  # noqa: S101 - as above
    both = [
        asyncio.ensure_future(one)
        for one in (station.plant.vehicles[VEHICLE].until(Phase.CHARGING), station.evcc.failure())
    ]
    try:
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in both:
            one.cancel()


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
