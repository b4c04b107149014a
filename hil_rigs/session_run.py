"""One charging session as a driver lives it: plug in, show the card, charge, show the card again, unplug."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from firmware_sim.vehicle.evcc_setup import Plan
from firmware_sim.vehicle.simulated import SimulatedVehicle
from firmware_sim.vehicle.transitions import Phase
from firmware_sim.vehicle.wish import Energy, Seconds, ToSoc, Wish
from gateway.authorisation import IdToken, RefusedError
from gateway.controller import ConnectorStatus
from gateway.transaction import ENDING, State
from hil_rigs.bench import Bench
from hil_rigs.resources import CsmsResource, VehicleResource
from hil_rigs.rig import Session
from hil_rigs.wiring.v2g_link import lead_to
from ocmf.terms import IdType
from ports.errors import RigError
from ports.reader import CardKind

CARDS = {IdType.ISO14443: CardKind.ISO14443, IdType.ISO15693: CardKind.ISO15693}
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


def _why(status: ConnectorStatus) -> list[str]:
    return [text for text in (*status.faults, status.stopped_by) if text]


class _Run:
    def __init__(self, bench: Bench, session: Session) -> None:
        self._bench = bench
        self._session = session
        self._vehicle: SimulatedVehicle = bench.plant.vehicles[session.vehicle]
        self._point = bench.plant.point(session.connector)
        self._before = self._point.electrical().energy_import_wh
        self._v2g = bench.vehicles.get(session.vehicle)
        self.transaction_id = ""
        self.problem = ""

    def plant_wh(self) -> Decimal:
        return self._point.electrical().energy_import_wh - self._before

    async def charge(self) -> None:
        session, controller = self._session, self._bench.controller
        self._vehicle.want(wish_of(session))
        self._prepare_v2g()
        self._vehicle.plug_in(self._bench.plant.connectors[session.connector])
        await self._soon("the station to see the vehicle", controller.wait_for(session.connector, State.PLUGGED))
        if not self._has_contract and not self._bench.rig.gateway.free:
            await self._identify()
        await self._soon("energy to flow", self._energy())
        self.transaction_id = next(
            status.transaction_id for status in controller.status() if status.name == session.connector
        )
        limit = LONGEST_S if session.charge_for_s is None else session.charge_for_s + PATIENCE_S
        limit += session.pause_s if session.pause_after_s is not None else 0.0
        await self._within(limit, "the charge to end", self._end_of_charge())

    def _prepare_v2g(self) -> None:
        """Lead the cable's link to the vehicle, with the plan and the faults of this session."""
        session, link = self._session, self._bench.links.get(self._session.connector)
        if link is None:
            return
        link.break_as(session)
        if self._v2g is not None:
            lead_to(self._v2g, link, self._bench.controller)
            self._v2g.forget()
            self._v2g.plan = Plan(session.pause_after_s, session.pause_s, session.renegotiate_after_s)

    @property
    def _has_contract(self) -> bool:
        resource = self._bench.rig.resources[self._session.vehicle]
        return isinstance(resource, VehicleResource) and resource.auth == "pnc"

    async def _energy(self) -> None:
        """Until current flows, or a V2G session has failed before."""
        charging = asyncio.ensure_future(self._vehicle.until(Phase.CHARGING))
        failing = asyncio.ensure_future(self._failure())
        try:
            await asyncio.wait((charging, failing), return_when=asyncio.FIRST_COMPLETED)
            if not charging.done():
                raise RigError(f"connector {self._session.connector}: the V2G session failed: {failing.result()}")
        finally:
            charging.cancel()
            failing.cancel()

    async def _failure(self) -> str:
        """What went wrong in the vehicle's session; a vehicle that cannot talk never says so."""
        if self._v2g is None:
            await asyncio.Event().wait()
            return ""
        return await self._v2g.failure()

    async def _end_of_charge(self) -> None:
        if self._v2g is None or (not self._v2g.outcomes and self._v2g.connection is None):
            await self._vehicle.until(Phase.CONNECTED, Phase.UNPLUGGED)
            return
        await self._v2g.idle()
        if self._v2g.problem:
            raise RigError(f"connector {self._session.connector}: the V2G session failed: {self._v2g.problem}")

    async def leave(self) -> None:
        session, controller = self._session, self._bench.controller
        status = next(one for one in controller.status() if one.name == session.connector)
        if status.faults and not self.problem:
            self.problem = f"the connector reports {', '.join(status.faults)}"
        if status.transaction_id:
            self.transaction_id = status.transaction_id
            if self._has_contract or self._bench.rig.gateway.free:
                controller.stop(session.connector)
            elif status.state not in ENDING:  # a V2G session ends its transaction by itself
                await self._identify()
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

    async def _identify(self) -> None:
        """Hold the card to the reader; at a connector with real readers only, somebody does it. Raises RefusedError."""
        connector, token = self._session.connector, self._card()
        reader = self._bench.readers.at(connector)
        kind = CARDS.get(token.id_type)
        if reader is not None and kind is not None:
            reader.tap(bytes.fromhex(token.id), kind)
        elif not self._bench.readers.setups or kind is None:
            await self._bench.controller.authorise(connector, token)

    def _card(self) -> IdToken:
        rig = self._bench.rig
        known = [card for one in rig.resources.values() if isinstance(one, CsmsResource) for card in one.cards or ()]
        listed: dict[str, str] = {card.id: card.type for card in known if card.type is not None}
        listed |= {entry.id: entry.type for entry in rig.gateway.local_list}
        return IdToken(self._session.identification, IdType(listed.get(self._session.identification, "ISO14443")))

    async def _soon(self, what: str, wait: Coroutine[Any, Any, object]) -> None:
        await self._within(PATIENCE_S, what, wait)

    async def _within(self, seconds: float, what: str, wait: Coroutine[Any, Any, object]) -> None:
        try:
            async with asyncio.timeout(seconds):
                await wait
        except TimeoutError:
            states = ", ".join(
                f"{one.name} is {one.state}" + (f" ({', '.join(why)})" if (why := _why(one)) else "")
                for one in self._bench.controller.status()
            )
            raise RigError(
                f"connector {self._session.connector}: waited {seconds:g} s for {what}; {states}; "
                f"{self._session.vehicle} is {self._vehicle.phase}"
            ) from None
