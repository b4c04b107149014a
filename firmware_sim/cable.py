"""The cable's thin conductors: control pilot, proximity and protective earth between one station and one vehicle."""

from __future__ import annotations

from collections.abc import Callable

from firmware_sim.agenda import Agenda
from firmware_sim.pilot import Drive, PilotLevels, PilotLoad, PilotOutput, levels

NOTHING = PilotLoad()


class Cable:
    """Holds both ends' contributions and the wiring faults; tells both ends when a level may have changed."""

    def __init__(self, agenda: Agenda) -> None:
        self._agenda = agenda
        self._listeners: list[Callable[[], None]] = []
        self._told = True
        self.output = PilotOutput()
        self.load = NOTHING
        self.pp_ohm: float | None = None
        self.pp_fault_ohm: float | None = None
        self.cp_pe_short = False
        self.pe_lost = False
        self.pp_removed = False
        self.drift_v = 0.0

    def listen(self, listener: Callable[[], None]) -> None:
        """Call this after every change; listeners are called in the order in which they came."""
        self._listeners.append(listener)

    def leave(self, listener: Callable[[], None]) -> None:
        """Never call this again."""
        self._listeners.remove(listener)

    def change(self, **values: object) -> None:
        """Set attributes by name and tell both ends, once per instant."""
        for name, value in values.items():
            if not hasattr(self, name):
                raise AttributeError(f"a cable has no {name}")
            setattr(self, name, value)
        if self._told:
            self._told = False
            self._agenda.after(0, self._tell)

    def _tell(self) -> None:
        self._told = True
        for listener in tuple(self._listeners):
            listener()

    def station_levels(self) -> PilotLevels:
        """What the station measures on the pilot."""
        if self.cp_pe_short:
            return PilotLevels(self.drift_v, self.drift_v)
        return levels(self.output, NOTHING if self.pe_lost else self.load, self.drift_v)

    def station_pp_ohm(self) -> float | None:
        """What the station measures on proximity; None = no plug."""
        if self.pp_removed or self.pp_ohm is None:
            return None
        return self.pp_ohm if self.pp_fault_ohm is None else self.pp_fault_ohm

    def vehicle_duty(self) -> float | None:
        """The duty that the vehicle sees; None without PWM, or when pilot or earth do not reach it."""
        if self.cp_pe_short or self.pe_lost or self.load.ohm is None or self.output.drive is not Drive.PWM:
            return None
        return self.output.duty
