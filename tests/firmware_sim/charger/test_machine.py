"""The firmware machine alone: whatever comes in whatever order, what must hold holds."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_sim.agenda import MS, S
from firmware_sim.charger import timings
from firmware_sim.charger.effects import Answer, Effect, Report, SetCoil, SetLock, SetOutput
from firmware_sim.charger.machine import ChargerMachine
from firmware_sim.charger.protection import PROTECTION, Opens
from firmware_sim.charger.settings import ChargerSettings
from firmware_sim.charger.transitions import STATES
from firmware_sim.duty import DutyKind, meaning
from firmware_sim.pilot import Drive, PilotLevels, PilotOutput
from ports.charge_control import ContactorChanged, ControlFault, FaultChanged, PilotChanged
from ports.errors import LocalError

VOLTS = {"A": 12.0, "B": 9.0, "C": 6.0, "D": 3.0, "E": 0.0, "F": -12.0, "?": 7.5}


class Rig:
    """A machine whose hardware obeys at once, and the checks after every step."""

    def __init__(self, machine: ChargerMachine) -> None:
        self.machine = machine
        self.now = 0
        self.output = PilotOutput()
        self.letter = "A"
        self.coil = False
        self.asked = 0
        self.answered: list[int] = []
        self.reports: list[object] = []
        self.obeys = True
        self.duties: list[tuple[int, float]] = []

    def take(self, effects: list[Effect]) -> None:
        """Carry out effects, and what the hardware says to that, then check."""
        queue = list(effects)
        while queue:
            match queue.pop(0):
                case SetOutput(output):
                    self.output = output
                    if output.drive is Drive.PWM:
                        self.duties.append((self.now, output.duty))
                    queue += self.measure()
                case SetCoil(on):
                    assert on is not self.coil, "the coil is switched, not told again"
                    self.coil = on
                    if self.obeys:
                        queue += self.machine.auxiliary_contact(self.now, on)
                case SetLock(locked):
                    if self.obeys:
                        queue += self.machine.lock_feedback(self.now, locked)
                case Answer(number):
                    self.answered.append(number)
                case Report(event):
                    self.reports.append(event)
        self.check()

    def levels(self, letter: str, diode: bool = True) -> None:
        self.letter = letter
        self.take(self.measure(diode))

    def measure(self, diode: bool = True) -> list[Effect]:
        letter = self.letter
        high = -12.0 if self.output.drive is Drive.NEGATIVE else VOLTS[letter]
        low = high
        if self.output.drive is Drive.PWM and letter != "E":
            low = -12.0 if diode or letter == "A" else -8.8
        return self.machine.levels(self.now, PilotLevels(high, low))

    def wait(self, ns: int) -> None:
        end = self.now + ns
        while (due := self.machine.deadline) is not None and due <= end:
            assert due >= self.now
            self.now = due
            self.take(self.machine.advance(self.now))
        self.now = end

    def command(self, method: Callable[[int, bool, int], list[Effect]], value: bool) -> None:
        self.asked += 1
        self.take(method(self.now, value, self.asked))

    def check(self) -> None:
        machine = self.machine
        assert machine.state in STATES
        status = machine.status()
        if self.coil:
            assert machine.state in ("C1", "C2", "D1", "D2")
            assert all(PROTECTION[fault].opens is Opens.GRACE for fault in status.faults)
            assert machine.settings.tethered or machine.cable_a
        if self.output.drive is Drive.PWM:
            assert machine.settings.tethered or machine.cable_a
        if machine.state[1:] == "2":
            assert self.output.drive is Drive.PWM
        if any(PROTECTION[fault].pwm_off for fault in status.faults):
            assert self.output.drive is not Drive.PWM
        said = meaning(self.output.duty)
        if self.output.drive is Drive.PWM and said.kind is DutyKind.LIMIT and machine.deadline is None:
            assert said.amperes <= machine.limit_a + 1e-9
        if self.output.drive is Drive.NEGATIVE:
            assert machine.state == "F"


def rig(**options: object) -> Rig:
    return Rig(ChargerMachine("c1", ChargerSettings(**options), 0))  # type: ignore[arg-type]


def ready(amperes: float = 32) -> Rig:
    """A rig in C2 with locked plug."""
    r = rig()
    r.take(r.machine.proximity(r.now, 220))
    r.levels("B")
    r.wait(1 * S)
    r.command(r.machine.command_lock, True)
    r.take(r.machine.offer_current(r.now, amperes))
    r.levels("C")
    r.wait(1 * S)
    return r


STEPS = st.one_of(
    st.tuples(st.just("level"), st.sampled_from("AABBCCCDEF?")),
    st.tuples(st.just("bad diode"), st.sampled_from("BCD")),
    st.tuples(st.just("wait"), st.sampled_from([1 * MS, 26 * MS, 35 * MS, 60 * MS, 120 * MS, 800 * MS, 2 * S, 7 * S])),
    st.tuples(st.just("contactor"), st.booleans()),
    st.tuples(st.just("lock"), st.booleans()),
    st.tuples(st.just("current"), st.sampled_from([0, 6, 16, 32, 80])),
    st.tuples(st.just("duty"), st.sampled_from([2.0, 5.0, 7.5, 30.0, 90.0, 100.0])),
    st.tuples(st.just("unavailable"), st.booleans()),
    st.tuples(st.just("proximity"), st.sampled_from([None, 220.0, 680.0, 1500.0, 10.0])),
    st.tuples(st.just("temperature"), st.sampled_from([20.0, 66.0, 69.0, 75.0])),
    st.tuples(st.just("amperes"), st.sampled_from([0.0, 16.0, 60.0])),
    st.tuples(st.just("supply"), st.sampled_from(["", "L1"])),
    st.tuples(st.just("stop button"), st.booleans()),
    st.tuples(st.just("trip"), st.just("6.1 mA")),
    st.tuples(st.just("earth"), st.booleans()),
    st.tuples(st.just("reset"), st.none()),
    st.tuples(st.just("auxiliary"), st.booleans()),
    st.tuples(st.just("bolt"), st.booleans()),
    st.tuples(st.just("obeys"), st.booleans()),
    st.tuples(st.just("self-test"), st.booleans()),
)


def do(r: Rig, step: str, value: object) -> None:
    machine, at = r.machine, r.now
    match step, value:
        case "level", str(letter):
            r.levels(letter)
        case "bad diode", str(letter):
            r.levels(letter, diode=False)
        case "wait", int(ns):
            r.wait(ns)
        case "contactor", bool(closed):
            r.command(machine.command_contactor, closed)
        case "lock", bool(locked):
            r.command(machine.command_lock, locked)
        case "current", int(amperes):
            r.take(machine.offer_current(at, amperes))
        case "duty", float(duty):
            r.take(machine.offer_duty(at, duty))
        case "unavailable", bool(on):
            r.take(machine.set_unavailable(at, on))
        case "proximity", ohm:
            r.take(machine.proximity(at, ohm))  # type: ignore[arg-type]
        case "temperature", float(celsius):
            r.take(machine.temperature(at, celsius))
        case "amperes", float(amperes):
            r.take(machine.current(at, amperes))
        case "supply", str(missing):
            r.take(machine.supply(at, missing))
        case "stop button", bool(pressed):
            r.take(machine.emergency_stop(at, pressed))
        case "trip", str(detail):
            r.take(machine.residual_trip(at, detail))
        case "earth", bool(present):
            r.take(machine.earth(at, present))
        case "reset", _:
            r.take(machine.reset(at))
        case "auxiliary", bool(closed):
            r.take(machine.auxiliary_contact(at, closed))
        case "bolt", bool(locked):
            r.take(machine.lock_feedback(at, locked))
        case "obeys", bool(obeys):
            r.obeys = obeys
        case "self-test", bool(ok):
            machine.residual_device_ok = ok
        case _:
            raise AssertionError((step, value))


@settings(max_examples=500, deadline=None)
@given(st.lists(STEPS, max_size=40), st.sampled_from(["idle", "tethered", "ventilated", "ready", "ready", "charging"]))
def test_any_order_of_events(steps: list[tuple[str, object]], begin: str) -> None:
    r = ready() if begin in ("ready", "charging") else rig(**({begin: True} if begin != "idle" else {}))
    if begin == "charging":
        r.command(r.machine.command_contactor, True)
        r.wait(1 * S)
    for step, value in steps:
        do(r, step, value)
    r.wait(20 * S)
    assert r.machine.deadline is None
    assert sorted(r.answered) == list(range(1, r.asked + 1)), "every command is answered exactly once"
    for (before, old), (after, new) in zip(r.duties, r.duties[1:], strict=False):
        digital = DutyKind.DIGITAL in (meaning(old).kind, meaning(new).kind)
        unplugged = any(
            isinstance(e, PilotChanged | FaultChanged) and before / S <= e.at <= after / S for e in r.reports
        )
        assert digital or unplugged or old == new or after - before >= timings.DUTY_CHANGE
    open_faults: set[ControlFault] = set()
    closed = False
    for event in r.reports:  # reports alternate
        match event:
            case FaultChanged():
                assert (event.fault in open_faults) is not event.active
                open_faults ^= {event.fault}
            case ContactorChanged():
                assert event.closed is not closed
                closed = event.closed
    status = r.machine.status()
    assert status.faults == open_faults
    assert status.contactor_closed is closed


def test_closing_takes_the_self_test_and_then_answers() -> None:
    r = ready()
    r.command(r.machine.command_contactor, True)
    assert not r.coil
    r.wait(timings.SELF_TEST + timings.AUXILIARY)
    assert r.coil
    assert r.answered == [1, 2]
    r.command(r.machine.command_contactor, True)  # closed already
    assert r.answered == [1, 2, 3]


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda r: r.levels("B"), "the pilot is B2"),
        (lambda r: r.take(r.machine.offer_current(r.now, 0)), "the pilot is C1"),
        (lambda r: r.take(r.machine.set_unavailable(r.now, True)), "the pilot is F"),
        (lambda r: r.command(r.machine.command_lock, False), "the plug is not locked"),
        (lambda r: r.take(r.machine.proximity(r.now, 10)), "ProximityFault"),
        (lambda r: r.take(r.machine.emergency_stop(r.now, True)), "EmergencyStop"),
        (lambda r: r.take(r.machine.earth(r.now, False)), "GroundFailure"),
        (lambda r: r.take(r.machine.residual_trip(r.now, "6.1 mA")), "GroundFailure"),
        (lambda r: r.take(r.machine.supply(r.now, "L1")), "PowerLoss"),
    ],
)
def test_why_it_does_not_close(spoil: Callable[[Rig], None], why: str) -> None:
    r = ready()
    spoil(r)
    r.wait(70 * MS)
    r.command(r.machine.command_contactor, True)
    r.wait(5 * S)
    assert not r.coil
    assert why in r.machine.refusal()


def test_the_vehicle_leaves_during_the_self_test() -> None:
    r = ready()
    r.levels("B")
    r.wait(29 * MS)
    r.asked += 1
    r.take(r.machine.command_contactor(r.now, True, r.asked))
    r.wait(1 * S)
    assert not r.coil
    assert r.answered == [1, 2]


def test_an_order_to_open_while_it_closes_is_answered_when_it_is_open() -> None:
    r = ready()
    r.obeys = False
    r.command(r.machine.command_contactor, True)
    r.wait(timings.SELF_TEST)
    r.take(r.machine.auxiliary_contact(r.now, True))  # moves, not debounced yet
    r.command(r.machine.command_contactor, False)
    assert r.answered == [1, 2]  # the order to close is over
    r.take(r.machine.auxiliary_contact(r.now, False))
    assert r.answered == [1, 2, 3]
    r.wait(5 * S)
    assert r.machine.status().faults == frozenset()


def test_an_order_to_close_while_it_opens_is_answered_when_it_is_closed() -> None:
    r = ready()
    r.command(r.machine.command_contactor, True)
    r.wait(1 * S)
    r.obeys = False
    r.command(r.machine.command_contactor, False)
    r.command(r.machine.command_contactor, True)
    r.take(r.machine.auxiliary_contact(r.now, False))
    r.wait(timings.AUXILIARY)
    assert not r.machine.auxiliary
    assert r.answered == [1, 2, 3]  # the order to open, by the newer command
    r.obeys = True
    r.wait(1 * S)
    assert r.answered == [1, 2, 3, 4]
    assert r.coil


def test_a_contact_that_closes_before_the_coil_is_a_fault() -> None:
    r = ready()
    r.command(r.machine.command_contactor, True)
    r.take(r.machine.auxiliary_contact(r.now, True))
    r.wait(1 * S)
    assert r.answered == [1, 2]
    assert r.machine.status().faults == {ControlFault.CONTACTOR}


def test_a_contact_that_closes_by_itself_is_a_fault() -> None:
    r = ready()
    r.take(r.machine.auxiliary_contact(r.now, True))
    r.wait(2 * S)
    assert r.machine.status().faults == {ControlFault.CONTACTOR}


def test_pwm_back_within_six_seconds_leaves_it_closed() -> None:
    r = ready()
    r.command(r.machine.command_contactor, True)
    r.wait(1 * S)
    r.take(r.machine.offer_current(r.now, 0))
    r.wait(5 * S)
    r.take(r.machine.offer_current(r.now, 32))
    r.wait(60 * S)
    assert r.coil


def test_nothing_closes_between_a_trip_and_its_report() -> None:
    r = ready()
    r.take(r.machine.residual_trip(r.now, "6.1 mA"))
    assert r.machine.status().faults == frozenset()
    assert "GroundFailure" in r.machine.refusal()


def test_f_that_is_over_in_time_does_not_unlock() -> None:
    r = ready()
    r.take(r.machine.set_unavailable(r.now, True))
    r.take(r.machine.set_unavailable(r.now, False))
    r.wait(20 * S)
    assert r.machine.locked


def test_no_unlocking_while_it_closes() -> None:
    r = ready()
    r.obeys = False
    r.command(r.machine.command_contactor, True)
    r.wait(timings.SELF_TEST)
    assert r.coil
    r.obeys = True
    r.command(r.machine.command_lock, False)
    assert r.machine.locked
    assert r.answered == [1, 3]


def test_supply_that_comes_late_is_noted() -> None:
    r = ready()
    notes = []
    while r.machine.deadline is not None:
        r.now = r.machine.deadline
        notes += r.machine.advance(r.now)
    assert [getattr(n, "kind", "") for n in notes] == ["power.supply_late"]


def test_over_current_for_ten_seconds() -> None:
    r = ready(16)
    r.command(r.machine.command_contactor, True)
    r.wait(1 * S)
    r.take(r.machine.current(r.now, 20.9))
    r.wait(60 * S)
    assert r.coil
    r.take(r.machine.current(r.now, 21.1))
    r.wait(9 * S)
    r.take(r.machine.current(r.now, 16))
    r.wait(60 * S)
    assert r.coil
    r.take(r.machine.current(r.now, 21.1))
    r.wait(10 * S)
    assert not r.coil
    assert r.machine.status().faults == {ControlFault.OVER_CURRENT}


@pytest.mark.parametrize("letter", ["?", "F"])
def test_levels_that_no_vehicle_makes(letter: str) -> None:
    r = ready()
    r.command(r.machine.command_contactor, True)
    r.wait(1 * S)
    r.levels(letter)
    r.wait(timings.UNDEFINED_LEVEL)
    assert not r.coil
    assert r.machine.status().faults == {ControlFault.PILOT}
    r.levels("C")
    r.wait(1 * S)
    assert r.machine.status().faults == frozenset()


def test_a_short_glitch_between_the_bands_is_nothing() -> None:
    r = ready()
    r.command(r.machine.command_contactor, True)
    r.wait(1 * S)
    r.levels("?")
    r.wait(timings.UNDEFINED_LEVEL - 1)
    r.levels("C")
    r.wait(10 * S)
    assert r.coil


@pytest.mark.parametrize("amperes", [5.9, -1, float("nan"), float("inf")])
def test_offers_that_no_duty_can_say(amperes: float) -> None:
    with pytest.raises(LocalError):
        rig().machine.offer_current(0, amperes)


@pytest.mark.parametrize("duty", [0, -1, 100.1, float("nan")])
def test_duties_that_are_none(duty: float) -> None:
    with pytest.raises(LocalError, match="is no duty"):
        rig().machine.offer_duty(0, duty)


def test_a_stronger_offer_than_the_station_can_deliver_is_capped() -> None:
    r = ready(100)
    assert meaning(r.output.duty).amperes == pytest.approx(32)


def test_a_short_loss_of_the_negative_half_is_nothing() -> None:
    r = ready()
    r.levels("C", diode=False)
    r.wait(timings.DIODE - 1)
    r.levels("C")
    r.wait(10 * S)
    assert r.machine.status().faults == frozenset()


def test_the_next_vehicle_does_not_wait_for_the_duty_of_the_last() -> None:
    r = ready(32)
    r.levels("A")
    r.wait(1 * S)
    r.take(r.machine.offer_current(r.now, 16))
    assert meaning(r.output.duty).amperes == pytest.approx(16)


def test_closing_in_the_heat_takes_current_at_once() -> None:
    r = ready(32)
    r.take(r.machine.temperature(r.now, 66))
    assert meaning(r.output.duty).amperes == pytest.approx(32)  # derating starts while charging
    r.command(r.machine.command_contactor, True)
    r.wait(6 * S)
    assert meaning(r.output.duty).amperes == pytest.approx(16)
