"""The charger's board: the firmware machine wired to its hardware, on the plant's agenda. No asyncio here."""

from __future__ import annotations

from collections.abc import Callable

from firmware_sim.agenda import Agenda, Entry
from firmware_sim.branch import Amounts, Branch
from firmware_sim.cable import Cable
from firmware_sim.charger.contactor import Contactor
from firmware_sim.charger.effects import Answer, Effect, Note, Report, SetCoil, SetLock, SetOutput
from firmware_sim.charger.lock import Lock
from firmware_sim.charger.machine import ChargerMachine
from firmware_sim.charger.residual import ResidualCurrentDevice
from firmware_sim.charger.settings import ChargerSettings
from ports.charge_control import ContactorChanged, ControlEvent, FaultChanged, PilotChanged, WakeUp

TraceSink = Callable[[str, str, dict[str, object]], None]  # kind, source, data
MAINS_MISSING = 0.75  # of nominal: below it a contactor's coil may drop out (IEC 60947-4-1: 20 to 75 %)
PHASE_NAMES = ("L1", "L2", "L3")


class Board:
    """Measures, runs the machine, drives the hardware, hands reports and answers on."""

    def __init__(
        self,
        name: str,
        settings: ChargerSettings,
        agenda: Agenda,
        cable: Cable,
        main_contacts: Callable[[bool], None],
        trace: TraceSink,
    ) -> None:
        self.machine = ChargerMachine(name, settings, agenda.now())
        self.contactor = Contactor(agenda, main_contacts, self._auxiliary)
        self.lock = Lock(agenda, lambda locked: self.run(self.machine.lock_feedback(agenda.now(), locked)))
        self.residual = ResidualCurrentDevice(agenda, self.trip)
        self.on_report: Callable[[ControlEvent], None] = lambda _event: None
        self.on_answer: Callable[[Answer], None] = lambda _answer: None
        self._name = name
        self._agenda = agenda
        self._cable = cable
        self._trace = trace
        self._timer: Entry | None = None
        cable.listen(self._measure)

    def run(self, effects: list[Effect]) -> None:
        """Carry out what the machine decided, then plan its next deadline."""
        for effect in effects:
            match effect:
                case SetOutput(output):
                    self._cable.change(output=output)
                case SetCoil(on):
                    self.contactor.energise(on)
                case SetLock(locked):
                    self.lock.drive(locked)
                case Report(event):
                    self._trace(*_traced(event))
                    self.on_report(event)
                case Answer():
                    self.on_answer(effect)
                case Note(kind, data):
                    self._trace(kind, self._name, data)
        deadline = self.machine.deadline
        if self._timer is not None:
            if self._timer.do is not None and self._timer.at == deadline:
                return
            self._timer.cancel()
        self._timer = None if deadline is None else self._agenda.at(deadline, self._advance)

    def _advance(self) -> None:
        self._timer = None
        self.run(self.machine.advance(self._agenda.now()))

    def _measure(self) -> None:
        at = self._agenda.now()
        self.run(self.machine.levels(at, self._cable.station_levels()))
        self.run(self.machine.proximity(at, self._cable.station_pp_ohm()))

    def _auxiliary(self, closed: bool) -> None:
        self.run(self.machine.auxiliary_contact(self._agenda.now(), closed))

    def trip(self, detail: str) -> None:
        """A device (residual current, isolation monitor) interrupts the coil; firmware is only told."""
        self.contactor.energise(False)
        self.run(self.machine.residual_trip(self._agenda.now(), detail))

    def press_emergency_stop(self, pressed: bool) -> None:
        """The button interrupts the coil; firmware is only told."""
        if pressed:
            self.contactor.energise(False)
        self.run(self.machine.emergency_stop(self._agenda.now(), pressed))

    def earth(self, present: bool) -> None:
        """What the ground monitor finds on the mains side."""
        self.run(self.machine.earth(self._agenda.now(), present))

    def heat(self, celsius: float) -> None:
        """The temperature at the sensor."""
        self.run(self.machine.temperature(self._agenda.now(), celsius))

    def reset(self) -> None:
        """Somebody resets the board (the explicit reset after a residual current trip)."""
        self.run(self.machine.reset(self._agenda.now()))

    def power_changed(self, branch: Branch, nominal_mv: int) -> None:
        """Voltages or currents of the power path changed."""
        self.mains_changed(branch.millivolts, nominal_mv)
        self.run(self.machine.current(self._agenda.now(), max(map(abs, branch.milliamperes)) / 1000))

    def mains_changed(self, millivolts: Amounts, nominal_mv: int) -> None:
        """Voltages of the mains changed."""
        at = self._agenda.now()
        watched = millivolts[: self.machine.settings.phases]
        missing = [name for name, mv in zip(PHASE_NAMES, watched, strict=False) if mv < MAINS_MISSING * nominal_mv]
        if missing:
            self.contactor.energise(False)  # the coil drops out
        self.run(self.machine.supply(at, ", ".join(missing)))


def _traced(event: ControlEvent) -> tuple[str, str, dict[str, object]]:
    match event:
        case PilotChanged():
            return "pilot.state", event.connector, {"state": event.state.value, "pwm": event.pwm}
        case ContactorChanged():
            return "power.contactor", event.connector, {"closed": event.closed}
        case FaultChanged():
            data: dict[str, object] = {"fault": event.fault.value, "active": event.active, "detail": event.detail}
            return "pilot.fault", event.connector, data
        case WakeUp():
            return "pilot.wakeup", event.connector, {"toggles": event.toggles}
    raise AssertionError(event)
