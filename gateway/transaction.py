"""The charging transaction of one connector: events in, actions out; no clock, no socket, no meter.

TABLE says, for each state and event, the next state and what to do. An event that a state does not list changes
nothing. The order that it guards: the begin record is kept and signed before the contactor closes, the end reading is
taken after it has opened, and a kept begin record is always followed by a kept end record.

What the table cannot say stands in `Machine`: the state of rest depends on pilot and faults (REST), and a state that
waits for the vehicle looks at the pilot as it stands when it is entered (LOOKS_AT_PILOT). Where a V2G session leads
(`digital`), pilot C alone is not enough: it counts as B until the session has asked for power.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from gateway.plausibility import JudgedReading
from ocmf.payload import User
from ocmf.terms import Tx
from ports.charge_control import ControlFault, PilotState


class State(StrEnum):
    """Where a connector stands. From KEEPING_BEGIN on a transaction is open."""

    AVAILABLE = "available"
    PLUGGED = "plugged"
    AUTHORISED = "authorised"
    FAULTED = "faulted"
    LOCKING = "locking"
    READING_BEGIN = "reading begin"
    KEEPING_BEGIN = "keeping begin"
    CANCELLING = "cancelling"
    SIGNING_BEGIN = "signing begin"
    OFFERED = "offered"
    CLOSING = "closing"
    CHARGING = "charging"
    PAUSING = "pausing"
    SUSPENDED = "suspended"
    WINDING_DOWN = "winding down"
    STOPPING = "stopping"
    STUCK = "stuck"
    READING_END = "reading end"
    KEEPING_END = "keeping end"
    WAITING_FOR_ROOM = "waiting for room"
    REST = "rest"  # never a state: stands for AVAILABLE, PLUGGED or FAULTED


class Event(StrEnum):
    """What can happen."""

    AUTHORISED = "authorised"
    STOP = "stop"
    PILOT_A = "pilot A"
    PILOT_B = "pilot B"
    PILOT_C = "pilot C"
    FAULT = "fault"
    FAULT_CLEARED = "fault cleared"
    LOCKED = "locked"
    LOCK_FAILED = "lock failed"
    CONTACTOR_CLOSED = "contactor closed"
    CONTACTOR_OPENED = "contactor opened"
    CONTACTOR_DROPPED = "contactor dropped"
    CONTACTOR_FAILED = "contactor failed"
    READING_GOOD = "reading good"
    READING_WRONG = "reading wrong"
    READING_LOST = "reading lost"
    SAMPLED = "sampled"
    METER_WRONG = "meter wrong"  # while charging; the READING events answer READ_BEGIN and READ_END only
    METER_LOST = "meter lost"
    RECORD_KEPT = "record kept"
    RECORD_SIGNED = "record signed"
    STORE_FULL = "store full"
    TOKEN_AWAY = "token away"  # noqa: S105 - the signing token
    TIMED_OUT = "timed out"
    POLL_DUE = "poll due"
    SAMPLE_DUE = "sample due"


class Action(StrEnum):
    """What the shell does; each is started at once, in this order, and reports back by an event."""

    LOCK = "lock"
    UNLOCK = "unlock"
    OFFER = "offer"
    WITHDRAW = "withdraw"
    CLOSE = "close"
    OPEN = "open"
    READ_BEGIN = "read begin"
    READ_END = "read end"
    POLL = "poll"
    SAMPLE = "sample"
    KEEP_BEGIN = "keep begin"
    KEEP_SAMPLE = "keep sample"
    KEEP_SUSPENDED = "keep suspended"
    KEEP_END = "keep end"
    FORGET = "forget"  # the user and the transaction


S, E, A = State, Event, Action
Row = tuple[State, tuple[Action, ...]]

_NO_BEGIN: dict[Event, Row] = {  # until the begin record is kept nothing has happened that anybody must sign
    E.PILOT_A: (S.REST, (A.UNLOCK, A.FORGET)),
    E.STOP: (S.REST, (A.UNLOCK, A.FORGET)),
    E.FAULT: (S.REST, (A.UNLOCK, A.FORGET)),
}
_END_NOW: dict[Event, Row] = {  # open transaction, open contactor
    E.PILOT_A: (S.READING_END, (A.WITHDRAW, A.READ_END)),
    E.STOP: (S.READING_END, (A.WITHDRAW, A.READ_END)),
    E.FAULT: (S.READING_END, (A.WITHDRAW, A.READ_END)),
    E.TOKEN_AWAY: (S.READING_END, (A.WITHDRAW, A.READ_END)),
    E.STORE_FULL: (S.READING_END, (A.WITHDRAW, A.READ_END)),
}
_OPEN_NOW: dict[Event, Row] = {  # energy may flow and must not
    E.PILOT_A: (S.STOPPING, (A.OPEN, A.WITHDRAW)),
    E.FAULT: (S.STOPPING, (A.OPEN, A.WITHDRAW)),
    E.CONTACTOR_DROPPED: (S.STOPPING, (A.OPEN, A.WITHDRAW)),
}
_ASK_FIRST: dict[Event, Row] = {  # the vehicle gets the chance to end its current before the contactor opens
    E.STOP: (S.WINDING_DOWN, (A.WITHDRAW,)),
    E.METER_LOST: (S.WINDING_DOWN, (A.WITHDRAW,)),
    E.METER_WRONG: (S.WINDING_DOWN, (A.WITHDRAW,)),
    E.TOKEN_AWAY: (S.WINDING_DOWN, (A.WITHDRAW,)),
    E.STORE_FULL: (S.WINDING_DOWN, (A.WITHDRAW,)),
}

TABLE: dict[State, dict[Event, Row]] = {
    S.AVAILABLE: {
        E.PILOT_B: (S.PLUGGED, ()),
        E.PILOT_C: (S.PLUGGED, ()),
        E.AUTHORISED: (S.AUTHORISED, ()),
        E.FAULT: (S.FAULTED, ()),
    },
    S.PLUGGED: {
        E.PILOT_A: (S.AVAILABLE, ()),
        E.AUTHORISED: (S.LOCKING, (A.LOCK,)),
        E.FAULT: (S.FAULTED, ()),
    },
    S.AUTHORISED: {
        E.PILOT_B: (S.LOCKING, (A.LOCK,)),
        E.PILOT_C: (S.LOCKING, (A.LOCK,)),
        E.STOP: (S.REST, (A.FORGET,)),
        E.TIMED_OUT: (S.REST, (A.FORGET,)),
        E.FAULT: (S.REST, (A.FORGET,)),
    },
    S.FAULTED: {
        E.FAULT_CLEARED: (S.REST, ()),
    },
    S.LOCKING: _NO_BEGIN
    | {
        E.LOCKED: (S.READING_BEGIN, (A.READ_BEGIN,)),
        E.LOCK_FAILED: (S.REST, (A.UNLOCK, A.FORGET)),
    },
    S.READING_BEGIN: _NO_BEGIN
    | {
        E.READING_GOOD: (S.KEEPING_BEGIN, (A.KEEP_BEGIN,)),
        E.READING_WRONG: (S.REST, (A.UNLOCK, A.FORGET)),
        E.READING_LOST: (S.REST, (A.UNLOCK, A.FORGET)),
    },
    S.KEEPING_BEGIN: {
        E.RECORD_KEPT: (S.SIGNING_BEGIN, ()),
        E.STORE_FULL: (S.REST, (A.UNLOCK, A.FORGET)),
        E.PILOT_A: (S.CANCELLING, ()),
        E.STOP: (S.CANCELLING, ()),
        E.FAULT: (S.CANCELLING, ()),
    },
    S.CANCELLING: {
        E.RECORD_KEPT: (S.READING_END, (A.READ_END,)),
        E.STORE_FULL: (S.REST, (A.UNLOCK, A.FORGET)),
    },
    S.SIGNING_BEGIN: _END_NOW
    | {
        E.RECORD_SIGNED: (S.OFFERED, (A.OFFER,)),
    },
    S.OFFERED: _END_NOW
    | {
        E.PILOT_C: (S.CLOSING, (A.CLOSE,)),
        E.TIMED_OUT: (S.READING_END, (A.WITHDRAW, A.READ_END)),
    },
    S.CLOSING: _OPEN_NOW
    | {
        E.CONTACTOR_CLOSED: (S.CHARGING, ()),
        E.CONTACTOR_FAILED: (S.STOPPING, (A.OPEN, A.WITHDRAW)),
        E.PILOT_B: (S.PAUSING, (A.OPEN,)),
        E.STOP: (S.STOPPING, (A.OPEN, A.WITHDRAW)),
        E.TOKEN_AWAY: (S.STOPPING, (A.OPEN, A.WITHDRAW)),
        E.STORE_FULL: (S.STOPPING, (A.OPEN, A.WITHDRAW)),
        E.SAMPLED: (S.CLOSING, (A.KEEP_SUSPENDED,)),
    },
    S.CHARGING: _OPEN_NOW
    | _ASK_FIRST
    | {
        E.PILOT_B: (S.PAUSING, (A.OPEN,)),
        E.POLL_DUE: (S.CHARGING, (A.POLL,)),
        E.SAMPLE_DUE: (S.CHARGING, (A.SAMPLE,)),
        E.SAMPLED: (S.CHARGING, (A.KEEP_SAMPLE,)),
    },
    S.PAUSING: _OPEN_NOW
    | {
        E.CONTACTOR_OPENED: (S.SUSPENDED, (A.SAMPLE,)),
        E.CONTACTOR_FAILED: (S.STUCK, (A.WITHDRAW,)),
        E.STOP: (S.STOPPING, (A.OPEN, A.WITHDRAW)),
        E.METER_WRONG: (S.STOPPING, (A.OPEN, A.WITHDRAW)),
        E.TOKEN_AWAY: (S.STOPPING, (A.OPEN, A.WITHDRAW)),
        E.STORE_FULL: (S.STOPPING, (A.OPEN, A.WITHDRAW)),
        E.SAMPLED: (S.PAUSING, (A.KEEP_SAMPLE,)),
    },
    S.SUSPENDED: _END_NOW
    | {
        E.PILOT_C: (S.CLOSING, (A.CLOSE,)),
        E.METER_WRONG: (S.READING_END, (A.WITHDRAW, A.READ_END)),
        E.SAMPLED: (S.SUSPENDED, (A.KEEP_SUSPENDED,)),
    },
    S.WINDING_DOWN: _OPEN_NOW
    | {
        E.PILOT_B: (S.STOPPING, (A.OPEN,)),
        E.TIMED_OUT: (S.STOPPING, (A.OPEN,)),  # opened under load: IEC 61851-1 table A.6, sequence 10.2
        E.POLL_DUE: (S.WINDING_DOWN, (A.POLL,)),
    },
    S.STOPPING: {
        E.CONTACTOR_OPENED: (S.READING_END, (A.READ_END,)),
        E.CONTACTOR_FAILED: (S.STUCK, ()),
    },
    S.STUCK: {  # a welded contactor: what still flows is metered and belongs to this transaction
        E.CONTACTOR_OPENED: (S.READING_END, (A.READ_END,)),
        E.PILOT_A: (S.READING_END, (A.READ_END,)),
        E.POLL_DUE: (S.STUCK, (A.POLL,)),
    },
    S.READING_END: {
        E.READING_GOOD: (S.KEEPING_END, (A.UNLOCK, A.KEEP_END)),
        E.READING_WRONG: (S.KEEPING_END, (A.UNLOCK, A.KEEP_END)),
        E.READING_LOST: (S.KEEPING_END, (A.UNLOCK, A.KEEP_END)),
    },
    S.KEEPING_END: {
        E.RECORD_KEPT: (S.REST, (A.FORGET,)),
        E.STORE_FULL: (S.WAITING_FOR_ROOM, ()),
    },
    S.WAITING_FOR_ROOM: {
        E.TIMED_OUT: (S.KEEPING_END, (A.KEEP_END,)),
    },
}

# the last word on these is the pilot as it stands, not as it changes
LOOKS_AT_PILOT = frozenset({S.OFFERED, S.CHARGING, S.SUSPENDED, S.WINDING_DOWN})

IN_TRANSACTION = frozenset(
    {
        S.KEEPING_BEGIN,
        S.CANCELLING,
        S.SIGNING_BEGIN,
        S.OFFERED,
        S.CLOSING,
        S.CHARGING,
        S.PAUSING,
        S.SUSPENDED,
        S.WINDING_DOWN,
        S.STOPPING,
        S.STUCK,
        S.READING_END,
        S.KEEPING_END,
        S.WAITING_FOR_ROOM,
    }
)

RESTING = (S.AVAILABLE, S.PLUGGED, S.FAULTED)

# why a transaction ends, where the event does not carry the reason itself
CAUSES: dict[Event, Tx] = {
    E.PILOT_A: Tx.END,
    E.STOP: Tx.END_LOCAL,
    E.TIMED_OUT: Tx.END,
    E.FAULT: Tx.ABORT,
    E.TOKEN_AWAY: Tx.ABORT,
    E.STORE_FULL: Tx.ABORT,
    E.METER_LOST: Tx.ABORT,
    E.METER_WRONG: Tx.ABORT,
    E.CONTACTOR_FAILED: Tx.ABORT,
    E.CONTACTOR_DROPPED: Tx.ABORT,
}
ENDING = frozenset(
    {S.CANCELLING, S.WINDING_DOWN, S.STOPPING, S.STUCK, S.READING_END, S.KEEPING_END, S.WAITING_FOR_ROOM}
)


@dataclass(frozen=True, slots=True)
class Timer:
    """A timer that runs while its state lasts. policy: name of the seconds in `Policy` (0 = never)."""

    event: Event
    policy: str
    repeats: bool = False


TIMERS: dict[State, tuple[Timer, ...]] = {
    S.AUTHORISED: (Timer(E.TIMED_OUT, "plug_s"),),
    S.OFFERED: (Timer(E.TIMED_OUT, "vehicle_s"),),
    S.CHARGING: (Timer(E.POLL_DUE, "poll_s", repeats=True), Timer(E.SAMPLE_DUE, "sample_s", repeats=True)),
    S.WINDING_DOWN: (Timer(E.POLL_DUE, "poll_s", repeats=True), Timer(E.TIMED_OUT, "wind_down_s")),
    S.STUCK: (Timer(E.POLL_DUE, "poll_s", repeats=True),),
    S.WAITING_FOR_ROOM: (Timer(E.TIMED_OUT, "store_retry_s"),),
}


@dataclass(slots=True)
class Machine:
    """One connector.

    user: who was authorised. cause: why the transaction ends, once it does; the first reason stands.
    reading: the last judged reading of the transaction. fault names are those of `ControlFault`.
    ventilated: whether a vehicle that asks for ventilation (pilot D) gets energy.
    digital: a V2G session leads, not the pilot's duty. power_wanted: that session has asked for power.
    """

    state: State = State.AVAILABLE
    pilot: PilotState = PilotState.A
    faults: set[str] = field(default_factory=set)
    user: User | None = None
    cause: Tx | None = None
    reading: JudgedReading | None = None
    ventilated: bool = False
    digital: bool = False
    power_wanted: bool = False

    def handle(
        self,
        event: Event,
        *,
        user: User | None = None,
        cause: Tx | None = None,
        reading: JudgedReading | None = None,
    ) -> list[Action]:
        """Take one event; returns what to do, in order. The state has changed when this returns."""
        row = TABLE[self.state].get(event)
        if row is None:
            return []
        target, actions = row
        if event is Event.AUTHORISED:
            self.user = user
        if reading is not None:
            self.reading = reading
        state = self._rest() if target is State.REST else target
        if state in ENDING and self.cause is None:
            self.cause = cause or CAUSES.get(event)
        elif event in {Event.READING_WRONG, Event.READING_LOST} and state is State.KEEPING_END:
            self.cause = Tx.ABORT if self.cause is not Tx.POWER_FAILURE else self.cause
        entered, self.state = state is not self.state, state
        done = list(actions)
        if Action.FORGET in done:
            self.user = self.cause = self.reading = None
        if entered and state in LOOKS_AT_PILOT:
            done += self._look_at_pilot()
        return done

    def set_pilot(self, pilot: PilotState) -> list[Action]:
        """The pilot changed. E, F, and D where there is no ventilation, are faults as long as they last."""
        self.pilot = pilot
        done: list[Action] = []
        for fault, active in (
            (ControlFault.PILOT, pilot in {PilotState.E, PilotState.F}),
            (ControlFault.VENTILATION, pilot is PilotState.D and not self.ventilated),
        ):
            name = f"{fault} at pilot"  # the firmware's own fault of this name comes and goes by itself
            if active or name in self.faults:
                done += self.set_fault(name, active)
        return done + self._look_at_pilot()

    def set_digital(self, digital: bool) -> list[Action]:
        """A V2G session leads from now on, or the pilot's duty does; an open offer is made anew then."""
        self.digital, self.power_wanted = digital, False
        offer = [Action.OFFER] if not digital and self.state in {State.OFFERED, State.SUSPENDED} else []
        return offer + self._look_at_pilot()

    def set_power_wanted(self, wanted: bool) -> list[Action]:
        """The V2G session asks for power, or no longer."""
        self.power_wanted = wanted
        return self._look_at_pilot()

    def set_fault(self, fault: str, active: bool) -> list[Action]:
        """A fault came or went; the connector is free again when the last one is gone."""
        if active:
            self.faults.add(fault)
            return self.handle(Event.FAULT)
        self.faults.discard(fault)
        return [] if self.faults else self.handle(Event.FAULT_CLEARED)

    def set_contactor(self, closed: bool) -> list[Action]:
        """The auxiliary contact moved, commanded or not."""
        if closed:
            return self.handle(Event.CONTACTOR_CLOSED)
        dropped = self.state is State.CHARGING and self.pilot in {PilotState.C, PilotState.D}
        return self.handle(Event.CONTACTOR_DROPPED if dropped else Event.CONTACTOR_OPENED)

    def recover(self, user: User, reading: JudgedReading) -> list[Action]:
        """Take over a transaction that a power failure left open: it ends now."""
        self.state, self.user, self.cause, self.reading = State.STOPPING, user, Tx.POWER_FAILURE, reading
        return [Action.OPEN, Action.WITHDRAW]

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        return self.state in IN_TRANSACTION

    def _look_at_pilot(self) -> list[Action]:
        event = PILOT_EVENTS.get(self.pilot)
        if event is None or (self.pilot is PilotState.D and not self.ventilated):
            return []
        if event is Event.PILOT_C and self.digital and not self.power_wanted:
            event = Event.PILOT_B
        return self.handle(event)

    def _rest(self) -> State:
        if self.faults:
            return State.FAULTED
        return State.AVAILABLE if self.pilot is PilotState.A else State.PLUGGED


PILOT_EVENTS: dict[PilotState, Event] = {
    PilotState.A: Event.PILOT_A,
    PilotState.B: Event.PILOT_B,
    PilotState.C: Event.PILOT_C,
    PilotState.D: Event.PILOT_C,
}
