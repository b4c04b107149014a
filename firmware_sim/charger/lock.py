"""The connector lock: a motor, a bolt and the switch that says where it is."""

from __future__ import annotations

from collections.abc import Callable

from firmware_sim.agenda import MS, Agenda, Entry

TRAVEL = 300 * MS  # motor locks of type 2 sockets need 100 to 600 ms


class Lock:
    """Moves after its travel time, unless it jams."""

    def __init__(self, agenda: Agenda, switch: Callable[[bool], None]) -> None:
        self._agenda = agenda
        self._switch = switch
        self._moving: Entry | None = None
        self.locked = False
        self.jammed = False

    def drive(self, locked: bool) -> None:
        """Run the motor."""
        if self._moving is not None:
            self._moving.cancel()
        self._moving = self._agenda.after(TRAVEL, lambda: self._arrive(locked))

    def break_loose(self) -> None:
        """The bolt comes out by itself (broken latch)."""
        self._arrive(False, force=True)

    def _arrive(self, locked: bool, *, force: bool = False) -> None:
        self._moving = None
        if force or not self.jammed:
            self.locked = locked
            self._switch(locked)
