"""The contactor as a machine part: coil, main contacts, auxiliary contact, and the ways in which they fail."""

from __future__ import annotations

from collections.abc import Callable

from firmware_sim.agenda import MS, Agenda, Entry

CLOSE = 20 * MS  # coil on to main contacts made: data sheets of 40 A contactors say 10 to 30 ms
OPEN = 15 * MS  # coil off to main contacts parted


class Contactor:
    """Moves the main contacts after its mechanical delay; the auxiliary (mirror) contact follows them."""

    def __init__(self, agenda: Agenda, main: Callable[[bool], None], auxiliary: Callable[[bool], None]) -> None:
        self._agenda = agenda
        self._main = main
        self._auxiliary = auxiliary
        self._moving: Entry | None = None
        self._bounces: list[Entry] = []
        self.coil = False
        self.closed = False  # main contacts
        self.welded = False  # once closed they stay closed
        self.no_feedback = False  # the auxiliary contact never says "closed"
        self.late = 0  # further ns before they move
        self.bounce = 0  # further edges of the auxiliary contact
        self.bounce_every = 1 * MS

    def energise(self, on: bool) -> None:
        """Switch the coil."""
        if on is self.coil:
            return
        self.coil = on
        if self._moving is not None:
            self._moving.cancel()
        self._moving = self._agenda.after((CLOSE if on else OPEN) + self.late, self._move)

    def weld(self, welded: bool) -> None:
        """Weld the main contacts (they stay closed once they are), or free them again."""
        self.welded = welded
        if not welded and self.closed and not self.coil:
            self._set(False)

    def lose_feedback(self, lost: bool) -> None:
        """The auxiliary contact breaks, or is mended."""
        self.no_feedback = lost
        self._auxiliary(self.closed and not lost)

    def _move(self) -> None:
        self._moving = None
        if self.coil or not self.welded:
            self._set(self.coil)

    def _set(self, closed: bool) -> None:
        if closed is self.closed:
            return
        self.closed = closed
        self._main(closed)
        for entry in self._bounces:
            entry.cancel()
        edges = 2 * self.bounce
        self._bounces = [self._agenda.after(n * self.bounce_every, self._edge(n % 2 == 0)) for n in range(edges + 1)]

    def _edge(self, settled: bool) -> Callable[[], None]:
        """One edge of the auxiliary contact: what the main contacts say, or the opposite."""
        return lambda: self._auxiliary(self.closed is settled and not self.no_feedback)
