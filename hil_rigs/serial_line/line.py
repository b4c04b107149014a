"""A serial line with one master and several devices: times and octets in, times and octets out (no clock, no I/O).

Half duplex: everybody hears everybody else. Modelled: baud, parity, data and stop bits of each party (`uart.py`),
character pacing, t1.5 and t3.5 (Modbus over Serial Line V1.02, 2.5.1.1), turn-around, collisions, the receive FIFO
and the USB latency of the master's adapter. Faults come in through the hook at "line.from_master" and "line.to_master".
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from math import ceil
from random import Random
from typing import NamedTuple, Protocol, runtime_checkable

from hil_rigs.serial_line.burst import Burst, Unplug
from hil_rigs.serial_line.talk import MASTER, Period, Tx
from hil_rigs.serial_line.uart import Character, as_linux_delivers, mismatch
from ports.faults import FaultHook, no_fault
from ports.serial_line import LineAnswer, LineDevice, SerialSettings
from ports.trace import TraceEvent, Tracer, no_trace

EPSILON = 1e-9  # seconds; below it two times are the same
UART_FIFO = 16  # characters, 16550A


@runtime_checkable
class SpeakingDevice(Protocol):
    """A device that also sends unasked (SML meters push a telegram every second or so)."""

    @property
    def settings(self) -> SerialSettings:
        """How its own UART is set."""

    def hear(self, octets: bytes, at: float) -> list[LineAnswer]:
        """As `ports.serial_line.LineDevice.hear`."""

    def speak(self, at: float) -> tuple[list[LineAnswer], float]:
        """Called once when the line comes up and then at each returned time: what it sends, and when to call again."""


@dataclass(frozen=True, slots=True)
class MasterUart:
    """How the master's side is set. check, mark, ignore: INPCK, PARMRK and IGNPAR of termios(3)."""

    settings: SerialSettings
    check: bool = False
    mark: bool = False
    ignore: bool = False


class Delivery(NamedTuple):
    """Octets that the master's program can read from time `at` on."""

    at: float
    octets: bytes


class PlugChange(NamedTuple):
    """The master's adapter was pulled, or came back (under `name`, if it has a new one)."""

    at: float
    plugged: bool
    name: str | None


@dataclass(slots=True)
class LineCounters:
    """What happened on the line so far."""

    requests: int = 0
    """bursts that the master sent"""
    answers: int = 0
    """bursts that devices sent"""
    violations: int = 0
    """requests that began less than t3.5 after a device's last character"""
    collisions: int = 0
    """bursts that began while another party was sending"""
    split: int = 0
    """bursts that a device threw away for a gap of more than t1.5"""
    garbled: int = 0
    """bursts that a device threw away for parity or framing errors"""
    octets_from_master: int = 0
    octets_to_master: int = 0
    octets_lost: int = 0
    """octets for a master that was unplugged, had closed its port or did not read"""
    faults: dict[str, int] = field(default_factory=dict)
    """bursts changed, by name of the fault"""


@dataclass(slots=True)
class _Listener:
    """A device and what its UART has received since the last silence."""

    device: LineDevice
    heard: list[Character] = field(default_factory=list)
    source: int = MASTER
    deadline: float | None = None
    early_s: float | None = None
    split: bool = False
    free_at: float = 0.0


class Line:
    """The line. Drive it with `write` and `advance`; `due` says when to come back.

    strict: a request inside t3.5 is not heard, and one with a gap of more than t1.5 is thrown away, as the standard
    asks; otherwise both are counted only. lenient_uart: devices that ignore parity and framing errors.
    fifo: characters after which the master's UART hands over what it has (0 = whole bursts).
    usb_latency_s: the master reads only at multiples of it (16 ms: the usual default of USB adapters).
    """

    def __init__(
        self,
        settings: SerialSettings,
        devices: Sequence[LineDevice] = (),
        *,
        faults: FaultHook = no_fault,
        strict: bool = True,
        lenient_uart: bool = False,
        fifo: int = UART_FIFO,
        usb_latency_s: float = 0.0,
        seed: int = 0,
        start: float = 0.0,
        name: str = "line",
        tracer: Tracer = no_trace,
    ) -> None:
        self.master = MasterUart(settings, check=settings.parity != "N")
        self.faults = faults
        self.strict = strict
        self.lenient_uart = lenient_uart
        self.fifo = fifo
        self.usb_latency_s = usb_latency_s
        self.name = name
        self.tracer = tracer
        self.counters = LineCounters()
        self.plugged = True
        self._start = start
        self._usb_phase = Random(seed).random() * usb_latency_s  # noqa: S311 - a simulation with a seed
        self._events: list[tuple[float, int, Callable[[float], None]]] = []
        self._order = count()
        self._out: list[Delivery | PlugChange] = []
        self._period = Period()
        self._master_end = -1.0
        self._device_end = -1.0
        self._swallowing = False
        self._listeners: list[_Listener] = []
        for device in devices:
            self.attach(device, start)

    def attach(self, device: LineDevice, at: float) -> None:
        """Put one more device on the line at time `at`."""
        self._listeners.append(_Listener(device))
        index = len(self._listeners) - 1
        if isinstance(device, SpeakingDevice):
            self._at(at, lambda now: self._speak(index, now))

    def write(self, octets: bytes, at: float) -> float:
        """The master hands octets to its UART at time `at`; returns when their last stop bit ends."""
        self._run(at)
        settings = self.master.settings
        start = max(at, self._master_end)
        end = start + len(octets) * settings.character_s
        continues = self._device_end < self._master_end and start - self._master_end < settings.silence_s
        if not continues:
            self.counters.requests += 1
            self._swallowing = start < self._device_end + settings.silence_s - EPSILON
            if self._swallowing:
                self.counters.violations += 1
                self._trace(start, "line.violation", {"early_s": self._device_end + settings.silence_s - start})
        self.counters.octets_from_master += len(octets)
        self._master_end = end
        for burst in self._through_hook("line.from_master", Burst(octets, 0.0, settings, at - self._start)):
            self._send(MASTER, burst, start + burst.delay_s, swallowed=self._swallowing and self.strict)
        return end

    def say(self, octets: bytes, at: float, settings: SerialSettings | None = None) -> None:
        """Somebody who is no device of this line (a babbler, noise) sends octets at time `at`."""
        self._run(at)
        burst = Burst(octets, 0.0, settings or self.master.settings, at - self._start)
        self._send(len(self._listeners), burst, at)

    def unplug(self, at: float, how: Unplug) -> None:
        """Pull the master's adapter at time `at`."""
        if self.plugged:
            self._at(at, lambda now: self._plug(now, how))

    def plug(self, at: float, name: str | None = None) -> None:
        """Put the master's adapter back at time `at`."""
        self._at(at, lambda now: self._replug(now, name))

    def due(self) -> float | None:
        """When `advance` should be called next, as far as known now."""
        return self._events[0][0] if self._events else None

    def advance(self, now: float) -> list[Delivery | PlugChange]:
        """Let time pass up to `now`; returns what reached the master since the last call, in order."""
        self._run(now)
        out, self._out = self._out, []
        return out

    def mismatches(self) -> list[str]:
        """For the reader: which devices are set differently from the master's port, and what that does to the talk."""
        port = self.master.settings
        result = []
        for index, listener in enumerate(self._listeners):
            device = listener.device.settings
            there, back = mismatch(port, device), mismatch(device, port)
            if there or back:
                result.append(
                    f"{self.name}: port {port.baud} {port.format}, device {index} {device.baud} {device.format}: "
                    f"it hears {there or 'well'}, the port hears {back or 'well'}"
                )
        return result

    # -- events ------------------------------------------------------------------------------------------------------

    def _at(self, at: float, what: Callable[[float], None]) -> None:
        heapq.heappush(self._events, (at, next(self._order), what))

    def _run(self, now: float) -> None:
        while self._events and self._events[0][0] <= now:
            at, _, what = heapq.heappop(self._events)
            what(at)

    def _trace(self, at: float, kind: str, data: dict[str, object], raw: bytes = b"") -> None:
        self.tracer(TraceEvent(at, "line", kind, self.name, data, raw))

    # -- sending -----------------------------------------------------------------------------------------------------

    def _through_hook(self, point: str, burst: Burst) -> list[Burst]:
        bursts = self.faults(point, burst)
        if bursts == [burst]:
            return bursts
        names = {name for one in bursts for name in one.broken_by} or {"drop"}
        for name in sorted(names):
            self.counters.faults[name] = self.counters.faults.get(name, 0) + 1
        self.tracer(
            TraceEvent(self._start + burst.at, "fault", point, self.name, {"names": sorted(names)}, burst.octets)
        )
        return bursts

    def _send(self, source: int, burst: Burst, start: float, swallowed: bool = False) -> float:
        """Schedule a burst; returns the end of its last stop bit."""
        if burst.unplug is not None:
            self.unplug(start, burst.unplug)
        if not burst.octets:
            return start
        tx = Tx(source, burst.octets, burst.settings, start, burst.echo, swallowed, burst.early_s)
        self._at(start, lambda at: self._begin(tx, at))
        return tx.end

    def _begin(self, tx: Tx, at: float) -> None:
        if at > self._period.horizon:
            self._period = Period()
        period = self._period
        if at < period.end - EPSILON:
            self.counters.collisions += 1
        if tx.source != MASTER:
            self.counters.answers += 1
            self._device_end = max(self._device_end, tx.end)
        settings = tx.settings
        self._trace(
            at,
            "line.sent",
            {"from": "master" if tx.source == MASTER else tx.source, "baud": settings.baud, "format": settings.format},
            tx.octets,
        )
        if not self.strict:  # forgiving devices frame by content: a new speaker begins a new burst
            for index, listener in enumerate(self._listeners):
                if listener.heard and listener.source != tx.source:
                    listener.deadline = at
                    self._silence(index, at)
        for index, listener in enumerate(self._listeners):
            if index != tx.source and not tx.swallowed and listener.deadline is not None:
                listener.deadline = None  # a start bit ends the silence; what comes is added when it is there
        parties = [self.master.settings, *(one.device.settings for one in self._listeners)]
        extra = period.add(tx, parties)
        self._at(tx.end, lambda now: self._collect(period, tx, now))
        if tx.source != MASTER or tx.echo:
            chunks = range(self.fifo, len(tx.octets), self.fifo) if self.fifo else ()
            for k in chunks:
                self._at(tx.start + k * settings.character_s, lambda now: self._collect_master(period, now))
        if extra:
            self._at(tx.end + extra, lambda now: self._collect(period, tx, now))

    # -- receiving ---------------------------------------------------------------------------------------------------

    def _collect(self, period: Period, tx: Tx, at: float) -> None:
        self._collect_master(period, at)
        for index, listener in enumerate(self._listeners):
            self._collect_device(period, tx, index, listener, at)

    def _collect_master(self, period: Period, at: float) -> None:
        new = period.take(MASTER, self.master.settings, at + EPSILON)
        if not new:
            return
        master = self.master
        octets = as_linux_delivers(new, master.check, master.mark, master.ignore)
        if self.usb_latency_s:
            ticks = ceil((at - self._usb_phase) / self.usb_latency_s - EPSILON)
            self._at(self._usb_phase + ticks * self.usb_latency_s, lambda now: self._deliver(octets, now))
        else:
            self._deliver(octets, at)

    def _deliver(self, octets: bytes, at: float) -> None:
        if self.plugged:
            self.counters.octets_to_master += len(octets)
            self._out.append(Delivery(at, octets))
        else:
            self.counters.octets_lost += len(octets)

    def _collect_device(self, period: Period, tx: Tx, index: int, listener: _Listener, at: float) -> None:
        settings = listener.device.settings
        new = period.take(index, settings, at + EPSILON)
        if not new:
            if listener.heard and listener.deadline is None:
                listener.deadline = at + settings.silence_s
                self._at(listener.deadline, lambda now: self._silence(index, now))
            return
        gap_limit = settings.silence_s * 1.5 / 3.5  # t1.5: 1.5 characters, 750 us above 19200 baud
        last = listener.heard[-1].at if listener.heard else None
        for one in new:
            if last is not None and one.at - settings.character_s - last > gap_limit + EPSILON:
                listener.split = True
            last = one.at
        listener.heard += new
        listener.source = tx.source
        listener.early_s = tx.early_s
        listener.deadline = new[-1].at + (settings.silence_s if tx.early_s is None else tx.early_s)
        self._at(listener.deadline, lambda now: self._silence(index, now))

    def _silence(self, index: int, at: float) -> None:
        """The device's receiver has heard nothing for t3.5: what came is one burst."""
        listener = self._listeners[index]
        if listener.deadline is None or at < listener.deadline - EPSILON:
            return
        heard, split, listener.heard, listener.split, listener.deadline = (
            listener.heard,
            listener.split,
            [],
            False,
            None,
        )
        if split:
            self.counters.split += 1
            if self.strict:
                return
        if not self.lenient_uart and any(one.error for one in heard):
            self.counters.garbled += 1
            return
        answers = listener.device.hear(bytes(one.value for one in heard), at)
        if listener.early_s is not None:
            answers = [replace(one, delay_s=listener.early_s) for one in answers]
        self._answer(index, answers, heard[-1].at, at)

    def _speak(self, index: int, at: float) -> None:
        device = self._listeners[index].device
        if isinstance(device, SpeakingDevice):
            answers, again = device.speak(at)
            self._answer(index, answers, at, at)
            self._at(max(again, at + EPSILON), lambda now: self._speak(index, now))

    def _answer(self, index: int, answers: list[LineAnswer], heard_end: float, at: float) -> None:
        """Send what a device wants to send; one UART sends one burst after the other."""
        listener = self._listeners[index]
        for answer in answers:
            whole = Burst(answer.octets, answer.delay_s, listener.device.settings, at - self._start)
            for burst in self._through_hook("line.to_master", whole):
                start = max(heard_end + burst.delay_s, at, listener.free_at)
                listener.free_at = self._send(index, burst, start)

    # -- the adapter -------------------------------------------------------------------------------------------------

    def _plug(self, at: float, how: Unplug) -> None:
        if not self.plugged:
            return
        self.plugged = False
        self._out.append(PlugChange(at, False, None))
        self._trace(at, "line.unplugged", {"for_s": how.for_s})
        if how.for_s is not None:
            self.plug(at + how.for_s, how.name)

    def _replug(self, at: float, name: str | None) -> None:
        if self.plugged:
            return
        self.plugged = True
        self._out.append(PlugChange(at, True, name))
        self._trace(at, "line.plugged", {"name": name})
