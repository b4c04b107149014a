"""Polls a meter and keeps what it said, with its age: a value from a meter that has fallen silent never looks fresh."""

from __future__ import annotations

from dataclasses import dataclass

from ports.clock import Clock
from ports.errors import PlugbenchError, RigError
from ports.meter import Meter, Reading
from ports.trace import TraceEvent, Tracer, no_trace

PERIODS = 2  # a meter that was silent for so many poll periods is dead


@dataclass(frozen=True, slots=True)
class Aged:
    """A reading with its age in boot-time seconds; alive: the meter still answers."""

    reading: Reading
    age_s: float
    alive: bool


class MeterWatch:
    """Polls one meter every `period_s` seconds; `names` as in `Meter.read`."""

    def __init__(
        self, meter: Meter, clock: Clock, period_s: float, names: tuple[str, ...] = (), tracer: Tracer = no_trace
    ) -> None:
        self._meter = meter
        self._clock = clock
        self._period_s = period_s
        self._names = names
        self._trace = tracer
        self._readings: dict[str, Reading] = {}
        self._good_at: float | None = None
        self._was_alive = False
        self.last_error: PlugbenchError | None = None

    @property
    def alive(self) -> bool:
        """Whether a poll succeeded within the last two periods."""
        if self._good_at is None:
            return False
        return self._clock.monotonic() - self._good_at <= PERIODS * self._period_s

    def latest(self, name: str) -> Aged:
        """The newest reading of a point. Raises RigError while there is none."""
        reading = self._readings.get(name)
        if reading is None:
            why = f": {self.last_error}" if self.last_error else ""
            raise RigError(f"meter {self._meter.label} has not yet said its {name}{why}")
        return Aged(reading, self._clock.monotonic() - reading.monotonic, self.alive)

    async def poll(self) -> bool:
        """Ask once; False when it failed (see `last_error`)."""
        try:
            readings = await self._meter.read(self._names)
        except PlugbenchError as error:
            self.last_error = error
        else:
            self.last_error = None
            self._readings.update(readings)
            self._good_at = self._clock.monotonic()
        if self.alive != self._was_alive:
            self._was_alive = self.alive
            kind = "meter.alive" if self.alive else "meter.dead"
            data: dict[str, object] = {} if self.last_error is None else {"error": str(self.last_error)}
            self._trace(TraceEvent(self._clock.monotonic(), "meter", kind, self._meter.label, data))
        return self.last_error is None

    async def run(self) -> None:
        """Poll for ever at a steady pace."""
        due = self._clock.monotonic()
        while True:
            await self.poll()
            due = max(due + self._period_s, self._clock.monotonic())
            await self._clock.sleep(due - self._clock.monotonic())
