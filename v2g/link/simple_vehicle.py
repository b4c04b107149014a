"""A vehicle without a body: a battery on the clock, and a wish after so many turns of the charging loop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ports.clock import Clock
from v2g.session.events import Event, PowerState, Send
from v2g.session.vehicle_side import STOP, VehicleState

if TYPE_CHECKING:
    from v2g.link.connection import Connection

LOOP_REQUESTS = frozenset({"ChargingStatusReq", "CurrentDemandReq"})


class SimpleVehicle:
    """One session's vehicle side. state: what the machine looks at.

    loops: turns of the charging loop until it stops; 0: until the battery is full (DC) or the session ends otherwise.
    """

    def __init__(self, state: VehicleState, clock: Clock, *, loops: int = 10, wish: str = STOP) -> None:
        self.state = state
        self.turns = 0
        self._clock = clock
        self._loops = loops
        self._wish = wish
        self._wh = (state.dc.energy_capacity or 60_000.0) * state.soc / 100
        self._since = clock.monotonic()
        state.civil_time = clock.now()

    def handle(self, connection: Connection, event: Event) -> None:  # noqa: ARG002 - as a station's
        """Follow the session."""
        self.state.civil_time = self._clock.now()
        if isinstance(event, Send) and event.name in LOOP_REQUESTS:
            self.turns += 1
            if self._loops and self.turns >= self._loops:
                self.state.wish = self._wish
        elif isinstance(event, PowerState) and event.voltage is not None and event.current is not None:
            self._charge(event.voltage * event.current)

    def _charge(self, watts: float) -> None:
        state, now = self.state, self._clock.monotonic()
        capacity = state.dc.energy_capacity or 60_000.0
        self._wh = min(capacity, self._wh + watts * (now - self._since) / 3600)
        self._since = now
        state.soc = int(100 * self._wh / capacity)
        if state.soc >= (state.dc.full_soc or 100):
            state.complete = True
            state.wish = self._wish
