"""What the machines of both roles share: octets in, events out, time as an argument."""

from __future__ import annotations

from typing import Any

from ports.errors import LocalError
from ports.faults import FaultHook, no_fault
from v2g.exi.codec import deviations
from v2g.exi.deviations import Deviation
from v2g.exi.element import Element
from v2g.exi.errors import ExiError
from v2g.exi.generated.sap.types import supportedAppProtocolReq, supportedAppProtocolRes
from v2g.session.channel import Channel
from v2g.session.events import Close, Ended, Event, Ignored, PausedSession, Received, Send, StateChanged
from v2g.session.outbox import Outbox
from v2g.signed_elements import message_name
from v2g.v2gtp import DEFAULT_LENGTH_LIMIT, Frame, HeaderError, PayloadType, SkippedFrame, payload_type_name

HANDSHAKE = "handshake"
CLOSING = "closing"
CLOSED = "closed"

# a request that deviates so has holes where the schema promises values
HOLES = frozenset({"missing", "untyped value", "undefined value", "abstract", "xsi:nil"})


class Machine:
    """One session on one TCP or TLS connection.

    Every call takes the time, in seconds of any monotonic clock, and answers with events in order. Call `update` when
    `deadline` is reached, and whenever something changed that the machine may wait for.
    """

    def __init__(self, *, tls: bool, hook: FaultHook = no_fault, length_limit: int = DEFAULT_LENGTH_LIMIT) -> None:
        self.tls = tls
        self.state = HANDSHAKE
        self.protocol = "sap"
        self.session_id = b""
        self.ended: Ended | None = None
        self._hook = hook
        self._channel = Channel(hook, length_limit)
        self._outbox = Outbox()
        self._events: list[Event] = []
        self._close_at: float | None = None
        self._deaf = False

    @property
    def deadline(self) -> float | None:
        """When `update` has to be called at the latest; None: never, as after the end."""
        if self.state == CLOSED:
            return None
        times = (self._outbox.due, self._close_at, *self._deadlines())
        return min((time for time in times if time is not None), default=None)

    def receive(self, octets: bytes, now: float) -> list[Event]:
        """Octets of the peer."""
        if self.state == CLOSED or self._deaf:
            return self._take(Ignored(f"{len(octets)} octets, the session is over", octets))
        try:
            frames = self._channel.receive(octets)
        except HeaderError as error:
            self._broken(error, now)
            return self._take()
        for frame in frames:
            if self.state == CLOSED:
                break
            self._frame(frame, now)
        return self._take()

    def update(self, now: float) -> list[Event]:
        """Time has passed, or something changed outside."""
        if self.state != CLOSED:
            self._events += self._outbox.take(now)
            if self._close_at is not None and now >= self._close_at:
                self._close("the peer has not closed the connection")
            else:
                self._tick(now)
        return self._take()

    def closed(self, now: float) -> list[Event]:  # noqa: ARG002 - every call takes the time
        """The peer closed the connection, or it broke."""
        if self.state == CLOSED:
            return []
        self._end("lost", "the connection was closed")
        self._change(CLOSED)
        return self._take()

    def abort(self, reason: str, now: float) -> list[Event]:  # noqa: ARG002
        """Our side has to stop at once: unplugged, fault, emergency."""
        if self.state == CLOSED:
            return []
        self._end("aborted", reason)
        self._close(reason)
        return self._take()

    # what the roles fill in

    def _deadlines(self) -> tuple[float | None, ...]:
        raise NotImplementedError

    def _tick(self, now: float) -> None:
        raise NotImplementedError

    def _message(self, name: str, message: Any, found: tuple[Deviation, ...], exi: bytes, now: float) -> None:
        raise NotImplementedError

    def _on_end(self) -> None:
        """Before the session is over."""

    # shared steps

    def _take(self, *more: Event) -> list[Event]:
        events, self._events = [*self._events, *more], []
        return events

    def _emit(self, event: Event) -> None:
        self._events.append(event)

    def _frame(self, frame: Frame, now: float) -> None:
        if isinstance(frame, SkippedFrame) or frame.payload_type != PayloadType.EXI:
            kind = payload_type_name(frame.payload_type)
            self._emit(Ignored(f"payload type {kind} has no place in this session", frame.payload))
            return
        if not frame.payload:
            self._emit(Ignored("a V2GTP frame without payload"))
            return
        try:
            message = self._channel.read(frame)
        except ExiError as error:
            self._emit(Ignored(f"no message of {self._channel.schema}: {error}", frame.payload))
            return
        name = message_name(message)
        if not _is_whole(message):
            self._emit(Ignored(f"{name} is no V2G_Message with header and body", frame.payload))
            return
        found = deviations(message)
        self._emit(Received(name, message, found, frame.payload))
        if self.state == CLOSING:
            self._emit(Ignored(f"{name}: the session is over", frame.payload))
            return
        self._message(name, message, found, frame.payload, now)

    def _send(self, name: str, message: Element, now: float, octets: bytes = b"") -> None:
        for out in self._channel.write(name, message, octets):
            send = Send(out.octets, name, message)
            if out.delay > 0:
                self._outbox.add(now + out.delay, send)
            else:
                self._emit(send)

    def _change(self, state: str) -> None:
        if state != self.state:
            self._emit(StateChanged(self.state, state))
            self.state = state

    def _end(self, outcome: str, reason: str = "", paused: PausedSession | None = None) -> None:
        if self.ended is None:
            self._on_end()
            self.ended = Ended(outcome, reason, paused)
            self._emit(self.ended)

    def _close(self, reason: str) -> None:
        self._close_at = None
        self._change(CLOSED)
        self._emit(Close(reason))

    def _broken(self, error: HeaderError, now: float) -> None:  # noqa: ARG002
        """A header that is none: where the next frame starts is unknown for good."""
        self._deaf = True
        received = error.received
        self._emit(Ignored(str(error), received if isinstance(received, bytes) else b""))


def _is_whole(message: Any) -> bool:
    """Whether it is one of the two kinds of messages; any other element of a schema may start a document too."""
    if isinstance(message, supportedAppProtocolReq | supportedAppProtocolRes):
        return True
    inside = getattr(message, "Body", None)
    return getattr(message, "Header", None) is not None and getattr(inside, "BodyElement", None) is not None


def body(message: Any) -> Any:
    """The body element of a V2G_Message, or a handshake message itself."""
    return (
        message if isinstance(message, supportedAppProtocolReq | supportedAppProtocolRes) else message.Body.BodyElement
    )


def holes(found: tuple[Deviation, ...]) -> str:
    """The first deviation that leaves a value out; "" when there is none."""
    return next((f"{d.kind} at {d.path}: {d.detail}" for d in found if d.kind in HOLES), "")


def required(value: Any, what: str) -> Any:
    """A value that our own side has to have. Raises LocalError."""
    if value is None:
        raise LocalError(f"{what} is missing")
    return value
