"""The V2G controller (EVCC) of a simulated vehicle: finds the station when it shows 5 % duty, and leads the vehicle.

One session for each plugging-in, and another one after each pause. When a session fails, the vehicle waits to be
unplugged, or told to `try_again`; only when no contract could be installed it begins another session at once, and pays
with what it has.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import NoReturn

from firmware_sim.vehicle.contract_choice import choose
from firmware_sim.vehicle.evcc_setup import EvccSetup, Plan
from firmware_sim.vehicle.evcc_side import EvccSide
from firmware_sim.vehicle.simulated import SimulatedVehicle
from firmware_sim.vehicle.transitions import Phase
from ports.clock import Clock
from ports.errors import PeerError, RigError
from ports.trace import TraceEvent, Tracer, no_trace
from v2g.contract_key import agreement
from v2g.link.connection import Connection, LinkSettings
from v2g.link.vehicle import connect
from v2g.session import events as v2g
from v2g.session.evcc import Evcc
from v2g.session.iso2_vehicle_table import HALT, START
from v2g.session.physical import number
from v2g.session.vehicle_side import ContractCredentials
from v2g.signature_suites import signer

CERTIFICATE_REQUESTS = ("CertificateInstallationReq", "CertificateUpdateReq")
TOGGLING_S = 1.2  # two times 300 ms of C and of B (ISO 15118-3 table 3)
WAKE_UP_S = 10.0  # a station that was woken shows 5 % duty by then


class Communication:
    """outcomes: how the sessions since the last plugging-in ended. problem: of the last one, "" when there is none.

    contract_problem: why no contract was installed or updated since then, "" when there is nothing to say.
    """

    def __init__(self, vehicle: SimulatedVehicle, setup: EvccSetup, clock: Clock, tracer: Tracer = no_trace) -> None:
        self.setup = setup
        self.plan = Plan()
        self.outcomes: list[v2g.Ended] = []
        self.problem = ""
        self.contract_problem = ""
        self.connection: Connection | None = None
        self._vehicle = vehicle
        self._clock = clock
        self._tracer = tracer
        self._side: EvccSide | None = None
        self._installing = ""
        self._limit_a = 0.0
        self._again = False
        self._news = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._failed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Look at the pilot from now on."""
        self._vehicle.on_review = self._news.set
        self._task = asyncio.create_task(self._run(), name=f"EVCC of {self._vehicle.name}")

    async def close(self) -> None:
        """End what goes on; raises what went wrong unexpectedly."""
        if self.connection is not None:
            self.connection.abort("the vehicle is switched off")
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            (outcome,) = await asyncio.gather(task, return_exceptions=True)
            if isinstance(outcome, Exception):
                raise outcome

    def forget(self) -> None:
        """What was seen since the last plugging-in is of no interest any more; not while a session is under way."""
        self.outcomes, self.problem, self.contract_problem = [], "", ""
        self._failed.clear()

    def try_again(self) -> None:
        """Begin another session without being unplugged."""
        self._again = True
        self._news.set()

    async def restart(self) -> None:
        """`try_again`, and wake a station that no longer shows 5 % duty (B-C-B). Raises RigError: why it cannot be."""
        vehicle = self._vehicle
        if vehicle.outlet is None:
            self._no_restart("it is not plugged in")
        if not self._idle.is_set():
            self._trace("evcc.restart", why="when the session of now has ended")
            self.try_again()
            return
        if vehicle.sees_digital_duty:
            self._trace("evcc.restart", why="the station shows 5 % duty")
            self.try_again()
            return
        if vehicle.phase is not Phase.CONNECTED:
            self._no_restart(f"the station shows {vehicle.duty_text}, and the vehicle is {vehicle.phase}: unplug first")
        self._trace("evcc.restart", why=f"the station shows {vehicle.duty_text}: it is woken by B-C-B")
        self.try_again()
        vehicle.toggle()
        await self._clock.sleep(TOGGLING_S)
        if not await self._within(WAKE_UP_S, lambda: vehicle.sees_digital_duty or not self._idle.is_set()):
            self._again = False
            self._no_restart(
                f"the station shows {vehicle.duty_text} {WAKE_UP_S:g} s after B-C-B: unplug, and plug in anew"
            )

    def _no_restart(self, why: str) -> NoReturn:
        self._trace("evcc.restart", why=f"impossible: {why}")
        raise RigError(f"{self._vehicle.name} cannot try again: {why}")

    async def idle(self) -> None:
        """Wait until no session is under way or planned."""
        await self._idle.wait()

    async def failure(self) -> str:
        """Wait until a session fails; why."""
        while not self.problem:
            await self._failed.wait()
            self._failed.clear()
        return self.problem

    # the pilot

    async def _run(self) -> None:
        vehicle = self._vehicle
        while True:
            await self._until(lambda: vehicle.sees_digital_duty)
            self._idle.clear()
            self.outcomes, self.problem, self.contract_problem, self._again = [], "", "", False
            try:
                self._side = EvccSide(vehicle, self.setup, self.plan, self._clock)
                await self._sessions(self._side)
            except RigError as error:
                self._fail(str(error))
            finally:
                self._idle.set()
            await self._until(lambda: vehicle.outlet is None or self._again)

    async def _sessions(self, side: EvccSide) -> None:
        """A session, another one when its contract could not be installed, and those that follow a pause."""
        paused: v2g.PausedSession | None = None
        while True:
            if paused is None:
                self._choose(side)
            tried = bool(side.choice.action)
            paused = await self._session(side, paused)
            if tried and self.contract_problem and paused is None and self._vehicle.sees_digital_duty:
                continue
            if paused is None or self._vehicle.outlet is None:
                return
            await self._clock.sleep(self.plan.pause_s)
            self._vehicle.toggle()
            await self._clock.sleep(TOGGLING_S)
            if not await self._within(WAKE_UP_S, lambda: self._vehicle.sees_digital_duty):
                self._fail(f"the station did not wake up within {WAKE_UP_S:g} s")
                return

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._news.clear()
            await self._news.wait()

    async def _within(self, seconds: float, condition: Callable[[], bool]) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._until(condition)
        except TimeoutError:
            return False
        return True

    # a session

    def _choose(self, side: EvccSide) -> None:
        """What this session pays with. Raises RigError."""
        side.choice = choice = choose(self.setup, self.plan, self._clock.now(), failed=self.contract_problem)
        if choice.action and not side.root_ids:
            raise RigError(f"to {choice.action} a contract the vehicle needs V2G roots: put one into its store")
        emaid = choice.contract.emaid if choice.contract is not None else ""
        self._trace("evcc.payment", payment=choice.payment, emaid=emaid, action=choice.action, why=choice.why)

    async def _session(self, side: EvccSide, paused: v2g.PausedSession | None) -> v2g.PausedSession | None:
        """One session to its end; the paused one, when it is to go on later."""
        setup, vehicle = self.setup, self._vehicle
        settings = LinkSettings(self._clock, self._tracer, setup.record)
        hook = setup.hook()

        def make(connection: Connection, now: float) -> Evcc:
            return Evcc(side, now=now, tls=connection.is_tls, settings=setup.machine, paused=paused, hook=hook)

        count, self._installing = len(self.outcomes), ""
        try:
            self.connection = await connect(
                setup.link, settings, make, self._take, wish=setup.tls_wish, tls=setup.tls, sdp_port=setup.sdp_port()
            )
        except (PeerError, RigError) as error:
            self._fail(str(error))
            return None
        connection = self.connection
        vehicle.lead(True, dc=setup.dc)
        watch = asyncio.create_task(self._watch_plug(connection), name=f"plug of {vehicle.name}")
        try:
            await connection.closed
        finally:
            watch.cancel()
            self._release()
            self.connection = None
        if connection.crash is not None:
            self._fail(f"our own bug: {connection.crash!r}")
            raise connection.crash
        if connection.tls_error is not None:
            self._fail(str(connection.tls_error))
        if len(self.outcomes) == count:
            return None
        ended = self.outcomes[-1]
        if ended.outcome not in ("terminated", "paused"):
            if self._installing:
                self._no_contract(ended.reason)
            else:
                self._fail(ended.reason)
        return ended.paused

    async def _watch_plug(self, connection: Connection) -> None:
        await self._until(lambda: self._vehicle.outlet is None)
        connection.abort("unplugged")

    def _release(self) -> None:
        self._vehicle.open_s2()
        self._vehicle.lead(False)
        self._limit_a = 0.0

    def _take(self, connection: Connection, event: v2g.Event) -> None:  # noqa: ARG002 - one at a time
        vehicle = self._vehicle
        match event:
            case v2g.PilotWanted(state="C"):
                vehicle.close_s2()
            case v2g.PilotWanted():
                vehicle.open_s2()
            case v2g.OfferReceived(message=message):
                self._limit_a = _offered_a(message, vehicle.settings.phases, dc=self.setup.dc)
                vehicle.set_digital_limit(self._limit_a)
            case v2g.PowerState(max_current=now_a):
                vehicle.set_digital_limit(self._limit_a if now_a is None else min(self._limit_a, now_a))
            case v2g.StateChanged(old=old, new=new) if self.setup.dc and old == START and new == "CurrentDemandReq":
                vehicle.close_inlet(True)
            case v2g.StateChanged(new=new) if new == HALT:
                vehicle.cease()
            case v2g.StateChanged(old=old) if self.setup.dc and old == HALT:
                vehicle.close_inlet(False)
            case v2g.StateChanged(new=new) if new in CERTIFICATE_REQUESTS:
                self._installing = new
            case v2g.ContractInstalled():
                self._keep(event)
            case v2g.Ended():
                self.outcomes.append(event)

    def _keep(self, event: v2g.ContractInstalled) -> None:
        """A contract has come: into the store; when that fails, it lasts as long as the vehicle."""
        emaid, certificates = event.emaid, event.certificates
        credentials = ContractCredentials(emaid, certificates, signer(event.key), agreement(event.key))
        self._installing = ""
        try:
            self.setup.store.add_contract(certificates, event.key, emaid)
        except (RigError, PeerError) as error:
            self.setup = replace(self.setup, contract=credentials)
            self._trace("evcc.contract", emaid=emaid, problem=f"not kept: {error}")
        else:
            self.setup = replace(self.setup, contract=None)
            self._trace("evcc.contract", emaid=emaid, problem="")
        if self._side is not None:
            self._side.choice = replace(self._side.choice, contract=credentials, action="")

    def _no_contract(self, why: str) -> None:
        """Nothing was installed or updated: all is as it was."""
        self.contract_problem = f"{self._installing}: {why}"
        self._trace("evcc.contract", emaid="", problem=self.contract_problem)

    def _fail(self, why: str) -> None:
        self.problem = why
        self._failed.set()
        self._trace("evcc.failed", why=why)

    def _trace(self, kind: str, **data: str) -> None:
        self._tracer(TraceEvent(self._clock.monotonic(), "session", kind, self._vehicle.name, data))


def _offered_a(message: object, phases: int, *, dc: bool) -> float:
    """What ChargeParameterDiscoveryRes lets a vehicle draw, in A (AC: per phase)."""
    answer = message.Body.BodyElement  # type: ignore[attr-defined]
    parameters = answer.EVSEChargeParameter
    if dc:
        return number(parameters.EVSEMaximumCurrentLimit)
    volts = number(parameters.EVSENominalVoltage)
    schedule = answer.SASchedules.SAScheduleTuple[0].PMaxSchedule.PMaxScheduleEntry
    watts = min(number(entry.PMax) for entry in schedule)
    return min(number(parameters.EVSEMaxCurrent), watts / volts / phases)
