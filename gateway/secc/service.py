"""The SECC of one connector: takes V2G sessions and joins them with pilot, transaction, contactor and power stage.

The transaction machine alone opens and closes; a session asks for power, and learns what came of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from gateway.admission import Admission
from gateway.connector import Connector
from gateway.journal import Journal
from gateway.secc.outlet import Outlet
from gateway.secc.payment import Payment, Till
from gateway.secc.pilot_mode import DUTIES, NEXT, STEADY, Happening, Mode
from gateway.secc.setup import SeccSetup
from gateway.transaction import Event, State
from ocmf.terms import Tx
from ports.charge_control import PilotState
from ports.clock import Clock
from ports.dc_supply import DcRating, Isolation
from ports.errors import PeerError, RigError
from ports.trace import TraceEvent, Tracer
from v2g.link.connection import Connection, LinkSettings
from v2g.link.station import Station
from v2g.link.tls_settings import StationTls
from v2g.session import events as v2g
from v2g.session.secc import Secc, SeccSettings


@dataclass(slots=True, eq=False)
class _Session:
    """One connection of a vehicle. leaving: asked to end."""

    connection: Connection
    outlet: Outlet
    payment: Payment
    wants_cable_check: bool = False
    leaving: bool = False


class SeccService:
    """V2G of one connector. mode: who leads. paused: the session that sleeps here."""

    def __init__(
        self,
        connector: Connector,
        setup: SeccSetup,
        clock: Clock,
        tracer: Tracer,
        admission: Admission,
        journal: Journal,
    ) -> None:
        self.mode = Mode.FREE
        self.paused: v2g.PausedSession | None = None
        self.station: Station | None = None
        self._connector = connector
        self._setup = setup
        self._clock = clock
        self._tracer = tracer
        self._sessions: dict[Connection, _Session] = {}
        self._current: _Session | None = None
        self._shown: float | None = STEADY
        self._silence: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._review_planned = False
        self._till = Till(
            connector, setup.contract_source, admission, journal, clock, self._trace, self._spawn, self._changed
        )

    async def open(self) -> None:
        """Listen, and follow the connector. Raises RigError."""
        settings = LinkSettings(self._clock, self._tracer, self._setup.record)
        self.station = await Station.open(
            self._setup.link,
            settings,
            self._make,
            self._take,
            policy=self._setup.tls_policy,
            tls=self._setup.tls,
            sdp_port=self._setup.sdp_port,
        )
        self._connector.on_change.append(self._changed)
        self._connector.on_wake_up = lambda: self._happens(Happening.WAKE_UP)
        self._changed()

    async def close(self) -> None:
        """End every session and listen no more; harmless when closed."""
        if self.station is not None:
            await self.station.close("the station shuts down")
        for task in [*self._tasks, *self._till.fetches, *([self._silence] if self._silence else [])]:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._setup.dc is not None:
            await self._setup.dc.close()

    def renegotiate(self, max_current_a: float | None = None) -> None:
        """Ask the vehicle to negotiate anew, with another limit of current if given; harmless without a session."""
        if self._current is not None:
            outlet = self._current.outlet
            outlet.max_current_a = outlet.max_current_a if max_current_a is None else max_current_a
            outlet.renegotiation = True

    def renew(self, tls: StationTls) -> None:
        """The SECC has new certificates; sessions under way keep theirs. Raises RigError for unusable files."""
        if self.station is None:
            raise RigError(f"connector {self._connector.name} does not listen yet")
        self.station.renew(tls)

    # connections

    def _make(self, connection: Connection, now: float) -> Secc:
        outlet = Outlet(self._connector, self._setup, self._clock)
        outlet.contracts_offered = self.station is None or not self.station.tls_problem()
        self._sessions[connection] = _Session(connection, outlet, Payment(self._till, connection, outlet))
        connection.closed.add_done_callback(lambda _: self._sessions.pop(connection, None))
        settings = SeccSettings(
            protocols=self._setup.protocols,
            session_id_octets=self._setup.session_id_octets,
            random=self._setup.random,
        )
        return Secc(
            outlet,
            now=now,
            tls=connection.is_tls,
            settings=settings,
            paused=self.paused,
            hook=self._setup.hook(),
        )

    def _take(self, connection: Connection, event: v2g.Event) -> None:
        session = self._sessions[connection]
        if isinstance(event, v2g.SessionStarted):
            self._begin(session, event)
        if session is not self._current:
            return
        outlet = session.outlet
        match event:
            case v2g.StateChanged():
                outlet.settle()
            case v2g.ParametersWanted(mode=mode):
                outlet.renegotiation = False
                outlet.offer_schedules(mode)
            case v2g.CableCheckWanted():
                session.wants_cable_check = True
                outlet.isolation = None
                self._connector.want_power(True)
            case v2g.VoltageWanted(voltage, current) | v2g.CurrentWanted(voltage, current):
                self._set_output(voltage, current)
            case v2g.PowerWanted(on=on):
                outlet.delivering = on
                if not on:
                    self._set_output(0.0, 0.0)
                self._connector.want_power(on)
            case v2g.WeldingWanted():
                self._set_output(0.0, 0.0)
            case v2g.Ended():
                self._end(session, event)
                return
            case _:
                if not session.payment.take(event):
                    return
        self._changed()

    def _begin(self, session: _Session, started: v2g.SessionStarted) -> None:
        """The vehicle has introduced itself; whatever session there was is over, but the one that it joins again."""
        machine = self._connector.machine
        if self.mode is Mode.BASIC and machine.in_transaction:
            session.connection.abort("this connector charges without V2G")
            return
        if self._current is not None:
            self._current.connection.abort("the vehicle has begun another session")
        if self.paused is not None and not started.resumed:
            self._connector.feed(Event.STOP, cause=Tx.END)
        self.paused = None
        self._current = session
        self._trace("secc.session", outcome="begun", resumed=started.resumed, evcc_id=started.evcc_id.hex())
        self._happens(Happening.SESSION)

    def _end(self, session: _Session, ended: v2g.Ended) -> None:
        self._current = None
        session.payment.end()
        self._trace("secc.session", outcome=ended.outcome, why=ended.reason)
        self._set_output(0.0, 0.0)
        if ended.paused is not None and self._connector.machine.in_transaction and not session.outlet.ending:
            self.paused = ended.paused
            self._connector.want_power(False)
            self._happens(Happening.PAUSED)
        else:
            self._connector.feed(Event.STOP, cause=Tx.END if ended.outcome in ("terminated", "paused") else Tx.ABORT)
            self._connector.want_power(False)
            self._happens(Happening.ENDED)

    # the connector

    def _changed(self) -> None:
        """Something happened: look at everything once, after all that happens at this moment."""
        if not self._review_planned:
            self._review_planned = True
            asyncio.get_running_loop().call_soon(self._review)

    def _review(self) -> None:
        self._review_planned = False
        machine = self._connector.machine
        plugged = machine.pilot is not PilotState.A
        self._happens(Happening.PLUGGED if plugged else Happening.UNPLUGGED)
        if not machine.in_transaction:
            self.paused = None
        if not self._connector.contactor_closed:
            self._set_output(0.0, 0.0)
        session = self._current
        if session is not None:
            session.payment.review()
            if self._setup.dc is not None and session.outlet.rcd:
                session.outlet.isolation = Isolation.FAULT.value
            self._check_cable(session)
            self._see_off(session)
            session.connection.changed()
        self._show()

    def _check_cable(self, session: _Session) -> None:
        if session.wants_cable_check and self._connector.contactor_closed:
            session.wants_cable_check = False
            self._spawn(self._test_isolation(session), "isolation")

    async def _test_isolation(self, session: _Session) -> None:
        dc = self._setup.dc
        if dc is None:
            raise RigError(f"connector {self._connector.name} has no DC power stage")
        try:
            session.outlet.isolation = (await dc.test_isolation()).value
        except (PeerError, RigError) as error:
            self._trace("session.trouble", part="isolation", why=str(error))
            session.outlet.isolation = Isolation.FAULT.value
        self._changed()

    def _see_off(self, session: _Session) -> None:
        """The transaction ends on our side: the vehicle is told, and cut off when it does not follow.

        A connector that is faulted before any transaction has nothing to offer: its session ends as well.
        """
        machine = self._connector.machine
        if session.leaving or not (session.outlet.ending or machine.state is State.FAULTED):
            return
        session.leaving = True
        hurry = machine.cause is Tx.ABORT or machine.faults
        seconds = self._setup.fault_s if hurry else self._setup.leave_s
        session.connection.later(seconds, lambda: self._cut_off(session))

    def _cut_off(self, session: _Session) -> None:
        if session is self._current:
            session.connection.abort("the transaction is over, the session is not")

    def _set_output(self, voltage: float, current: float) -> None:
        """Ask the power stage, within what it can do; nothing without the contactor."""
        dc = self._setup.dc
        if dc is None:
            return
        if not self._connector.contactor_closed:
            voltage = current = 0.0
        dc.set_output(*_within(dc.rating, voltage, min(current, self._connector.setup.offered_a)))

    # the pilot

    def _happens(self, what: Happening) -> None:
        mode = NEXT.get((self.mode, what))
        if mode is None:
            return
        self.mode = mode
        self._trace("secc.mode", mode=mode, why=what)
        if self._silence is not None:
            self._silence.cancel()
            self._silence = None
        if mode is Mode.ASKING and self._setup.dc is None:
            self._silence = asyncio.create_task(self._wait_for_a_session(), name=f"{self._connector.name}: silence")
        if mode is Mode.BASIC:
            self._connector.show_duty(STEADY)  # x1 between 5 % and a duty that says amperes
        self._show()

    async def _wait_for_a_session(self) -> None:
        await self._clock.sleep(self._setup.communication_s)
        while self._sessions:  # one is about to begin
            await self._clock.sleep(1.0)
        self._silence = None
        self._happens(Happening.SILENCE)

    def _show(self) -> None:
        duty = DUTIES[self.mode]
        self._connector.lead_digitally(duty is not None)
        if self._connector.machine.faults or duty is None:
            self._shown = None  # a fault takes the PWM away until it is offered anew
        elif duty != self._shown:
            self._shown = duty
            self._connector.show_duty(duty)

    # tasks

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=f"{self._connector.name}: {name}")
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._connector.bugs.append(error)
            self._trace("session.bug", part=task.get_name(), why=repr(error))

    def _trace(self, kind: str, **data: object) -> None:
        self._tracer(TraceEvent(self._clock.monotonic(), "session", kind, self._connector.name, data))


def _within(rating: DcRating, voltage: float, current: float) -> tuple[float, float]:
    voltage = min(voltage, rating.max_voltage_v)
    if voltage <= 0:
        return 0.0, 0.0
    return voltage, min(current, rating.max_current_a, rating.max_power_w / voltage)
