"""Modbus RTU master that never takes an answer for another one's.

RTU has no transaction number, so the discipline has to make up for it:

- an answer counts only with the exact device, function, byte count and CRC (`wire.rtu`);
- after a timeout nothing is sent until the late answer has come or the model's late window is over;
- a device that still owes an answer of the same form is first asked something of another form: it answers in
  order, so that answer proves that the older one will not come any more;
- a billing read waits until no copy of an earlier answer of the same form can come any more (two devices with one
  id), and an answer that nobody asked for is an error;
- t3.5 of silence (or what the device wants) before every request, whoever spoke last;
- one owner of the line at a time, billing reads first.
"""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass, field

from meters.bus import AmbiguousAnswerError, Backoff, Call, Timing
from meters.turns import Turns
from ports.errors import LocalError, PeerError, RigError
from ports.serial_line import BytePort
from ports.trace import TraceEvent, Tracer, no_trace
from wire import modbus_pdu, rtu
from wire.modbus_pdu import DeviceRefusedError, ReadRegisters, Request

QUIET_S = 0.020  # USB adapters pause up to 16 ms inside a frame (FTDI latency timer): longer is the end of an answer
QUIET_CHARACTERS = 20
GAP_S = 0.100  # a pause inside an answer that has begun well may be this long even past its deadline
BABBLE_S = 1.0  # a line that is not quiet for so long is broken

log = logging.getLogger(__name__)


@dataclass(slots=True)
class LineCounters:
    """What happened on a line so far; octets for noise and echo, frames for the rest."""

    requests: int = 0
    answers: int = 0
    exceptions: int = 0
    timeouts: int = 0
    late: int = 0
    crc: int = 0
    foreign: int = 0
    early: int = 0
    unasked: int = 0
    noise: int = 0
    echo: int = 0
    opened: int = 0
    syncs: int = 0

    def as_dict(self) -> dict[str, int]:
        """For JSON."""
        return asdict(self)


@dataclass(slots=True)
class _Debts:
    """Requests of one device that were sent and not answered, oldest first."""

    requests: list[Request] = field(default_factory=list)

    def add(self, request: Request) -> None:
        if not self.requests or self.requests[-1] != request:
            self.requests.append(request)

    def owes_like(self, request: Request) -> bool:
        return any(_form(owed) == _form(request) for owed in self.requests)

    def settle(self, request: Request) -> None:
        """An answer of this form came: a device answers in order, so everything before it is settled too."""
        for index, owed in enumerate(self.requests):
            if _form(owed) == _form(request):
                del self.requests[: index + 1]
                return


def _form(request: Request) -> bytes:
    return request.answer_header


class RtuMaster:
    """The only owner of a serial line (`meters.bus.Bus`)."""

    def __init__(self, port: BytePort, tracer: Tracer = no_trace) -> None:
        self._port = port
        self._trace = tracer
        self._turns = Turns()
        self._backoff = Backoff()
        self._last = 0.0  # when the last octet was on the line
        self._hold_until = 0.0  # quarantine
        self._debts: dict[int, _Debts] = {}
        self._answered: dict[tuple[int, bytes], tuple[Request, float]] = {}  # last answer of each form
        self._echoes: bool | None = None
        self._closed = False
        self.counters = LineCounters()

    @property
    def name(self) -> str:
        """The port's name."""
        return self._port.name

    async def transact(
        self, device: int, request: Request, timing: Timing, call: Call | None = None
    ) -> tuple[int, ...]:
        """See `meters.bus.Bus.transact`."""
        call = call or Call()
        async with self._turns.turn(call.priority):
            self._open()
            try:
                await self._serve_quarantine()
                await self._synchronise(device, request, timing, call)
                return modbus_pdu.decode_answer(request, await self._exchange(device, request, timing, call))
            except RigError as error:
                self._lose(error)
                raise

    async def close(self) -> None:
        """Release the port; harmless when closed."""
        self._closed = True
        self._port.close()

    # the line ------------------------------------------------------------------------------------------------

    def _open(self) -> None:
        if self._closed:
            raise LocalError(f"{self.name}: this master was closed")
        if self._port.is_open:
            return
        now = self._port.time()
        self._backoff.check(now, self.name)
        try:
            self._port.open()
        except RigError:
            self._backoff.failed(now)
            raise
        self._backoff.succeeded()
        self.counters.opened += 1
        self._echoes = None  # the adapter may be another one
        self.counters.noise += len(self._port.flush_input())
        self._last = self._port.time()
        self._hold_until = 0.0

    def _lose(self, error: RigError) -> None:
        """The port went away: close it so that the next request opens it anew (a kept descriptor blocks the name)."""
        now = self._port.time()
        self._port.close()
        self._backoff.failed(now)
        self._emit("line.lost", {"error": str(error)})

    async def _silence(self, device: int, request: Request, timing: Timing, call: Call) -> None:
        """Wait until the line was silent for t3.5, and before billing until no copy of an old answer can come.

        What comes meanwhile is thrown away and counted; raises AmbiguousAnswerError when it is an answer.
        """
        gap = max(self._port.settings.silence_s, timing.min_gap_s)
        _, answered = self._answered.get((device, _form(request)), (request, self._last - BABBLE_S))
        until = max(self._last + gap, answered + timing.max_response_s if call.settle else 0.0)
        give_up = until + BABBLE_S
        strays = b""
        while True:
            await self._port.wait_until(until)
            stray = self._port.flush_input()
            if not stray:
                break
            strays += stray
            self._last = self._port.time()
            until = self._last + gap
            if self._last > give_up:
                self.counters.noise += len(strays)
                raise PeerError(f"{self.name}: somebody talks all the time; no silence for {BABBLE_S} s", stray)
        if strays:
            self._check_unasked(strays, device)

    def _check_unasked(self, strays: bytes, device: int) -> None:
        self.counters.noise += len(strays)
        for (sender, _), (request, _) in self._answered.items():
            found = rtu.find_answer(strays, sender, request, final=True)
            if found is not None and not found.is_exception:
                self.counters.unasked += 1
                self._emit("line.unasked", {"device": sender}, strays)
                if sender == device:
                    raise self._ambiguous(device, strays)

    def _ambiguous(self, device: int, octets: bytes) -> AmbiguousAnswerError:
        return AmbiguousAnswerError(
            f"{self.name}: two answers to one request for device {device}: do two devices have this id?", octets
        )

    async def _serve_quarantine(self) -> None:
        """After a failure: send nothing until the late answer has come and ended, or its window is over."""
        buffer = b""
        while self._hold_until > self._port.time() and any(debts.requests for debts in self._debts.values()):
            octets = await self._port.receive(self._hold_until)
            if octets:
                self._last = self._port.time()
            buffer = self._take_late(buffer + octets)
        self.counters.noise += len(buffer)
        self._hold_until = 0.0

    def _take_late(self, buffer: bytes) -> bytes:
        """Settle the debts that are answered in `buffer`; returns the octets after the last such answer."""
        for device, debts in self._debts.items():
            for owed in list(debts.requests):
                found = rtu.find_answer(buffer, device, owed)
                if found is not None:
                    self.counters.late += 1
                    self.counters.noise += found.skipped
                    self._emit("line.late", {"device": device, "request": modbus_pdu.describe(owed)}, found.pdu)
                    debts.settle(owed)
                    return self._take_late(buffer[found.end :])
        return buffer

    # one request -----------------------------------------------------------------------------------------------

    async def _synchronise(self, device: int, request: Request, timing: Timing, call: Call) -> None:
        """While the device may owe an answer that looks like the one to come: ask it something else first."""
        debts = self._debts.setdefault(device, _Debts())
        while debts.owes_like(request):
            other = next((read for read in call.sync if _form(read) != _form(request)), None)
            if other is None:
                return  # nothing else to ask: the late window alone has to do
            self.counters.syncs += 1
            try:
                await self._exchange(device, other, timing, Call(call.priority))
            except DeviceRefusedError:
                return  # it answers, and in order; a refusal cannot say more
            except PeerError as error:
                why = f"asked before {modbus_pdu.describe(request)}, whose last answer may still be on its way"
                raise PeerError(f"{error} ({why})", error.received) from error

    async def _exchange(self, device: int, request: Request, timing: Timing, call: Call) -> bytes:
        """Send and wait for exactly this request's answer; returns its PDU."""
        port = self._port
        if self._echoes is None and request.function == modbus_pdu.WRITE_SINGLE:
            raise LocalError(f"{self.name}: read once before the first write: an echo looks like its answer")
        debts = self._debts.setdefault(device, _Debts())
        frame = rtu.frame(device, modbus_pdu.encode_request(request))
        await self._silence(device, request, timing, call)
        debts.add(request)
        self._hold_until = port.time() + timing.max_response_s + timing.late_window_s  # also when we are cancelled
        sent = self._last = port.write(frame)
        self.counters.requests += 1
        self._emit("line.request", {"device": device}, frame)
        deadline = sent + timing.max_response_s + rtu.answer_size(request) * port.settings.character_s
        self._hold_until = deadline + timing.late_window_s
        found, rest = await self._hear(device, request, frame, sent, deadline, call)
        if call.settle:
            rest += await self._after()
        self._check_alone(rest, device, request)
        self._emit("line.answer", {"device": device}, rtu.frame(device, found.pdu))
        if found.is_exception:
            self.counters.exceptions += 1
            if len(debts.requests) == 1:  # else it may have been the refusal of an older request
                debts.requests.clear()
        else:
            self.counters.answers += 1
            debts.requests.clear()
            self._answered[device, _form(request)] = (request, self._last)
        if not debts.requests:
            self._hold_until = 0.0
        return found.pdu

    async def _hear(
        self, device: int, request: Request, frame: bytes, sent: float, deadline: float, call: Call
    ) -> tuple[rtu.FoundAnswer, bytes]:
        """The answer, and what came after it. Raises PeerError when none comes, as soon as that is sure."""
        may_echo = self._echoes or request.function != modbus_pdu.WRITE_SINGLE  # no other answer equals its request
        skip = rtu.MAX_FRAME if call.max_skip is None else call.max_skip
        buffer, echoed = b"", False
        while True:
            until = self._patience(buffer, device, request, deadline)
            octets = await self._port.receive(until)
            if octets:
                self._last = self._port.time()
                if not buffer and not frame.startswith(octets):
                    self._note_early(octets, sent)
                buffer += octets
                if may_echo and not echoed and buffer.startswith(frame):
                    echoed = True
                    self.counters.echo += len(frame)
                    buffer = buffer[len(frame) :]
                buffer = self._without_late(buffer, device, request)
            found = rtu.find_answer(buffer, device, request, final=not octets, max_skip=skip)
            if found is not None:
                break
            if not octets or self._last > deadline + BABBLE_S:
                raise self._failure(device, request, buffer, until < deadline)
        if isinstance(request, ReadRegisters):
            self._echoes = echoed
        self.counters.noise += found.skipped
        return found, buffer[found.end :]

    @property
    def _quiet_s(self) -> float:
        """A pause that ends whatever somebody says."""
        return max(QUIET_S, QUIET_CHARACTERS * self._port.settings.character_s)

    def _patience(self, buffer: bytes, device: int, request: Request, deadline: float) -> float:
        """Until when to wait for more: shorter when nothing can help any more, longer while a frame is coming."""
        if not buffer:
            return deadline
        seen = rtu.diagnose(buffer, device, request)
        if seen.complete:
            return min(deadline, self._last + self._quiet_s)
        if seen.kind == "truncated":
            return max(deadline, self._last + GAP_S)
        return deadline

    def _without_late(self, buffer: bytes, device: int, request: Request) -> bytes:
        """Take out answers to older requests of any device, as far as their form tells them from the present one."""
        for other, debts in self._debts.items():
            for owed in list(debts.requests):
                if other == device and _form(owed) == _form(request):
                    continue
                found = rtu.find_answer(buffer, other, owed)
                if found is not None and not found.is_exception:
                    self.counters.late += 1
                    debts.settle(owed)
                    buffer = buffer[: found.skipped] + buffer[found.end :]
        return buffer

    def _note_early(self, octets: bytes, sent: float) -> None:
        """Count answers that begin inside t3.5 after the request."""
        began = self._last - len(octets) * self._port.settings.character_s
        if began < sent + 0.9 * self._port.settings.silence_s:
            self.counters.early += 1

    async def _after(self) -> bytes:
        """What follows an answer at once (adapters hand over a whole frame or a full FIFO, not single octets)."""
        octets = await self._port.receive(self._last + self._quiet_s)
        if octets:
            self._last = self._port.time()
        return octets

    def _check_alone(self, rest: bytes, device: int, request: Request) -> None:
        """A second answer behind the first: two devices share the id, and the value may be either's."""
        self.counters.noise += len(rest)
        if rest.find(bytes((device,)) + request.answer_header) >= 0:
            raise self._ambiguous(device, rest)

    def _failure(self, device: int, request: Request, buffer: bytes, early: bool) -> PeerError:
        """Count and describe why there is no answer; leave the quarantine as long as the real one may come."""
        seen = rtu.diagnose(buffer, device, request)
        if seen.settled:
            self._debts[device].requests.clear()
            self._hold_until = 0.0
        if seen.kind == "crc":
            self.counters.crc += 1
        elif seen.kind in ("device", "function", "length"):
            self.counters.foreign += 1
        else:
            self.counters.noise += len(buffer)
        if not early:
            self.counters.timeouts += 1
        self._emit("line.failure", {"device": device, "kind": seen.kind}, buffer)
        settings = self._port.settings
        return PeerError(
            f"{self.name} ({settings.baud} {settings.format}) device {device},"
            f" {modbus_pdu.describe(request)}: {seen.text}",
            buffer,
        )

    def _emit(self, kind: str, data: dict[str, object], raw: bytes = b"") -> None:
        self._trace(TraceEvent(self._port.time(), "line", kind, self.name, data, raw))
