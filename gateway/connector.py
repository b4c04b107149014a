"""One connector at work: feeds its transaction machine with what happens and does what the machine says.

Every action runs as a task of its own, so that a slow token or meter never keeps a contactor closed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from gateway.journal import Journal
from gateway.journal_entry import Entry, JournalError, Stream
from gateway.meter_reader import LostMeterError, MeterReader
from gateway.open_transaction import BEGIN, END, SAMPLE, KeptReading, OpenTransaction
from gateway.phases import PHASES
from gateway.plausibility import JudgedReading, stand_in
from gateway.policy import ConnectorSetup, GatewayIdentity, OnTrouble, Policy
from gateway.transaction import TIMERS, Action, Event, Machine, State, Timer
from ocmf.payload import User
from ocmf.terms import Tx
from ports.charge_control import (
    ContactorChanged,
    ControlEvent,
    ControlFault,
    FaultChanged,
    PilotChanged,
    PilotState,
    WakeUp,
)
from ports.clock import Clock
from ports.errors import PeerError, PlugbenchError, RigError
from ports.meter import Quality
from ports.trace import TraceEvent, Tracer


class Connector:
    """One connector of a gateway; `bugs` holds what failed unexpectedly, for whoever closes the gateway.

    on_change are called after everything that happens here, on_wake_up when the vehicle toggles B-C-B.
    policy: of this connector. meter_quality: what its last reading was worth.
    stopped_by: who ended the newest transaction from afar and why, "" otherwise.
    plugged_at: boot-time seconds since when a vehicle is plugged in, None without one.
    """

    def __init__(
        self,
        setup: ConnectorSetup,
        gateway: GatewayIdentity,
        journal: Journal,
        clock: Clock,
        policy: Policy,
        tracer: Tracer,
    ) -> None:
        self.setup = setup
        self.name = setup.control.connector
        self.machine = Machine(ventilated=setup.ventilated)
        self.transaction: OpenTransaction | None = None
        self.bugs: list[BaseException] = []
        self.on_change: list[Callable[[], None]] = []
        self.plugged_at: float | None = None
        self.meter_quality = Quality.GOOD
        self.stopped_by = ""
        self.on_wake_up: Callable[[], None] = lambda: None
        self.policy = setup.policy or policy
        self.reader = MeterReader(setup.meter, clock, self.policy, setup.max_power_kw)
        self._gateway = gateway
        self._journal = journal
        self._clock = clock
        self._tracer = tracer
        self._tasks: set[asyncio.Task[None]] = set()
        self._timers: list[asyncio.Task[None]] = []
        self._contactor_task: asyncio.Task[None] | None = None
        self._lock_task: asyncio.Task[None] | None = None
        self._contactor_closed: bool | None = None
        self._traced_state = self.machine.state
        self._visits: list[tuple[tuple[State, ...], asyncio.Future[State]]] = []
        self._work: dict[Action, Callable[[], Coroutine[Any, Any, None]]] = {
            Action.OFFER: lambda: self._offer(setup.offered_a),
            Action.WITHDRAW: lambda: self._offer(0),
            Action.READ_BEGIN: self._read_begin,
            Action.READ_END: self._read_end,
            Action.POLL: self._poll,
            Action.SAMPLE: self._sample,
            Action.KEEP_BEGIN: lambda: self._keep(BEGIN, Tx.BEGIN),
            Action.KEEP_SAMPLE: lambda: self._keep(SAMPLE, Tx.CHARGING),
            Action.KEEP_SUSPENDED: lambda: self._keep(SAMPLE, Tx.SUSPENDED),
            Action.KEEP_END: lambda: self._keep(END, self.machine.cause or Tx.END),
        }

    async def start(self) -> None:
        """Follow the firmware. Raises PeerError or RigError when it does not answer."""
        self._spawn(self._follow(), "events")
        await asyncio.sleep(0)  # the subscription stands before the status is asked for
        await self._look()

    def recover(self, transaction: OpenTransaction) -> None:
        """End a transaction that was open when the gateway went down."""
        self.transaction = transaction
        self._trace("session.recovering", transaction=transaction.transaction_id)
        self._do(self.machine.recover(transaction.user, JudgedReading(transaction.last)))

    def authorise(self, user: User) -> None:
        """Somebody may charge here."""
        self.stopped_by = ""
        self.feed(Event.AUTHORISED, user=user)

    @property
    def contactor_closed(self) -> bool:
        """What the auxiliary contact said last."""
        return bool(self._contactor_closed)

    def lead_digitally(self, digital: bool) -> None:
        """A V2G session leads (and shows the pilot's duty itself), or the duty does again."""
        if digital is not self.machine.digital:
            self._do(self.machine.set_digital(digital), "digital" if digital else "basic")

    def want_power(self, wanted: bool) -> None:
        """The V2G session asks for the contactor to be closed, or opened."""
        if wanted is not self.machine.power_wanted:
            self._do(self.machine.set_power_wanted(wanted), "power wanted" if wanted else "power no longer wanted")

    def show_duty(self, per_cent: float) -> None:
        """Show a duty for digital communication; 100 is steady +12 V."""
        self._spawn(self._command(self.setup.control.offer_duty(per_cent), ControlFault.LINK), f"duty {per_cent:g} %")

    def feed(
        self,
        event: Event,
        *,
        user: User | None = None,
        cause: Tx | None = None,
        reading: JudgedReading | None = None,
        why: str = "",
    ) -> None:
        """One event for the machine, and what follows from it. why: for the trace, when the event does not say it."""
        self.stopped_by = why or self.stopped_by
        self._do(self.machine.handle(event, user=user, cause=cause, reading=reading), why or event)

    async def wait_for(self, *states: State) -> State:
        """Wait until the connector comes into one of these states, or is in it; also a short visit counts."""
        if self.machine.state in states:
            return self.machine.state
        visit: asyncio.Future[State] = asyncio.get_running_loop().create_future()
        self._visits.append((states, visit))
        return await visit

    async def close(self) -> None:
        """Stop following; the contactor is opened by `ChargeControl.close`."""
        tasks = [*self._timers, *self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _do(self, actions: list[Action], why: str = "") -> None:
        state = self.machine.state
        if state is not self._traced_state:
            self._traced_state = state
            self._trace("session.state", state=state, phase=PHASES[state], why=why)
            self._set_timers(TIMERS.get(state, ()))
            self._tell(state)
        for action in actions:
            if action is Action.FORGET:
                self.transaction = None
            elif action in {Action.OPEN, Action.CLOSE}:
                self._move_contactor(action is Action.CLOSE)
            elif action in {Action.LOCK, Action.UNLOCK}:
                self._move_lock(action is Action.LOCK)
            else:
                self._spawn(self._work[action](), action)
        self._note_plug()
        self._changed()

    def _note_plug(self) -> None:
        if self.machine.pilot is PilotState.A:
            self.plugged_at = None
        elif self.plugged_at is None:
            self.plugged_at = self._clock.monotonic()

    def _changed(self) -> None:
        for listener in self.on_change:
            listener()

    def _tell(self, state: State) -> None:
        for states, visit in self._visits:
            if state in states and not visit.done():
                visit.set_result(state)
        self._visits = [(states, visit) for states, visit in self._visits if not visit.done()]

    # what happens at the cable

    async def _follow(self) -> None:
        """Events for as long as the firmware talks; when it stops, that is a fault until it talks again."""
        while True:
            try:
                async for event in self.setup.control.events():
                    self._take(event)
                why = "the events ended"
            except (PeerError, RigError) as error:
                why = str(error)
            self._trace("session.trouble", part="firmware", why=why)
            self._do(self.machine.set_fault(_SILENT, True), "firmware gone")
            await self._clock.sleep(self.policy.firmware_retry_s)
            try:
                await self._look()
            except (PeerError, RigError):
                continue
            self._do(self.machine.set_fault(_SILENT, False), "firmware back")

    async def _look(self) -> None:
        status = await self.setup.control.status()
        if status.contactor_closed is not self._contactor_closed:
            self._contactor_closed = status.contactor_closed
            self._do(self.machine.set_contactor(status.contactor_closed), "contactor as found")
        for fault in sorted(status.faults):
            self._do(self.machine.set_fault(fault, True), fault)
        self._do(self.machine.set_pilot(status.pilot), f"pilot {status.pilot}")

    def _take(self, event: ControlEvent) -> None:
        match event:
            case PilotChanged(state=pilot):
                self._do(self.machine.set_pilot(pilot), f"pilot {pilot}")
            case ContactorChanged(closed=closed):
                self._contactor_closed = closed
                if not closed:
                    self._do(self.machine.set_fault(_WELDED, False))
                self._do(self.machine.set_contactor(closed), "contactor closed" if closed else "contactor opened")
            case FaultChanged(fault=fault, active=active):
                self._trace("session.fault", fault=fault, active=active, detail=event.detail)
                self._do(self.machine.set_fault(fault, active), fault)
            case WakeUp():
                self.on_wake_up()

    # what the machine orders

    async def _offer(self, amperes: float) -> None:
        """By the pilot's duty; a V2G session tells its vehicle itself."""
        if not self.machine.digital:
            await self._command(self.setup.control.offer_current(amperes), ControlFault.LINK)

    def _move_lock(self, locked: bool) -> None:
        if self._lock_task is not None:
            self._lock_task.cancel()  # the newest command counts: that an older one did not come about is no fault
        self._lock_task = self._spawn(self._lock() if locked else self._unlock(), "lock")

    async def _unlock(self) -> None:
        await self._command(self.setup.control.set_lock(False), ControlFault.LOCK)

    async def _lock(self) -> None:
        try:
            await self.setup.control.set_lock(True)
        except (PeerError, RigError) as error:
            self._trace("session.trouble", part="lock", why=str(error))
            self.feed(Event.LOCK_FAILED)
        else:
            self.feed(Event.LOCKED)

    async def _command(self, command: Coroutine[Any, Any, None], fault: ControlFault) -> None:
        """A command whose failure is a fault of the connector until it works again."""
        name = f"{fault} at command"
        try:
            await command
        except (PeerError, RigError) as error:
            self._trace("session.trouble", part=fault, why=str(error))
            self._do(self.machine.set_fault(name, True), fault)
        else:
            if name in self.machine.faults:
                self._do(self.machine.set_fault(name, False), fault)

    def _move_contactor(self, closed: bool) -> None:
        if self._contactor_task is not None:
            self._contactor_task.cancel()  # to open never waits for a closing under way
        self._contactor_task = self._spawn(self._drive_contactor(closed), "contactor")

    async def _drive_contactor(self, closed: bool) -> None:
        try:
            await self.setup.control.set_contactor(closed)
        except (PeerError, RigError) as error:
            self._trace("session.trouble", part="contactor", why=str(error))
            if not closed:
                self._do(self.machine.set_fault(_WELDED, True), _WELDED)
            self.feed(Event.CONTACTOR_FAILED)
        else:
            if self._contactor_closed in {closed, None}:  # otherwise its event is still on the way
                self._do(self.machine.set_contactor(closed), "contactor command")

    async def _read_begin(self) -> None:
        try:
            meter, judged = await self.reader.read(None, None, self.policy.meter_silence_s)
        except LostMeterError as error:
            self._trace("session.trouble", part="meter", why=str(error))
            self.feed(Event.READING_LOST)
            return
        user = self.machine.user
        if self.machine.state is not State.READING_BEGIN or user is None:
            return
        self.meter_quality = judged.quality
        if judged.is_good:
            source = self.setup.source(self._gateway, meter)
            number = self._journal.head(Stream(self._gateway.serial, meter.serial)).next_number("T")
            self.transaction = OpenTransaction.starting(
                number, self.name, source, user, judged.reading, self._gateway.boot_id
            )
        else:
            self._trace("session.trouble", part="meter", why=judged.reason)
        self.feed(Event.READING_GOOD if judged.is_good else Event.READING_WRONG, reading=judged)

    async def _read_end(self) -> None:
        transaction = self._open()
        try:
            judged = await self._read(transaction, self.policy.meter_return_s)
        except LostMeterError as error:
            judged = stand_in(transaction.last, Quality.TIMEOUT, str(error))
            self.feed(Event.READING_LOST, reading=judged)
            return
        self.feed(Event.READING_GOOD if judged.is_good else Event.READING_WRONG, reading=judged)

    async def _sample(self) -> None:
        await self._watch(Event.SAMPLED)

    async def _poll(self) -> None:
        if not self.reader.is_busy:
            await self._watch(None)

    async def _watch(self, event: Event | None) -> None:
        """A reading while charging: shown, judged, and signed when it is a sample.

        Who the meter is, is asked at begin and end; its driver looks at the serial number each time.
        """
        transaction = self._open()
        try:
            judged = await self._read(transaction, self.policy.meter_silence_s, identify=False)
        except LostMeterError as error:
            judged = stand_in(transaction.last, Quality.TIMEOUT, str(error))
            if self.policy.meter_lost is OnTrouble.STOP:
                self.feed(Event.METER_LOST)
            elif event is not None:
                self.feed(event, reading=judged)
            return
        if not judged.is_good:
            self.feed(Event.METER_WRONG)
        elif event is not None:
            self.feed(event, reading=judged)

    async def _read(self, transaction: OpenTransaction, patience_s: float, *, identify: bool = True) -> JudgedReading:
        try:
            _, judged = await self.reader.read(
                transaction.source.meter, transaction.last, patience_s, identify=identify
            )
        except LostMeterError as error:
            self.meter_quality = Quality.TIMEOUT
            self._trace("session.trouble", part="meter", why=str(error))
            raise
        self.meter_quality = judged.quality
        if judged.is_good:
            transaction.last = judged.reading
            self._changed()
            self._trace("session.energy", kwh=str(transaction.energy_kwh), register=str(judged.reading.value))
        else:
            self._trace("session.trouble", part="meter", why=judged.reason)
        return judged

    async def _keep(self, kind: str, tx: Tx) -> None:
        transaction, judged = self._open(), self.machine.reading
        if judged is None:
            raise RigError("a record without a reading")
        stepped = transaction.times.stepped
        draft = transaction.draft(kind, tx, judged, self._clock)
        if transaction.times.stepped and not stepped:
            self._trace("session.clock_step", policy=self.policy.clock_step)
        try:
            pending = await self._journal.store(draft)
        except (JournalError, PlugbenchError) as error:
            self._trace("session.trouble", part="journal", why=str(error))
            self.feed(Event.STORE_FULL)
            return
        signed = pending.signed
        self._note_kept(transaction, judged, pending.entry)
        self._spawn(self._watch_token(signed), "token watch")
        self._trace("session.record", page=pending.entry.page, context=kind, tx=tx, kwh=str(transaction.energy_kwh))
        if kind != SAMPLE:
            self.feed(Event.RECORD_KEPT)
        if transaction.times.stepped and kind == SAMPLE and self.policy.clock_step is OnTrouble.STOP:
            self.feed(Event.STOP, cause=Tx.ABORT)
        self._note_kept(transaction, judged, await asyncio.shield(signed))
        if kind == BEGIN:
            self.feed(Event.RECORD_SIGNED)

    def _note_kept(self, transaction: OpenTransaction, judged: JudgedReading, entry: Entry) -> None:
        """The newest record whose reading may be shown; it is signed some time later."""
        newest = 0 if transaction.kept is None else transaction.kept.entry.seq
        if judged.is_good and entry.seq >= newest:
            transaction.kept = KeptReading(judged.reading, entry)
            self._changed()

    async def _watch_token(self, signed: asyncio.Future[Entry]) -> None:
        patience = asyncio.create_task(self._clock.sleep(self.policy.token_s), name=f"{self.name}: token patience")
        waiting: set[asyncio.Future[Any]] = {patience, signed}
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if not signed.done():
                self.feed(Event.TOKEN_AWAY)
        finally:
            patience.cancel()

    # timers and tasks

    def _set_timers(self, timers: tuple[Timer, ...]) -> None:
        for task in self._timers:
            task.cancel()
        self._timers = [
            asyncio.create_task(self._time(timer, seconds), name=f"{self.name}: {timer.event}")
            for timer in timers
            if (seconds := float(getattr(self.policy, timer.policy))) > 0
        ]

    async def _time(self, timer: Timer, seconds: float) -> None:
        while True:
            await self._clock.sleep(seconds)
            self.feed(timer.event)
            if not timer.repeats:
                return

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=f"{self.name}: {name}")
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled() or (error := task.exception()) is None:
            return
        self.bugs.append(error)
        self._trace("session.bug", part=task.get_name(), why=repr(error))
        self._do(self.machine.set_fault("InternalError", True), "internal error")

    def _open(self) -> OpenTransaction:
        if self.transaction is None:
            raise RigError(f"connector {self.name} has no transaction in state {self.machine.state}")
        return self.transaction

    def _trace(self, kind: str, **data: object) -> None:
        transaction = self.transaction.transaction_id if self.transaction else ""
        self._tracer(
            TraceEvent(self._clock.monotonic(), "session", kind, self.name, {"transaction": transaction, **data})
        )


_SILENT = f"{ControlFault.LINK} of events"
_WELDED = f"{ControlFault.CONTACTOR} at command"
