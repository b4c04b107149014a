"""One TCP connection between vehicle and station: drives a session machine, through TLS where there is any."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ports.clock import Clock
from ports.errors import PeerError
from ports.trace import TraceEvent, Tracer, no_trace
from v2g.link.alarm import Alarm
from v2g.link.limits import LIMITS, LinkLimits, Rate
from v2g.link.recording import Recorder, no_recording
from v2g.link.session_trace import trace_session_event
from v2g.link.tls_channel import TlsChannel, TlsPeer
from v2g.link.tls_platform import EPHEMERAL_ECDH_CIPHER, STATIC_ECDH, STATIC_ECDH_CIPHER
from v2g.session.events import Close, Event, Ignored, Received, Send
from v2g.session.machine import Machine

HANDSHAKE_LIMIT_S = 18.0
"""TLS has to be up by then: V2G_SECC_CommunicationSetup_Performance_Time (ISO 15118-2 table 110)."""
FLUSH_LIMIT_S = 2.0
"""A peer that does not read gets so long for our last octets; machines close 2 s after the end, TCP ends at 5 s."""
_Step = Callable[[Machine, float], list[Event]]


@dataclass(frozen=True, slots=True)
class LinkSettings:
    """What connections of one link share. source: its name in traces."""

    clock: Clock
    tracer: Tracer = no_trace
    record: Recorder = no_recording
    limits: LinkLimits = LIMITS
    source: str = "v2g"


class Connection(asyncio.Protocol):
    """Octets of a TCP connection into a session machine, its events out.

    make: called with the time when the connection (and TLS) is up; returns the machine. It may keep the connection,
    to call `changed` when something happened that the machine waits for. on_event: sees every event, in order, after
    it was done; what it raises ends this connection only. vehicle: whether we are the vehicle. start: first call.
    """

    def __init__(
        self,
        settings: LinkSettings,
        make: Callable[[Connection, float], Machine],
        on_event: Callable[[Connection, Event], object],
        *,
        vehicle: bool,
        start: _Step = lambda machine, now: machine.update(now),
        tls: TlsChannel | None = None,
        on_lost: Callable[[Connection], object] = lambda _: None,
    ) -> None:
        self.machine: Machine | None = None
        self.closed = asyncio.get_running_loop().create_future()
        self.crash: BaseException | None = None
        self.tls_error: PeerError | None = None
        self.peer_name, self.own_name = "", ""
        self.vehicle = vehicle
        self._settings = settings
        self._clock = settings.clock
        self._make = make
        self._start = start
        self._on_event = on_event
        self._on_lost = on_lost
        self._tls = tls
        self._transport: asyncio.Transport | None = None
        self._alarm = Alarm(self._clock, self._woken)
        self._busy = False
        self._next: list[_Step] = []
        self._frames = Rate(settings.clock, settings.limits.frames_per_second)
        self._given_up = False

    # for the owner

    @property
    def tls(self) -> TlsPeer | None:
        """What TLS agreed on; None without TLS."""
        return self._tls.peer if self._tls is not None else None

    @property
    def is_tls(self) -> bool:
        """Whether it runs over TLS."""
        return self._tls is not None

    def changed(self) -> None:
        """Something changed that the machine may wait for; harmless at any time."""
        self._drive(lambda machine, now: machine.update(now))

    def abort(self, reason: str) -> None:
        """End the session and the connection at once."""
        self._drive(lambda machine, now: machine.abort(reason, now))
        if not self._busy:
            self._close(reason)

    def later(self, seconds: float, call: Callable[[], object]) -> None:
        """Call back in so many seconds, unless the connection is gone by then."""
        loop = asyncio.get_running_loop()
        timer = loop.call_later(max(0.0, seconds), call)
        self.closed.add_done_callback(lambda _: timer.cancel())

    # asyncio

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """TCP is up."""
        self._transport = transport
        self.peer_name, self.own_name = (
            f"[{name[0]}]:{name[1]}" for name in map(transport.get_extra_info, ("peername", "sockname"))
        )
        self.trace("tcp.open", peer=self.peer_name)
        self._settings.record.opened(self, self._clock.monotonic())
        if self._tls is None:
            self._begin()
        else:
            self._alarm.set(self._clock.monotonic() + HANDSHAKE_LIMIT_S)
            self._tls_step(self._tls.start)

    def data_received(self, data: bytes) -> None:
        """Octets, or TLS records."""
        self._settings.record.raw(self, self.vehicle is False, data, self._clock.monotonic())
        if self._tls is None:
            self._clear_received(data)
        else:
            tls = self._tls
            self._tls_step(lambda: self._tls_received(tls, data))

    def eof_received(self) -> None:
        """The peer sends nothing more: a session cannot go on."""

    def connection_lost(self, exc: Exception | None) -> None:
        """TCP is gone."""
        self._alarm.cancel()
        self._transport = None
        self.trace("tcp.closed", peer=self.peer_name, why=str(exc) if exc else "")
        self._settings.record.closed(self, self._clock.monotonic())
        if self.machine is not None:
            self._drive(lambda machine, now: machine.closed(now))
            self._alarm.cancel()
        if not self.closed.done():
            self.closed.set_result(None)
        self._on_lost(self)

    def pause_writing(self) -> None:
        """The peer does not read: let it send nothing more either."""
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """It reads again."""
        if self._transport is not None:
            self._transport.resume_reading()

    # TLS

    def _tls_received(self, tls: TlsChannel, data: bytes) -> None:
        clear = tls.receive(data)
        if self.machine is None and tls.peer is not None:
            self._flush()
            self.trace("tls.established", version=tls.peer.version, cipher=tls.peer.cipher)
            self._begin()
        if clear:
            self._clear_received(clear)
        if tls.peer_closed:
            self._close("the peer closed TLS")

    def _tls_step(self, step: Callable[[], object]) -> None:
        try:
            step()
        except PeerError as error:
            self._tls_failed(error)
        finally:
            self._flush()

    def _tls_failed(self, error: PeerError) -> None:
        self.tls_error = error
        received = error.received if isinstance(error.received, bytes) else error.received.encode()
        self.trace("tls.failed", received, why=f"{error}{self._static_ecdh()}", alert=getattr(error, "alert", ""))
        self._close(str(error))

    def _static_ecdh(self) -> str:
        """A vehicle that offers the other cipher of ISO 15118-2 only cannot be served: say why."""
        hello = self._tls.client_hello if self._tls is not None else None
        if hello is None or STATIC_ECDH_CIPHER not in hello.ciphers or EPHEMERAL_ECDH_CIPHER in hello.ciphers:
            return ""
        return f"; {STATIC_ECDH}"

    def _flush(self) -> None:
        if self._tls is not None and (octets := self._tls.outgoing()):
            self._write_raw(octets)

    # the machine

    def _begin(self) -> None:
        self._alarm.cancel()
        now = self._clock.monotonic()
        try:
            self.machine = self._make(self, now)
        except PeerError as error:  # its certificate, judged by our clock
            self._tls_failed(error)
            return
        except Exception as error:  # noqa: BLE001 - the fault of one session never harms the next
            self._crashed(error)
            return
        self._drive(self._start)

    def _clear_received(self, octets: bytes) -> None:
        self._settings.record.clear(self, self.vehicle is False, octets, self._clock.monotonic())
        self._drive(lambda machine, now: machine.receive(octets, now))

    def _drive(self, step: _Step, now: float | None = None) -> None:
        """One call of the machine; its events are done and shown, and calls made meanwhile come after it."""
        machine = self.machine
        if machine is None:
            return
        self._next.append(step)
        if self._busy:
            return
        self._busy = True
        try:
            while self._next:
                for event in self._next.pop(0)(machine, self._clock.monotonic() if now is None else now):
                    self._do(event)
        except Exception as error:  # noqa: BLE001 - the fault of one session never harms the next
            self._next.clear()
            self._crashed(error)
            return
        finally:
            self._busy = False
        deadline = machine.deadline
        if deadline is not None and self._transport is not None and not self._transport.is_closing():
            self._alarm.set(deadline)

    def _do(self, event: Event) -> None:
        if isinstance(event, Send):
            self._send(event.octets)
        elif isinstance(event, Received | Ignored):
            self._count()
        if self._settings.tracer is not no_trace:
            trace_session_event(self._settings, event, self.peer_name, vehicle=self.vehicle)
        self._on_event(self, event)
        if isinstance(event, Close):
            self._close(event.reason)

    def _count(self) -> None:
        if self._frames.exceeded() and self._transport is not None and not self._transport.is_closing():
            self.trace("tcp.limit", why=f"more than {self._frames.per_second} frames in a second")
            self._close("too many frames")

    def _crashed(self, error: BaseException) -> None:
        """A bug on our side: told in full, and the end of this connection only."""
        self.crash = error
        text = "".join(traceback.format_exception(error))
        self.trace("session.crash", why=f"{type(error).__name__}: {error}", traceback=text)
        context = {"message": f"a session with {self.peer_name} crashed", "exception": error, "protocol": self}
        asyncio.get_running_loop().call_exception_handler(context)
        self._close("crashed")

    # time

    def _woken(self, now: float) -> None:
        if self._given_up:
            if self._transport is not None:
                self._transport.abort()
        elif self.machine is None:
            self.trace("tls.failed", why=f"no TLS after {HANDSHAKE_LIMIT_S:g} s", alert="")
            self._close("TLS took too long")
        elif self.machine.deadline is not None and self.machine.deadline > now:
            self._alarm.set(self.machine.deadline)
        else:
            self._drive(lambda machine, at: machine.update(at), now)

    # out

    def _send(self, octets: bytes) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        self._settings.record.clear(self, self.vehicle, octets, self._clock.monotonic())
        if self._tls is None:
            self._write_raw(octets)
        else:
            self._tls.send(octets)
            self._flush()

    def _write_raw(self, octets: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._settings.record.raw(self, self.vehicle, octets, self._clock.monotonic())
            self._transport.write(octets)

    def _close(self, reason: str) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        if self._tls is not None:
            self._tls.close()
            self._flush()
        self.trace("tcp.close", why=reason)
        self._transport.close()
        self._alarm.cancel()
        self._given_up = True
        self._alarm.set(self._clock.monotonic() + FLUSH_LIMIT_S)

    def trace(self, kind: str, octets: bytes = b"", **data: Any) -> None:
        """Report something about this connection."""
        settings = self._settings
        if settings.tracer is not no_trace:
            settings.tracer(TraceEvent(self._clock.monotonic(), "v2g", kind, settings.source, data, octets))
