"""A serial line in memory, in the time of the event loop: no threads, the same run every time, virtual time too."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from hil_rigs.serial_line.line import Delivery, Line, LineCounters, MasterUart
from meters.serial_faults import PortBusy, PortMissing, PortUnplugged
from ports.errors import LocalError, RigError
from ports.serial_line import LineDevice, SerialSettings


class MemoryLine:
    """A line with devices; drivers reach it through `port()`. Options: as `Line`."""

    def __init__(
        self,
        settings: SerialSettings,
        devices: Sequence[LineDevice] = (),
        *,
        time: Callable[[], float] | None = None,
        **options: Any,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self.time = time or self._loop.time
        self.line = Line(settings, devices, start=self.time(), **options)
        self._settings = settings
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due = 0.0
        self.user: MemoryPort | None = None
        self.name = self.line.name
        self.pump(self.time())

    @property
    def counters(self) -> LineCounters:
        """What happened on the line so far."""
        return self.line.counters

    def port(self, settings: SerialSettings | None = None, name: str | None = None) -> MemoryPort:
        """A port on this line, still closed; settings: the line's own unless told."""
        return MemoryPort(self, settings or self._settings, name or self.name)

    def pump(self, now: float) -> None:
        """Let the line's time pass, hand over what came, and come back when it is due."""
        for event in self.line.advance(now):
            if self.user is None:
                if isinstance(event, Delivery):
                    self.line.counters.octets_lost += len(event.octets)
            elif isinstance(event, Delivery):
                self.user.take(event.octets)
            elif not event.plugged:
                self.user.lose()
            if not isinstance(event, Delivery) and event.plugged and event.name:
                self.name = event.name
        due = self.line.due()
        if self._timer is not None and (due is None or due != self._timer_due):
            self._timer.cancel()
            self._timer = None
        if due is not None and self._timer is None:
            self._timer_due = due
            self._timer = self._loop.call_later(due - self.time(), self._on_due)

    def _on_due(self) -> None:
        self._timer = None
        self.pump(max(self.time(), self._timer_due))  # the loop's clock may be a rounding error early

    def close(self) -> None:
        """Take the line down: its devices fall silent."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def __aenter__(self) -> MemoryLine:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()


class MemoryPort:
    """`ports.serial_line.BytePort` on a line in memory."""

    def __init__(self, line: MemoryLine, settings: SerialSettings, name: str) -> None:
        self._line = line
        self._settings = settings
        self._name = name
        self._buffer = bytearray()
        self._waiter: asyncio.Future[None] | None = None
        self._lost: RigError | None = None

    @property
    def name(self) -> str:
        """What the rig file calls it."""
        return self._name

    @property
    def settings(self) -> SerialSettings:
        """How it is framed."""
        return self._settings

    @settings.setter
    def settings(self, settings: SerialSettings) -> None:
        """Change the framing, also while open."""
        self._settings = settings
        if self.is_open:
            self._set_uart()

    @property
    def is_open(self) -> bool:
        """Whether it may be used."""
        return self._line.user is self

    def open(self) -> None:
        """Open exclusively. Raises PortMissing, PortBusy."""
        if self.is_open:
            return
        if not self._line.line.plugged or self._line.name != self._name:
            there = self._line.name if self._line.line.plugged else "none"
            raise PortMissing(f"serial port {self._name} is not there: plug it in; ports found: {there}")
        if self._line.user is not None:
            raise PortBusy(f"serial port {self._name} is in use by another part of this program: close it there first")
        self._lost = None
        self._buffer.clear()
        self._line.user = self
        self._set_uart()

    def close(self) -> None:
        """Release it; harmless when closed."""
        if self.is_open:
            self._line.user = None

    def time(self) -> float:
        """The line's own clock, seconds."""
        return self._line.time()

    def write(self, octets: bytes) -> float:
        """Send without waiting; returns the time at which the last stop bit will be on the wire."""
        self._require_open()
        end = self._line.line.write(octets, self.time())
        self._line.pump(self.time())
        return end

    async def receive(self, until: float) -> bytes:
        """Octets as they come, at least one; b"" at time `until`. Raises PortUnplugged."""
        while not self._buffer:
            self._require_open()
            if not await self._wait(until):
                break
        return self.flush_input()

    def flush_input(self) -> bytes:
        """Throw away what has come and was not read; returns it for counting."""
        self._require_open()
        octets = bytes(self._buffer)
        self._buffer.clear()
        return octets

    async def wait_until(self, at: float) -> None:
        """Wait until `time()` reaches `at`."""
        self._require_open()
        while await self._wait(at):
            pass

    def take(self, octets: bytes) -> None:
        """From the line: octets have come."""
        self._buffer += octets
        self._wake()

    def lose(self) -> None:
        """From the line: the adapter was pulled."""
        self._lost = PortUnplugged(f"serial port {self._name} was unplugged: plug it in, then open it again")
        self._line.user = None
        self._wake()

    def _set_uart(self) -> None:
        self._line.line.master = MasterUart(self._settings, check=self._settings.parity != "N")

    def _require_open(self) -> None:
        if self.is_open:
            return
        raise self._lost or LocalError(f"serial port {self._name} is used before open()")

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def _wait(self, until: float) -> bool:
        """Wait for news or for the time; False at the time."""
        left = until - self.time()
        if left <= 0:
            return False
        if self._waiter is not None:
            raise LocalError(f"serial port {self._name} is used by two tasks at once")
        loop = asyncio.get_running_loop()
        waiter = self._waiter = loop.create_future()
        reached: list[bool] = []

        def at_time() -> None:
            reached.append(True)
            self._wake()

        timer = loop.call_later(left, at_time)
        try:
            await waiter
        finally:
            timer.cancel()
            self._waiter = None
        return not reached
