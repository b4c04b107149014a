"""The transaction table: what it guards, over every path and over random ones."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.phases import PHASES
from gateway.plausibility import JudgedReading
from gateway.policy import Policy
from gateway.transaction import IN_TRANSACTION, TABLE, TIMERS, Action, Event, Machine, State
from gateway.transaction_diagram import draw
from ocmf.payload import User
from ocmf.terms import TX_ENDS, Tx
from ports.charge_control import ControlFault, PilotState
from ports.clock import TimeStatus
from ports.meter import Reading

A, E, P, S = Action, Event, PilotState, State
USER = User(assigned=True)
GOOD = JudgedReading(
    Reading("energy", Decimal("1.000"), "kWh", "", datetime(2026, 1, 1, tzinfo=UTC), TimeStatus.SYNCHRONISED, 1.0)
)
RESTING = {S.AVAILABLE, S.PLUGGED, S.FAULTED}


def charging() -> Machine:
    machine = Machine()
    machine.set_pilot(P.B)
    machine.handle(E.AUTHORISED, user=USER)
    for event in (E.LOCKED, E.READING_GOOD, E.RECORD_KEPT, E.RECORD_SIGNED):
        machine.handle(event, reading=GOOD if event is E.READING_GOOD else None)
    machine.set_pilot(P.C)
    machine.set_contactor(True)
    assert machine.state is S.CHARGING
    return machine


def ended(machine: Machine) -> Tx | None:
    """Play the rest of a stop with everything in order; returns the code of the end record."""
    if machine.state is S.WINDING_DOWN:
        machine.set_pilot(P.B)
    if machine.state is S.STOPPING:
        machine.set_contactor(False)
    assert machine.state is S.READING_END
    assert machine.handle(E.READING_GOOD, reading=GOOD) == [A.UNLOCK, A.KEEP_END]
    cause = machine.cause
    assert machine.handle(E.RECORD_KEPT) == [A.FORGET]
    assert machine.user is machine.cause is machine.reading is None
    return cause


def test_a_session_from_plug_to_unplug() -> None:
    machine = Machine()
    assert machine.set_pilot(P.B) == []
    assert machine.state is S.PLUGGED
    assert machine.handle(E.AUTHORISED, user=USER) == [A.LOCK]
    assert machine.handle(E.LOCKED) == [A.READ_BEGIN]
    assert machine.handle(E.READING_GOOD, reading=GOOD) == [A.KEEP_BEGIN]
    assert machine.handle(E.RECORD_KEPT) == []
    assert machine.set_pilot(P.C) == []  # the vehicle may ask; the contactor waits for the signature
    assert machine.handle(E.RECORD_SIGNED) == [A.OFFER, A.CLOSE]
    assert machine.set_contactor(True) == []
    assert machine.handle(E.SAMPLE_DUE) == [A.SAMPLE]
    assert machine.handle(E.SAMPLED, reading=GOOD) == [A.KEEP_SAMPLE]
    assert machine.set_pilot(P.A) == [A.OPEN, A.WITHDRAW]
    assert machine.set_contactor(False) == [A.READ_END]
    assert ended(machine) is Tx.END
    assert machine.state is S.AVAILABLE


def test_a_card_first_and_the_plug_later() -> None:
    machine = Machine()
    machine.handle(E.AUTHORISED, user=USER)
    assert machine.state is S.AUTHORISED
    assert machine.set_pilot(P.B) == [A.LOCK]
    machine = Machine()
    machine.handle(E.AUTHORISED, user=USER)
    assert machine.handle(E.TIMED_OUT) == [A.FORGET]
    assert machine.state is S.AVAILABLE
    assert machine.user is None


@pytest.mark.parametrize(
    ("event", "code"),
    [
        (E.STOP, Tx.END_LOCAL),
        (E.METER_LOST, Tx.ABORT),
        (E.METER_WRONG, Tx.ABORT),
        (E.TOKEN_AWAY, Tx.ABORT),
        (E.STORE_FULL, Tx.ABORT),
    ],
)
def test_a_stop_asks_the_vehicle_first(event: Event, code: Tx) -> None:
    machine = charging()
    assert machine.handle(event) == [A.WITHDRAW]
    assert machine.state is S.WINDING_DOWN
    assert machine.set_pilot(P.B) == [A.OPEN]
    assert ended(machine) is code


def test_a_vehicle_that_does_not_end_its_current_is_cut_off() -> None:
    machine = charging()
    machine.handle(E.STOP, cause=Tx.END_REMOTE)
    assert machine.handle(E.TIMED_OUT) == [A.OPEN]
    assert ended(machine) is Tx.END_REMOTE


@pytest.mark.parametrize(
    "happens",
    [
        lambda machine: machine.set_pilot(P.E),
        lambda machine: machine.set_pilot(P.F),
        lambda machine: machine.set_fault(ControlFault.GROUND, True),
        lambda machine: machine.set_contactor(False),
        lambda machine: machine.set_pilot(P.D),
    ],
    ids=["E", "F", "ground", "dropped", "D without ventilation"],
)
def test_what_is_dangerous_opens_at_once_and_aborts(happens: object) -> None:
    machine = charging()
    assert happens(machine) == [A.OPEN, A.WITHDRAW]  # type: ignore[operator]
    machine.set_contactor(False)
    assert ended(machine) is Tx.ABORT


def test_a_fault_blocks_until_the_last_one_is_gone() -> None:
    machine = charging()
    machine.set_fault(ControlFault.GROUND, True)
    machine.set_fault(ControlFault.HIGH_TEMPERATURE, True)
    machine.set_contactor(False)
    ended(machine)
    assert machine.state is S.FAULTED
    assert machine.handle(E.AUTHORISED, user=USER) == []
    machine.set_fault(ControlFault.GROUND, False)
    assert machine.state is S.FAULTED
    machine.set_fault(ControlFault.HIGH_TEMPERATURE, False)
    assert machine.state is S.PLUGGED


def test_state_d_is_served_where_there_is_ventilation() -> None:
    machine = charging()
    machine.ventilated = True
    assert machine.set_pilot(P.D) == []
    assert machine.state is S.CHARGING


def test_the_vehicle_suspends_and_goes_on_in_one_transaction() -> None:
    machine = charging()
    assert machine.set_pilot(P.B) == [A.OPEN]
    assert machine.set_contactor(False) == [A.SAMPLE]
    assert machine.state is S.SUSPENDED
    assert machine.handle(E.SAMPLED, reading=GOOD) == [A.KEEP_SUSPENDED]
    assert machine.set_pilot(P.C) == [A.CLOSE]
    machine.set_contactor(True)
    assert machine.state is S.CHARGING
    machine.set_pilot(P.B)
    machine.set_pilot(P.C)  # changed its mind while the contactor was opening
    assert machine.set_contactor(False) == [A.SAMPLE, A.CLOSE]
    assert machine.state is S.CLOSING


def test_a_welded_contactor_keeps_the_transaction_metered() -> None:
    machine = charging()
    machine.set_pilot(P.A)
    assert machine.handle(E.CONTACTOR_FAILED) == []
    assert machine.state is S.STUCK
    assert machine.handle(E.POLL_DUE) == [A.POLL]
    assert machine.set_contactor(False) == [A.READ_END]
    assert ended(machine) is Tx.END


def test_a_begin_that_cannot_be_read_or_kept_leaves_nothing() -> None:
    for event in (E.READING_LOST, E.READING_WRONG, E.STOP, E.FAULT):
        machine = Machine()
        machine.set_pilot(P.B)
        machine.handle(E.AUTHORISED, user=USER)
        machine.handle(E.LOCKED)
        assert machine.handle(event) == [A.UNLOCK, A.FORGET]
        assert machine.state is S.PLUGGED
    machine.handle(E.AUTHORISED, user=USER)
    machine.handle(E.LOCKED)
    machine.handle(E.READING_GOOD, reading=GOOD)
    assert machine.handle(E.STORE_FULL) == [A.UNLOCK, A.FORGET]


def test_a_stop_while_the_begin_is_being_kept_waits_for_the_answer() -> None:
    for answer, actions in ((E.RECORD_KEPT, [A.READ_END]), (E.STORE_FULL, [A.UNLOCK, A.FORGET])):
        machine = Machine()
        machine.set_pilot(P.B)
        machine.handle(E.AUTHORISED, user=USER)
        machine.handle(E.LOCKED)
        machine.handle(E.READING_GOOD, reading=GOOD)
        assert machine.set_pilot(P.A) == []
        assert machine.handle(answer) == actions
    assert machine.state is S.AVAILABLE


def test_a_v2g_session_asks_for_power_and_the_pilot_alone_does_not() -> None:
    machine = Machine()
    machine.set_digital(True)
    machine.set_pilot(P.B)
    machine.handle(E.AUTHORISED, user=USER)
    for event in (E.LOCKED, E.READING_GOOD, E.RECORD_KEPT):
        machine.handle(event, reading=GOOD if event is E.READING_GOOD else None)
    assert machine.handle(E.RECORD_SIGNED) == [A.OFFER]
    assert machine.set_pilot(P.C) == []
    assert machine.set_power_wanted(True) == [A.CLOSE]
    machine.set_contactor(True)
    assert machine.set_power_wanted(False) == [A.OPEN]  # before the pilot goes back
    assert machine.set_contactor(False) == [A.SAMPLE]
    assert machine.state is S.SUSPENDED
    assert machine.set_digital(False) == [A.OFFER, A.CLOSE]  # now the duty leads, and the vehicle is in C


def test_an_end_that_finds_no_room_is_tried_again() -> None:
    machine = charging()
    machine.set_pilot(P.A)
    machine.set_contactor(False)
    machine.handle(E.READING_GOOD, reading=GOOD)
    assert machine.handle(E.STORE_FULL) == []
    assert machine.in_transaction
    assert machine.handle(E.TIMED_OUT) == [A.KEEP_END]
    machine.handle(E.RECORD_KEPT)
    assert machine.state is S.AVAILABLE


def test_the_first_reason_stands_but_a_bad_end_reading_aborts() -> None:
    machine = charging()
    machine.handle(E.STOP, cause=Tx.END_REMOTE)
    machine.set_pilot(P.A)
    machine.set_contactor(False)
    assert machine.cause is Tx.END_REMOTE
    machine.handle(E.READING_WRONG, reading=GOOD)
    assert machine.cause is Tx.ABORT
    machine = Machine()
    assert machine.recover(USER, GOOD) == [A.OPEN, A.WITHDRAW]
    machine.set_contactor(False)
    machine.handle(E.READING_LOST, reading=GOOD)
    assert machine.cause is Tx.POWER_FAILURE


PILOTS = st.sampled_from([P.A, P.B, P.C, P.D, P.E, P.F]).map(lambda pilot: ("pilot", pilot))
FAULTS = st.tuples(
    st.just("fault"), st.tuples(st.sampled_from([ControlFault.GROUND, ControlFault.DIODE]), st.booleans())
)
CONTACTS = st.booleans().map(lambda closed: ("contactor", closed))
EVENTS = st.sampled_from([event for event in Event if not event.startswith(("pilot", "fault"))]).map(
    lambda event: ("event", event)
)
SESSIONS = st.tuples(st.sampled_from(["digital", "wanted"]), st.booleans())


@settings(max_examples=400)
@given(st.lists(st.one_of(EVENTS, PILOTS, FAULTS, CONTACTS, SESSIONS), max_size=60))
def test_no_order_of_events_breaks_the_order_of_records(steps: Iterable[tuple[str, object]]) -> None:
    """Whatever happens: signed begin before CLOSE, OPEN after it, one end per begin, and an end code in the end."""
    machine = Machine()
    may_flow = begun = signed = False
    for kind, value in steps:
        before = machine.state
        match kind, value:
            case "pilot", PilotState() as pilot:
                actions = machine.set_pilot(pilot)
            case "contactor", bool() as closed:
                actions = machine.set_contactor(closed)
            case "fault", (ControlFault() as fault, bool() as active):
                actions = machine.set_fault(fault, active)
            case "digital", bool() as digital:
                actions = machine.set_digital(digital)
            case "wanted", bool() as wanted:
                actions = machine.set_power_wanted(wanted)
            case _, Event() as event:
                actions = machine.handle(event, user=USER, reading=GOOD)
                signed = signed or (event is E.RECORD_SIGNED and before is S.SIGNING_BEGIN)
            case _:
                raise AssertionError(kind)
        for action in actions:
            if action is A.CLOSE:
                assert signed
                assert machine.power_wanted or not machine.digital
                may_flow = True
            if action is A.OPEN:
                may_flow = False
            if action is A.KEEP_BEGIN:
                assert not begun
                begun = True
            if action is A.READ_END:
                assert begun
                assert not may_flow or before is S.STUCK
            if action is A.KEEP_END:
                assert begun
                assert machine.cause in TX_ENDS
            if action is A.FORGET:
                begun = signed = False
        assert machine.in_transaction == (machine.state in IN_TRANSACTION)
        if machine.state in RESTING:
            assert not machine.in_transaction
            assert not may_flow
            assert machine.user is None
            assert (machine.state is S.FAULTED) == bool(machine.faults)


def test_every_state_can_be_reached_left_and_named() -> None:
    reached = {target for row in TABLE.values() for target, _ in row.values()} | RESTING
    states = set(State) - {S.REST}
    assert set(TABLE) == states
    assert reached - {S.REST} == states
    assert set(PHASES) == states
    assert all(any(target is not state for target, _ in row.values()) for state, row in TABLE.items())
    assert {timer.event for row in TIMERS.values() for timer in row} <= {E.TIMED_OUT, E.POLL_DUE, E.SAMPLE_DUE}
    for state, row in TIMERS.items():
        for timer in row:
            assert timer.event in TABLE[state]
            assert isinstance(getattr(Policy(), timer.policy), float)


def test_the_diagram_in_the_documentation_is_drawn_from_this_table() -> None:
    page = Path(__file__).parents[2] / "docs" / "diagrams" / "transaction.md"
    assert page.read_text() == draw(), (
        "write it anew: python -m gateway.transaction_diagram > docs/diagrams/transaction.md"
    )
