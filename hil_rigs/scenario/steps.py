"""What each step of a scenario does to the bench."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal
from typing import Any

from firmware_sim.vehicle.evcc_setup import Plan
from firmware_sim.vehicle.wish import Energy, Seconds, ToSoc
from gateway.authorisation import IdToken, RefusedError
from hil_rigs import rig
from hil_rigs.fault_catalogue import catalogue
from hil_rigs.fault_catalogue.breakable import Breakable, only
from hil_rigs.fault_catalogue.entry import Undo
from hil_rigs.scenario import format as said
from hil_rigs.scenario.channels import CHANNELS
from hil_rigs.scenario.duration import seconds
from hil_rigs.scenario.endings import endings
from hil_rigs.scenario.observer import Observer
from hil_rigs.scenario.pattern import parse_pattern
from hil_rigs.scenario.strategy import route, state_of
from hil_rigs.session_run import run_session
from hil_rigs.wiring.v2g_link import lead_to
from ocmf.terms import IdType
from ports.charge_control import PilotState
from ports.errors import RigError

_WITH_VEHICLE = (PilotState.B, PilotState.C, PilotState.D)


class StepError(RigError):
    """A step could not be done: what was wished did not come about."""


class Actor:
    """Does steps. observer: what is seen. start: boot-time seconds at which the rig was up.

    since: number of the first observation after the last step.
    """

    def __init__(self, breakable: Breakable, observer: Observer, start: float) -> None:
        self.observer = observer
        self.since = 0
        self._start = start
        self._breakable = breakable
        self._bench = breakable.bench
        self._undo: dict[str, Undo] = {}
        self._timers: set[asyncio.Task[None]] = set()

    async def do(self, step: said.AnyStep) -> None:
        """Do one. Raises StepError (it did not come about), RigError, LocalError."""
        before = len(self.observer.seen)
        await _DOING[type(step)](self, step)
        self.since = before

    def inject(self, one: said.Inject | said.Timed) -> Undo:
        """Break something, and plan its end; returns the undo."""
        undo = catalogue.inject(self._breakable, one.fault, one.on, one.values, one.times)
        self._undo[getattr(one, "name", "") or one.fault] = undo
        if one.time is not None:
            task = asyncio.create_task(self._later(seconds(one.time), undo), name=f"end of {one.fault}")
            self._timers.add(task)
            task.add_done_callback(self._timers.discard)
        return undo

    def close(self) -> None:
        """Undo what is still broken."""
        for task in self._timers:
            task.cancel()
        for undo in reversed(self._undo.values()):
            undo()

    async def _later(self, wait_s: float, undo: Undo) -> None:
        await self._bench.clock.sleep(wait_s)
        undo()

    def _vehicle(self, name: str) -> str:
        return name or only(list(self._bench.plant.vehicles), "vehicle")

    def _connector(self, name: str) -> str:
        return name or only(list(self._bench.plant.connectors), "connector")

    # the steps

    async def plug(self, step: said.Plug) -> None:
        name, connector = self._vehicle(step.vehicle), self._connector(step.connector)
        link, evcc = self._bench.links.get(connector), self._bench.vehicles.get(name)
        if link is not None and evcc is not None:
            lead_to(evcc, link, self._bench.controller)
            pause_after = None if step.pause_after is None else seconds(step.pause_after)
            again = None if step.renegotiate_after is None else seconds(step.renegotiate_after)
            evcc.plan = Plan(pause_after, seconds(step.pause), again)
        outlet = self._bench.plant.connectors[connector]
        sees_it = self._bench.controller.by_name[connector].machine.pilot in _WITH_VEHICLE
        if sees_it and outlet.cable.pp_ohm is None and self._bench.plant.vehicles[name].outlet is None:
            raise StepError(f"connector {connector} has not yet seen the last plug leave: wait 1 s after unplug")
        self._bench.plant.vehicles[name].plug_in(outlet)

    async def unplug(self, step: said.Unplug) -> None:
        self._bench.plant.vehicles[self._vehicle(step.vehicle)].unplug()

    async def want(self, step: said.Want) -> None:
        vehicle = self._bench.plant.vehicles[self._vehicle(step.vehicle)]
        if step.time is not None:
            vehicle.want(Seconds(seconds(step.time)))
        elif step.kwh is not None:
            vehicle.want(Energy(Decimal(str(step.kwh)) * 1000))
        elif step.soc is not None:
            vehicle.want(ToSoc(step.soc))
        else:
            vehicle.stop()

    async def card(self, step: said.Card) -> None:
        # the gateway traces a refusal as session.refused: the scenario says whether that is right
        with contextlib.suppress(RefusedError):
            await self._bench.controller.authorise(self._connector(step.connector), _token(step))

    async def stop(self, step: said.Stop) -> None:
        self._bench.controller.stop(self._connector(step.connector))

    async def wait(self, step: said.Wait) -> None:
        await self._bench.clock.sleep(seconds(step.time))

    async def until(self, step: said.Until) -> None:
        await self._seen(step.seen, seconds(step.within), 0 if step.since == "start" else self.since)

    async def inject_now(self, step: said.Inject) -> None:
        self.inject(step)

    async def undo(self, step: said.Undo) -> None:
        undo = self._undo.get(step.name)
        if undo is None:
            raise StepError(f'nothing named "{step.name}" was injected: {", ".join(self._undo) or "nothing was"}')
        undo()

    async def offer(self, step: said.Offer) -> None:
        connector = self._connector(step.connector)
        secc = self._bench.controller.seccs.get(connector)
        if secc is None:
            raise StepError(f"connector {connector} has no V2G session to renegotiate")
        secc.renegotiate(step.amperes)

    async def restart(self, step: said.Restart) -> None:
        name = self._vehicle(step.vehicle)
        evcc = self._bench.vehicles.get(name)
        if evcc is None:
            raise StepError(f"{name} has no V2G session to begin anew: its protocol is none")
        await evcc.restart()

    async def session(self, step: said.Session) -> None:
        vehicle = self._vehicle(step.vehicle)
        session = rig.Session(
            connector=self._connector(step.connector),
            vehicle=vehicle,
            identification=step.identification,
            charge_for_s=None if step.time is None else seconds(step.time),
            until_kwh=step.kwh,
            until_soc=step.soc if step.soc is not None or step.time is not None or step.kwh is not None else 100.0,
        )
        result = await run_session(self._bench, session)
        if result.problem:
            raise StepError(result.problem)

    async def reach(self, step: said.Reach) -> None:
        vehicle, connector = self._vehicle(step.vehicle), self._connector(step.connector)
        steps: dict[str, said.AnyStep] = {
            "plug": said.Plug(vehicle=vehicle, connector=connector),
            "card": said.Card(id=step.identification, connector=connector),
            "unplug": said.Unplug(vehicle=vehicle),
        }
        for way in route(state_of(self._bench, vehicle, connector), step.state):
            since = len(self.observer.seen)
            if way.action:
                await self.do(steps[way.action])
            seen = way.seen.format(vehicle=vehicle, connector=connector)
            if way.action or state_of(self._bench, vehicle, connector) is not step.state:
                await self._seen(seen, seconds(way.within), since)

    async def repeat(self, step: said.Repeat) -> None:
        limit = None if step.within is None else seconds(step.within)
        until = None if step.until is None else parse_pattern(step.until, CHANNELS)
        since = len(self.observer.seen)
        try:
            async with asyncio.timeout(limit):
                done = 0
                while (step.times is None or done < step.times) and (
                    until is None or self.observer.find(until, since) is None
                ):
                    for inner in step.steps:
                        await self.do(inner)
                    done += 1
        except TimeoutError:
            raise StepError(f'"{step.until}" was not seen within {step.within}') from None
        if until is not None and self.observer.find(until, since) is None:
            raise StepError(f'"{step.until}" was not seen in {step.times} rounds')

    async def _seen(self, text: str, limit_s: float, since: int) -> None:
        pattern = parse_pattern(text, CHANNELS)
        try:
            async with asyncio.timeout(limit_s):
                await self.observer.wait(pattern, since)
        except TimeoutError:
            raise StepError(f'"{text}" was not seen within {limit_s:g} s; {self._last(pattern.channel)}') from None

    def _last(self, channel: str) -> str:
        """The newest of a channel, for whoever looks for what is missing."""
        newest = [one for one in self.observer.seen if one.channel == channel][-5:]
        seen = ", ".join(f"{one.name} at {one.at - self._start:.3f} s" for one in newest)
        return f"last seen on {channel}: {seen or 'nothing'}{endings(self.observer.seen, self._start)}"


def _token(step: said.Card) -> IdToken:
    return IdToken(step.id, IdType(step.type))


_DOING: Mapping[type, Callable[[Actor, Any], Awaitable[None]]] = {
    said.Plug: Actor.plug,
    said.Unplug: Actor.unplug,
    said.Want: Actor.want,
    said.Card: Actor.card,
    said.Stop: Actor.stop,
    said.Wait: Actor.wait,
    said.Until: Actor.until,
    said.Inject: Actor.inject_now,
    said.Undo: Actor.undo,
    said.Offer: Actor.offer,
    said.Restart: Actor.restart,
    said.Session: Actor.session,
    said.Reach: Actor.reach,
    said.Repeat: Actor.repeat,
}
