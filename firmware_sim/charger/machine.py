"""The board's firmware without any I/O: measurements and commands in, effects out.

Every method takes the boot time `at` in ns and returns the effects in order. Times that it waits for are in `deadline`;
`advance` runs what is due. The state of the pilot moves by `transitions.TRANSITIONS`, protection by
`protection.PROTECTION`, times are in `timings`. It is one large class because every measurement and every command may
open the contactor.
"""

from __future__ import annotations

import math

from firmware_sim import duty as pwm
from firmware_sim import proximity as pp
from firmware_sim.agenda import S
from firmware_sim.charger import timings
from firmware_sim.charger.effects import Answer, Effect, Note, Report, SetCoil, SetLock, SetOutput
from firmware_sim.charger.pilot_source import PilotSource, kind
from firmware_sim.charger.protection import PROTECTION, Clears, Opens
from firmware_sim.charger.settings import ChargerSettings
from firmware_sim.charger.thermal import Derating
from firmware_sim.charger.transitions import NEXT
from firmware_sim.charger.wakeup import WakeupCounter
from firmware_sim.pilot import PilotLevels, classify, diode_is_bad
from ports.charge_control import (
    ContactorChanged,
    ControlFault,
    ControlStatus,
    FaultChanged,
    PilotChanged,
    PilotState,
    WakeUp,
)
from ports.errors import LocalError


class ChargerMachine:
    """Firmware of one connector."""

    def __init__(self, connector: str, settings: ChargerSettings, at: int) -> None:
        self.connector = connector
        self.settings = settings
        self.state = "A1"  # of `transitions.STATES`
        self.faults: dict[ControlFault, str] = {}  # active, with detail
        self.coil = False
        self.auxiliary = False  # debounced
        self.locked = False
        self.cable_a: int | None = None if settings.tethered else 0
        self.residual_device_ok = True  # outcome of its next self-test
        self._source = PilotSource(at)
        self._derating = Derating()
        self._wakeup = WakeupCounter()
        self._timers: dict[str, int] = {}
        self._effects: list[Effect] = []
        self._letter: PilotState | None = PilotState.A  # debounced level
        self._candidate: PilotState | None = PilotState.A
        self._auxiliary_candidate = False
        self._pp_candidate: float | None = None
        self._offer_a: float | None = None  # last offer in amperes; None when given as duty
        self._offer_duty = pwm.NO_PWM
        self._current_a = 0.0
        self._celsius = 20.0
        self._waiting_contactor: list[int] = []  # numbers of the commands that the next contactor position answers
        self._waiting_closed = False  # what they want
        self._waiting_lock: list[int] = []
        self._waiting_locked = False
        self._tripped = ""  # the residual current device has opened, its report is still on the way

    # -- time ---------------------------------------------------------------------------------------------------------

    @property
    def deadline(self) -> int | None:
        """When `advance` has to be called next, in ns; None = when something happens."""
        return min(self._timers.values(), default=None)

    def advance(self, at: int) -> list[Effect]:
        """Run the timers that are due, in order."""
        while (due := self.deadline) is not None and due <= at:
            name = min(self._timers, key=lambda timer: (self._timers[timer], timer))
            del self._timers[name]
            getattr(self, f"_on_{name}")(at)
        return self._take()

    def _take(self) -> list[Effect]:
        effects, self._effects = self._effects, []
        return effects

    def _do(self, *effects: Effect) -> None:
        self._effects.extend(effects)

    def _start(self, timer: str, at: int, delay: int) -> None:
        """Start a timer unless it runs."""
        self._timers.setdefault(timer, at + delay)

    def _stop(self, *timers: str) -> None:
        for timer in timers:
            self._timers.pop(timer, None)

    # -- the pilot ----------------------------------------------------------------------------------------------------

    def levels(self, at: int, measured: PilotLevels) -> list[Effect]:
        """The pilot's levels changed."""
        letter = classify(measured.high)
        if letter is not self._candidate:
            self._candidate = letter
            self._stop("level")
            if letter is None:
                self._start("undefined", at, timings.UNDEFINED_LEVEL)
            else:
                self._stop("undefined")
                if letter is not self._letter:
                    self._start("level", at, timings.DEBOUNCE[letter])
                elif ControlFault.PILOT in self.faults and letter not in "EF":
                    self._clear(at, ControlFault.PILOT)
        if diode_is_bad(self._source.output, measured):
            self._start("diode", at, timings.DIODE)
        else:
            self._stop("diode")
        return self._take()

    def _on_level(self, at: int) -> None:
        letter = self._candidate
        if letter is None:
            return
        self._letter = letter
        if toggles := self._wakeup.level(letter, at):
            self._do(Report(WakeUp(at / S, self.connector, toggles)))
        self._event(at, f"level {letter}")
        if letter not in "EF":
            self._clear(at, ControlFault.PILOT)

    def _on_undefined(self, at: int) -> None:
        self._raise(at, ControlFault.PILOT, "the pilot's level is between the bands")

    def _on_diode(self, at: int) -> None:
        self._raise(at, ControlFault.DIODE, "the negative half follows the vehicle: diode missing, shorted or reversed")

    def _event(self, at: int, event: str) -> None:
        row = NEXT.get((self.state, event))
        if row is None:
            return
        before, self.state = self.state, row.next
        if before != row.next:
            state, x2 = PilotState(row.next[0]), row.next[1:] == "2"
            self._do(Report(PilotChanged(at / S, self.connector, state, x2)))
            if state is not PilotState.D:
                self._clear(at, ControlFault.VENTILATION)
            if row.next not in ("C2", "D2"):
                self._stop("supply_due")
            if row.next not in ("C1", "D1"):
                self._stop("open_later")
            if state is not PilotState.F:
                self._stop("unlock_later")
        for action in row.actions:
            self._act(at, action, event)

    def _act(self, at: int, action: str, event: str) -> None:
        match action:
            case "open":
                self._open(at, f"pilot {self.state} after {event}")
            case "open later":
                if self.coil:
                    self._start("open_later", at, timings.FORCED_OPEN)
                else:
                    self._open(at, event)
            case "supply due":
                if not self.coil:
                    self._start("supply_due", at, timings.SUPPLY_ON)
            case "unlock later":
                self._start("unlock_later", at, timings.UNLOCK_AFTER_F)
            case "pilot fault":
                self._raise(at, ControlFault.PILOT, f"{event} is none that a vehicle makes")
            case "ventilation":
                if not self.settings.ventilated:
                    self._raise(at, ControlFault.VENTILATION, "the vehicle asks for ventilation, there is none")
            case "unplugged":
                self._unplugged(at)
            case _:
                raise LocalError(f"transition table: no action {action!r}")

    def _unplugged(self, at: int) -> None:
        self._source.forget_vehicle()
        for fault in tuple(self.faults):
            if PROTECTION[fault].clears is Clears.UNPLUG:
                self._clear(at, fault)

    def _on_supply_due(self, _at: int) -> None:
        if not self.auxiliary:
            self._do(Note("power.supply_late", {"limit_s": timings.SUPPLY_ON / S}))

    def _on_open_later(self, at: int) -> None:
        under_load = self._current_a > 0
        self._do(
            Note("power.forced_open_under_load" if under_load else "power.forced_open", {"amperes": self._current_a})
        )
        self._open(at, "the PWM is off and the vehicle has not opened S2")

    def _on_unlock_later(self, _at: int) -> None:
        if not self.auxiliary and not self.coil and self.locked:
            self._do(SetLock(False))

    # -- what the pilot shows -----------------------------------------------------------------------------------------

    def offer_current(self, at: int, amperes: float) -> list[Effect]:
        """Offer so many amperes, 0 = no PWM. Raises LocalError for what no duty can say."""
        if amperes != 0:
            pwm.duty_for(min(amperes, pwm.MAX_A) if math.isfinite(amperes) else amperes)
        self._offer_a, self._offer_duty = (None, pwm.NO_PWM) if amperes == 0 else (amperes, pwm.NO_PWM)
        self._refresh(at)
        return self._take()

    def offer_duty(self, at: int, per_cent: float) -> list[Effect]:
        """Show this duty. Raises LocalError outside 0 < duty <= 100."""
        if not 0 < per_cent <= pwm.NO_PWM:
            raise LocalError(f"{per_cent} % is no duty: above 0, up to 100 (no PWM); state F is set_unavailable(True)")
        self._offer_a, self._offer_duty = None, per_cent
        self._refresh(at)
        return self._take()

    def set_unavailable(self, at: int, unavailable: bool) -> list[Effect]:
        """State F on or off."""
        self._source.unavailable = unavailable
        self._refresh(at)
        return self._take()

    @property
    def limit_a(self) -> float:
        """What station, cable and temperature allow now."""
        limit = min(self.settings.max_a, self.cable_a or math.inf, pwm.MAX_A)
        return self._derating.limit(limit)

    def _refresh(self, at: int) -> None:
        """Bring the output where the offer, the limits and the faults want it, as far as it may go now."""
        duty = self._offer_duty
        if self._offer_a is not None:
            duty = pwm.duty_for(max(min(self._offer_a, self.limit_a), pwm.MIN_A))
        elif (said := pwm.meaning(duty)).kind is pwm.DutyKind.LIMIT and said.amperes > self.limit_a:
            duty = pwm.duty_for(max(self.limit_a, pwm.MIN_A))
        self._source.duty = duty
        no_cable = not self.settings.tethered and not self.cable_a  # its rating has to be known first
        self._source.blocked = no_cable or any(PROTECTION[fault].pwm_off for fault in self.faults)
        self._stop("output")
        while True:
            had_pwm = kind(self._source.output) in ("PWM", "5%")
            output, due = self._source.step(at)
            if due is not None:
                self._timers["output"] = due
            if output is None:
                return
            self._do(SetOutput(output))
            shows = kind(output)
            self._do(Note("pilot.output", {"drive": output.drive.value, "duty": round(output.duty, 3)}))
            if shows == "F":
                self._event(at, "unavailable")
            elif had_pwm != (shows in ("PWM", "5%")):
                self._event(at, "pwm off" if had_pwm else "pwm on")

    def _on_output(self, at: int) -> None:
        self._refresh(at)

    # -- proximity, temperature, current, supply, emergency stop ------------------------------------------------------

    def proximity(self, at: int, ohm: float | None) -> list[Effect]:
        """The resistance between proximity and earth; ignored by a station with its own cable."""
        if not self.settings.tethered and ohm != self._pp_candidate:
            self._pp_candidate = ohm
            self._timers["proximity"] = at + (timings.PROXIMITY if self.cable_a else timings.PLUG)
        return self._take()

    def _on_proximity(self, at: int) -> None:
        self.cable_a = pp.rating(self._pp_candidate) or 0
        self._do(Note("pilot.proximity", {"ohm": self._pp_candidate, "amperes": self.cable_a}))
        if not self.cable_a and (self._pp_candidate is not None or self.state not in ("A1", "A2")):
            ohm = "no resistor" if self._pp_candidate is None else f"{self._pp_candidate:g} ohm"
            self._raise(at, ControlFault.PROXIMITY, f"{ohm}: no cable rating, or the plug was pulled")
        elif self._pp_candidate is None:
            self._unplugged(at)  # also seen when the pilot never showed the vehicle (diode reversed)
        self._refresh(at)

    def temperature(self, at: int, celsius: float) -> list[Effect]:
        """A temperature sensor changed."""
        self._celsius = celsius
        self._sense(at)
        return self._take()

    def _sense(self, at: int) -> None:
        if self._derating.sense(self._celsius, charging=self.coil):
            self._do(Note("power.derating", {"celsius": self._celsius, "limit_a": self.limit_a}))
            if self._derating.too_hot:
                self._raise(at, ControlFault.HIGH_TEMPERATURE, f"{self._celsius:g} degrees Celsius")
            self._refresh(at)

    def current(self, at: int, amperes: float) -> list[Effect]:
        """The largest phase current changed."""
        self._current_a = amperes
        said = pwm.meaning(self._source.output.duty)
        allowed = said.amperes if said.kind is pwm.DutyKind.LIMIT else self.limit_a
        if amperes > allowed + timings.OVER_CURRENT_A:
            self._start("over_current", at, timings.OVER_CURRENT)
        else:
            self._stop("over_current")
        return self._take()

    def _on_over_current(self, at: int) -> None:
        self._raise(at, ControlFault.OVER_CURRENT, f"{self._current_a:g} A")

    def supply(self, at: int, missing: str) -> list[Effect]:
        """Mains present (""), or what is missing ("L2")."""
        self._set(at, ControlFault.POWER_LOSS, missing)
        return self._take()

    def emergency_stop(self, at: int, pressed: bool) -> list[Effect]:
        """The button; it interrupts the coil by itself."""
        self._set(at, ControlFault.EMERGENCY_STOP, "pressed" if pressed else "")
        return self._take()

    def earth(self, at: int, present: bool) -> list[Effect]:
        """The ground monitor; a missing earth needs a reset."""
        if not present:
            self._raise(at, ControlFault.GROUND, "no protective earth")
        return self._take()

    def residual_trip(self, at: int, detail: str) -> list[Effect]:
        """The residual current device has opened the contactor; the report follows."""
        self._tripped = detail
        self._open(at, detail)
        self._start("report_trip", at, timings.REPORT_TRIP)
        return self._take()

    def _on_report_trip(self, at: int) -> None:
        detail, self._tripped = self._tripped, ""
        self._raise(at, ControlFault.GROUND, detail)

    # -- contactor ----------------------------------------------------------------------------------------------------

    def refusal(self) -> str:
        """Why the contactor may not close now, "" when it may."""
        if self.faults or self._tripped:
            return f"blocked by {', '.join(sorted(self.faults) or [ControlFault.GROUND])}"
        if self.state not in ("C2", "D2"):
            return (
                f"the pilot is {self.state}, the contactor closes in C2{' or D2' if self.settings.ventilated else ''}"
            )
        if not self.settings.tethered and not self.cable_a:
            return "no cable rating by proximity"
        if not self.settings.tethered and not self.locked:
            return "the plug is not locked"
        return ""

    def command_contactor(self, at: int, closed: bool, number: int) -> list[Effect]:
        """Close (self-test first) or open; the end comes as `Answer` with this number."""
        why = self.refusal() if closed else ""
        if why or (self.coil == self.auxiliary == closed and not self._waiting_contactor):
            self._do(Answer(number, why))
            return self._take()
        if self._waiting_closed is not closed:
            self._settle("a newer command came")
        self._waiting_closed = closed
        if closed:
            self._start("self_test", at, timings.SELF_TEST)
        else:
            self._open(at, "commanded")
            if not self.auxiliary and not self._auxiliary_candidate:
                self._do(Answer(number))
                return self._take()
            self._start("feedback", at, timings.FEEDBACK)
        self._waiting_contactor.append(number)
        return self._take()

    def _on_self_test(self, at: int) -> None:
        if not self.residual_device_ok:
            self._raise(at, ControlFault.GROUND, "the residual current device failed its self-test")
        elif self.auxiliary:
            self._raise(at, ControlFault.CONTACTOR, "the auxiliary contact says closed before the coil is on")
        else:
            self._switch(at, True)
            self._sense(at)

    def _open(self, at: int, why: str) -> None:
        """Open now; the board never closes again by itself."""
        self._stop("self_test", "supply_due", "open_later")
        if self._waiting_closed:
            self._settle(f"opened: {why}")
        if self.coil:
            self._do(Note("power.opening", {"why": why}))
        self._switch(at, False)

    def _switch(self, at: int, on: bool) -> None:
        if self.coil != on:
            self.coil = on
            self._do(SetCoil(on))
            self._stop("feedback")
            if self.auxiliary != on:
                self._start("feedback", at, timings.FEEDBACK)

    def auxiliary_contact(self, at: int, closed: bool) -> list[Effect]:
        """The auxiliary contact moved; bounce is filtered."""
        if closed != self._auxiliary_candidate:
            self._auxiliary_candidate = closed
            self._stop("auxiliary")
            if closed != self.auxiliary:
                self._start("auxiliary", at, timings.AUXILIARY)
            else:
                self._compare(at)  # it was only bounce
        return self._take()

    def _on_auxiliary(self, at: int) -> None:
        self.auxiliary = self._auxiliary_candidate
        self._do(Report(ContactorChanged(at / S, self.connector, self.auxiliary)))
        if self.auxiliary:
            self._stop("supply_due")
        self._compare(at)

    def _compare(self, at: int) -> None:
        """Does the auxiliary contact agree with the coil, and with what commands wait for?"""
        if self.auxiliary != self.coil:
            self._start("feedback", at, timings.FEEDBACK)
            return
        self._stop("feedback")
        if self._waiting_closed is self.auxiliary:
            self._settle("")

    def _on_feedback(self, at: int) -> None:
        """The auxiliary contact does not agree with the coil."""
        detail = "the auxiliary contact stays open" if self.coil else "the auxiliary contact stays closed: welded"
        self._settle(detail)
        self._raise(at, ControlFault.CONTACTOR, detail)

    def _settle(self, refusal: str) -> None:
        numbers, self._waiting_contactor = self._waiting_contactor, []
        self._do(*(Answer(number, refusal) for number in numbers))

    # -- lock ---------------------------------------------------------------------------------------------------------

    def command_lock(self, at: int, locked: bool, number: int) -> list[Effect]:
        """Run the lock; the end comes as `Answer` with this number. A live connector is never unlocked."""
        if self.settings.tethered:
            self._do(Answer(number))
        elif not locked and (self.auxiliary or self.coil):
            self._do(Answer(number, "the contactor is closed"))
        else:
            if self._waiting_locked is not locked:
                self._settle_lock("a newer command came")
            self._waiting_locked = locked
            self._waiting_lock.append(number)
            self._timers["lock"] = at + timings.LOCK
            self._do(SetLock(locked))
        return self._take()

    def lock_feedback(self, at: int, locked: bool) -> list[Effect]:
        """The lock's switch; also called after a command that found it in place."""
        if self.locked is not locked:
            self.locked = locked
            self._do(Note("pilot.lock", {"locked": locked}))
        if self._waiting_lock and self._waiting_locked is locked:
            self._stop("lock")
            self._clear(at, ControlFault.LOCK)
            self._settle_lock("")
        elif not locked and self.coil:
            self._raise(at, ControlFault.LOCK, "the lock came loose while charging")
        return self._take()

    def _on_lock(self, at: int) -> None:
        detail = f"the lock does not {'close' if self._waiting_locked else 'open'}"
        self._settle_lock(detail)
        self._raise(at, ControlFault.LOCK, detail)

    def _settle_lock(self, refusal: str) -> None:
        numbers, self._waiting_lock = self._waiting_lock, []
        self._do(*(Answer(number, refusal) for number in numbers))

    # -- faults -------------------------------------------------------------------------------------------------------

    def _set(self, at: int, fault: ControlFault, detail: str) -> None:
        if detail:
            self._raise(at, fault, detail)
        else:
            self._clear(at, fault)

    def _raise(self, at: int, fault: ControlFault, detail: str) -> None:
        if fault in self.faults:
            return
        self.faults[fault] = detail
        reaction = PROTECTION[fault]
        if reaction.pwm_off:
            self._offer_a, self._offer_duty = None, pwm.NO_PWM  # the gateway has to offer again
        if reaction.opens is Opens.NOW:
            self._open(at, fault.value)
        else:
            self._start("grace", at, timings.HOT_GRACE)
        self._do(Report(FaultChanged(at / S, self.connector, fault, True, detail)))
        self._refresh(at)

    def _on_grace(self, at: int) -> None:
        self._open(at, "grace time over")

    def _clear(self, at: int, fault: ControlFault) -> None:
        if fault in self.faults:
            detail = self.faults.pop(fault)
            self._do(Report(FaultChanged(at / S, self.connector, fault, False, detail)))
            self._refresh(at)

    def reset(self, at: int) -> list[Effect]:
        """Somebody resets the board: what was latched is cleared, unless its cause is still there."""
        for fault in tuple(self.faults):
            welded = fault is ControlFault.CONTACTOR and self.auxiliary != self.coil
            if PROTECTION[fault].clears is not Clears.GONE and not welded:
                self._clear(at, fault)
        return self._take()

    def status(self) -> ControlStatus:
        """Everything at once; duty is what the pilot shows now."""
        return ControlStatus(
            pilot=PilotState(self.state[0]),
            duty=self._source.output.duty,
            contactor_closed=self.auxiliary,
            locked=self.locked,
            cable_a=self.cable_a,
            faults=frozenset(self.faults),
        )
