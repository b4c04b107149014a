"""One charging session as a driver lives it: plug in, show the card, charge, show the card again, unplug."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from firmware_sim.vehicle.simulated import SimulatedVehicle
from firmware_sim.vehicle.transitions import Phase
from firmware_sim.vehicle.wish import Energy, Seconds, ToSoc, Wish
from gateway.authorisation import IdToken, RefusedError
from gateway.transaction import State
from hil_rigs.bench import Bench
from hil_rigs.rig import Session
from ocmf.terms import IdType
from ports.errors import RigError

PATIENCE_S = 60.0  # for everything that happens at once on a station that works
LONGEST_S = 48 * 3600.0  # for a charge that ends by energy or state of charge


@dataclass(frozen=True, slots=True)
class SessionResult:
    """What happened. plant_wh: energy through the measuring point, exact; problem: "" when it went as wished."""

    connector: str
    vehicle: str
    transaction_id: str
    plant_wh: Decimal
    problem: str = ""


def wish_of(session: Session) -> Wish:
    """What the driver wants, as the vehicle takes it."""
    if session.charge_for_s is not None:
        return Seconds(session.charge_for_s)
    if session.until_kwh is not None:
        return Energy(Decimal(str(session.until_kwh)) * 1000)
    return ToSoc(session.until_soc or 100.0)


async def run_session(bench: Bench, session: Session) -> SessionResult:
    """Run one session to its end; a session that goes wrong is a result with a problem, not an error."""
    await bench.clock.sleep(session.plug_at_s)
    run = _Run(bench, session)
    try:
        await run.charge()
    except (RefusedError, RigError, TimeoutError) as error:
        run.problem = str(error)
    await run.leave()
    return SessionResult(session.connector, session.vehicle, run.transaction_id, run.plant_wh(), run.problem)


class _Run:
    def __init__(self, bench: Bench, session: Session) -> None:
        self._bench = bench
        self._session = session
        self._vehicle: SimulatedVehicle = bench.plant.vehicles[session.vehicle]
        self._point = bench.plant.point(session.connector)
        self._before = self._point.electrical().energy_import_wh
        self.transaction_id = ""
        self.problem = ""

    def plant_wh(self) -> Decimal:
        return self._point.electrical().energy_import_wh - self._before

    async def charge(self) -> None:
        session, controller = self._session, self._bench.controller
        self._vehicle.want(wish_of(session))
        self._vehicle.plug_in(self._bench.plant.connectors[session.connector])
        await self._soon("the station to see the vehicle", controller.wait_for(session.connector, State.PLUGGED))
        controller.authorise(session.connector, self._card())
        await self._soon("energy to flow", self._vehicle.until(Phase.CHARGING))
        self.transaction_id = next(
            status.transaction_id for status in controller.status() if status.name == session.connector
        )
        limit = LONGEST_S if session.charge_for_s is None else session.charge_for_s + PATIENCE_S
        await self._within(limit, "the charge to end", self._vehicle.until(Phase.CONNECTED, Phase.UNPLUGGED))

    async def leave(self) -> None:
        session, controller = self._session, self._bench.controller
        status = next(one for one in controller.status() if one.name == session.connector)
        if status.faults and not self.problem:
            self.problem = f"the connector reports {', '.join(status.faults)}"
        if status.transaction_id:
            self.transaction_id = status.transaction_id
            controller.authorise(session.connector, self._card())
        try:
            await self._soon(
                "the transaction to end", controller.wait_for(session.connector, State.PLUGGED, State.FAULTED)
            )
        except RigError as error:
            self.problem = self.problem or str(error)
        self._vehicle.unplug()
        try:
            await self._soon("the connector to be free", controller.wait_for(session.connector, State.AVAILABLE))
        except RigError as error:
            self.problem = self.problem or str(error)

    def _card(self) -> IdToken:
        listed = {entry.id: entry.type for entry in self._bench.rig.gateway.local_list}
        return IdToken(self._session.identification, IdType(listed.get(self._session.identification, "ISO14443")))

    async def _soon(self, what: str, wait: Coroutine[Any, Any, object]) -> None:
        await self._within(PATIENCE_S, what, wait)

    async def _within(self, seconds: float, what: str, wait: Coroutine[Any, Any, object]) -> None:
        try:
            async with asyncio.timeout(seconds):
                await wait
        except TimeoutError:
            states = ", ".join(
                f"{one.name} is {one.state}" + (f" ({', '.join(one.faults)})" if one.faults else "")
                for one in self._bench.controller.status()
            )
            raise RigError(
                f"connector {self._session.connector}: waited {seconds:g} s for {what}; {states}; "
                f"{self._session.vehicle} is {self._vehicle.phase}"
            ) from None
