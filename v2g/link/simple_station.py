"""A station without hardware: says yes to everything that a station can say yes to, and delivers what is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ports.clock import Clock
from v2g.session.events import (
    AuthorizationWanted,
    CableCheckWanted,
    CertificateWanted,
    CurrentWanted,
    Event,
    ParametersWanted,
    PowerWanted,
    VoltageWanted,
    WeldingWanted,
)
from v2g.session.station_side import CertificateAnswer, MeterReport, Schedule, ScheduleOffer, StationState

if TYPE_CHECKING:
    from v2g.link.connection import Connection

AC_MODES = ("AC_three_phase_core", "AC_single_phase_core")
DC_MODES = ("DC_extended", "DC_core", "DC_combo_core")


class SimpleStation:
    """One session's station side. state: what the machine looks at; set limits and modes before.

    authorize_after_s: how long a driver takes to authorise (external payment); 0 is authorised from the start.
    DC has a meter of its own, which counts volts times amperes on the clock; AC has none, since nothing measures it.
    """

    def __init__(self, state: StationState, clock: Clock, *, authorize_after_s: float = 0.0) -> None:
        self.state = state
        self._clock = clock
        self._authorize_at = clock.monotonic() + authorize_after_s if authorize_after_s else None
        if self._authorize_at is None:
            state.authorization = "OK"
        self._wh = 0.0
        self._metered = clock.monotonic()
        state.civil_time = clock.now()

    def handle(self, connection: Connection, event: Event) -> None:
        """Do what the session asks."""
        state = self.state
        state.civil_time = self._clock.now()
        match event:
            case AuthorizationWanted():
                self._authorize(connection)
            case ParametersWanted():
                state.schedules = ScheduleOffer((Schedule(1, ((0, self._max_power(event)),)),))
            case CableCheckWanted():
                state.isolation = "Valid"
            case VoltageWanted(voltage):
                state.present_voltage = min(voltage, state.dc.max_voltage)
            case CurrentWanted(voltage, current):
                self._count()
                state.present_voltage = min(voltage, state.dc.max_voltage)
                state.present_current = min(current, state.dc.max_current, state.dc.max_power / max(voltage, 1.0))
            case PowerWanted(on):
                self._count()
                state.power_on = on
                if not on:
                    state.present_current = 0.0
            case WeldingWanted():
                state.present_voltage = 0.0
            case CertificateWanted():  # there is no backend behind a station without hardware
                state.certificate_answer = CertificateAnswer(code="FAILED_NoCertificateAvailable")
            case _:
                return
        connection.changed()

    def _authorize(self, connection: Connection) -> None:
        if self._authorize_at is None:
            return

        def authorize() -> None:
            self.state.authorization = "OK"
            connection.changed()

        connection.later(self._authorize_at - self._clock.monotonic(), authorize)

    def _max_power(self, wanted: ParametersWanted) -> float:
        state = self.state
        if wanted.mode.startswith("DC"):
            return state.dc.max_power
        phases = 3 if "three" in wanted.mode else 1
        return phases * state.ac.nominal_voltage * state.ac.max_current

    def _count(self) -> None:
        """Energy since the last time, by what flowed until now."""
        now = self._clock.monotonic()
        self._wh += self.state.present_voltage * self.state.present_current * (now - self._metered) / 3600
        self._metered = now
        if self.state.modes[0].startswith("DC"):
            self.state.meter = MeterReport("SIMULATED", int(self._wh))
