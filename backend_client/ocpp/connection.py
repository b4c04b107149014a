"""One WebSocket to a CSMS, from its handshake to its end: one CALL in flight, requests answered one after the other."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI

from backend_client.ocpp.frames import Call, Frame, FrameError, Payload, Refusal, Result, decode, encode
from backend_client.ocpp.redaction import redacted
from backend_client.ocpp.schemas import code_of
from backend_client.ocpp.security import headers, tls_context
from backend_client.ocpp.settings import OcppSettings
from ports.clock import Clock
from ports.errors import PeerError, RigError
from ports.trace import TraceEvent, Tracer

MAX_WAITING_CALLS = 32  # requests of the CSMS; it may have one in flight, so more is a fault
MAX_ANSWERED = 64  # requests whose answers are remembered, for repetitions
_LOG = logging.getLogger("plugbench.ocpp")  # the library's own; silent unless somebody listens
_LOG.addHandler(logging.NullHandler())
_LOG.propagate = False

# what a repetition of the same message cannot change (OCPP 2.0.1 part 4, table 7; 1.6J table 7)
REFUSED_FOR_GOOD = frozenset(
    {
        "FormatViolation",
        "FormationViolation",
        "PropertyConstraintViolation",
        "OccurrenceConstraintViolation",
        "OccurenceConstraintViolation",
        "TypeConstraintViolation",
        "ProtocolError",
        "RpcFrameworkError",
        "MessageTypeNotSupported",
        "NotImplemented",
        "NotSupported",
    }
)


class RefusedCallError(PeerError):
    """CALLERROR that a repetition cannot change."""


class PostponedCallError(RigError):
    """CALLERROR that may be another answer next time; `code` says which."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Reply:
    """A handler's answer to a request of the CSMS; `then` runs after it was sent."""

    frame: Frame
    then: Callable[[], Coroutine[Any, Any, Any]] | None = None


class _Connect(connect):
    def process_redirect(self, exc: Exception) -> Exception:
        """Credentials go where the settings say, nowhere else."""
        return exc


async def open_socket(settings: OcppSettings) -> ClientConnection:
    """Connect and shake hands. Raises RigError: nobody there, refused, another subprotocol."""
    try:
        socket = await _Connect(
            settings.endpoint,
            subprotocols=[settings.version.subprotocol],  # type: ignore[list-item]  # a NewType of str
            additional_headers=headers(settings),
            ssl=tls_context(settings),
            compression=None,
            proxy=None,
            max_size=settings.max_message,
            open_timeout=settings.open_timeout_s,
            ping_interval=settings.ping_s or None,
            ping_timeout=settings.message_timeout_s,
            close_timeout=5.0,
            logger=_LOG,
            user_agent_header="Plugbench",
        )
    except (OSError, TimeoutError, InvalidHandshake, InvalidURI, UnicodeError) as error:  # the last: names of hosts
        raise RigError(f"CSMS {settings.endpoint}: {type(error).__name__} {error}".rstrip()) from error
    if socket.subprotocol != settings.version.subprotocol:
        await socket.close()
        raise RigError(f"CSMS {settings.endpoint} does not speak {settings.version.subprotocol}")
    return socket


class Connection:
    """Calls of ours and requests of the CSMS over one socket. `run()` reads until it ends."""

    def __init__(
        self,
        socket: ClientConnection,
        settings: OcppSettings,
        clock: Clock,
        tracer: Tracer,
        on_call: Callable[[Call], Awaitable[Reply]],
    ) -> None:
        self._socket = socket
        self._settings = settings
        self._clock = clock
        self._tracer = tracer
        self._on_call = on_call
        self._turn = asyncio.Lock()
        self._pending: tuple[str, asyncio.Future[Frame | None]] | None = None
        self._requests: asyncio.Queue[Call] = asyncio.Queue(MAX_WAITING_CALLS)
        self._answered: OrderedDict[str, tuple[Call, Frame]] = OrderedDict()
        self._after: set[asyncio.Task[None]] = set()
        self._closed = False

    async def call(self, call: Call) -> Payload:
        """Send, when it is our turn, and wait for the answer.

        Raises RefusedCallError, PostponedCallError, RigError (no answer). Who is cancelled meanwhile leaves the CALL in
        flight: the next one goes out after its answer or its timeout, as the standard wants it.
        """
        await self._turn.acquire()
        if self._closed:
            self._turn.release()
            raise RigError(f"{self._settings.name}: the connection has ended")
        answer: asyncio.Future[Frame | None] = asyncio.get_running_loop().create_future()
        patience = asyncio.get_running_loop().call_later(self._settings.message_timeout_s, _resolve, answer, None)

        def end_turn(_answer: asyncio.Future[Frame | None]) -> None:
            patience.cancel()
            self._pending = None
            self._turn.release()

        answer.add_done_callback(end_turn)
        self._pending = (call.id, answer)
        try:
            await self._send(call)
        except RigError:
            _resolve(answer, None)
            raise
        frame = await asyncio.shield(answer)
        if isinstance(frame, Result):
            return frame.payload
        if isinstance(frame, Refusal):
            message = f"{self._settings.name} refused {call.action} with {frame.code}: {frame.description}".rstrip(": ")
            if frame.code in REFUSED_FOR_GOOD:
                raise RefusedCallError(message, encode(frame)[:2000])
            raise PostponedCallError(message, frame.code)
        limit = f"within {self._settings.message_timeout_s:g} s" if not self._closed else "before the connection ended"
        raise RigError(f"{self._settings.name} gave no answer to {call.action} {limit}")

    async def run(self) -> None:
        """Read and answer until the connection ends. Raises RigError, always, or what a handler could not foresee."""
        reader = asyncio.create_task(self._read(), name=f"{self._settings.name} reader")
        worker = asyncio.create_task(self._answer_requests(), name=f"{self._settings.name} requests")
        try:
            await asyncio.wait({reader, worker}, return_when=asyncio.FIRST_COMPLETED)
            for task in (worker, reader):
                if task.done():
                    task.result()
        finally:
            self._closed = True
            if self._pending is not None:
                _resolve(self._pending[1], None)
            for task in {reader, worker, *self._after}:
                task.cancel()
            await asyncio.gather(reader, worker, *self._after, return_exceptions=True)

    async def close(self) -> None:
        """Close handshake; harmless when closed."""
        await self._socket.close()

    async def _read(self) -> None:
        try:
            async for text in self._socket:
                await self._take(text)
            why = f"closed by the CSMS ({self._socket.close_code} {self._socket.close_reason})"
        except ConnectionClosed as error:
            why = str(error)
        raise RigError(f"CSMS {self._settings.endpoint}: {why}")

    async def _take(self, text: str | bytes) -> None:
        try:
            frame = decode(text)
        except FrameError as error:
            self._trace("ocpp.received", str(text)[: self._settings.max_message], refused=str(error))
            await self._send(Refusal(error.id, code_of(self._settings.version, "RpcFrameworkError"), str(error)))
            return
        self._trace("ocpp.received", str(text))
        if isinstance(frame, Call):
            try:
                self._requests.put_nowait(frame)
            except asyncio.QueueFull:
                await self._send(Refusal(frame.id, "GenericError", f"{MAX_WAITING_CALLS} requests wait already"))
        elif self._pending is not None and self._pending[0] == frame.id:
            _resolve(self._pending[1], frame)
        else:
            self._trace("ocpp.unexpected", str(text))

    async def _answer_requests(self) -> None:
        while True:
            call = await self._requests.get()
            before = self._answered.get(call.id)
            if before is not None and before[0] == call:  # delivered twice: done once
                reply = Reply(before[1])
            else:
                reply = await self._on_call(call)
            self._answered[call.id] = (call, reply.frame)
            if len(self._answered) > MAX_ANSWERED:
                self._answered.popitem(last=False)
            with contextlib.suppress(RigError):  # the reader tells that the connection has ended
                await self._send(reply.frame)
            if reply.then is not None:
                task = asyncio.create_task(reply.then(), name=f"{self._settings.name} follow-up")
                self._after.add(task)
                task.add_done_callback(self._after.discard)

    async def _send(self, frame: Frame) -> None:
        text = encode(frame)
        self._trace("ocpp.sent", text)
        try:
            await self._socket.send(text)
        except ConnectionClosed as error:
            raise RigError(f"{self._settings.name}: {error}") from error

    def _trace(self, kind: str, text: str, **more: object) -> None:
        data = {"message": redacted(text), **more}
        self._tracer(TraceEvent(self._clock.monotonic(), "backend", kind, self._settings.name, data))


def _resolve(answer: asyncio.Future[Frame | None], frame: Frame | None) -> None:
    if not answer.done():
        answer.set_result(frame)
