"""One connection of a station: calls of the station are answered in their order, our own go out one at a time."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from random import Random
from typing import Any, Protocol
from uuid import UUID

from websockets.exceptions import ConnectionClosed

from backends.operators.cpo.frames import (
    UNKNOWN_ID,
    Call,
    ErrorCode,
    Failure,
    Frame,
    FrameError,
    Result,
    Version,
    check_call,
    check_result,
    elements,
    read_frame,
    write_frame,
)
from backends.operators.cpo.redaction import redacted
from ports.clock import Clock
from ports.errors import LocalError, PeerError, PlugbenchError, RigError
from ports.trace import TraceEvent, Tracer

MAX_WAITING = 64  # calls of a station that has not waited for our answers (one is allowed: OCPP-J 1.6 4.1.1)
UNSUPPORTED_DATA = 1003  # RFC 6455 7.4.1
LOG = logging.getLogger(__name__)


class Socket(Protocol):
    """What is needed of a WebSocket connection."""

    async def recv(self) -> str | bytes:
        """The next message. Raises ConnectionClosed."""

    async def send(self, message: str, /) -> None:
        """Send a text message. Raises ConnectionClosed."""

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close it."""


Handle = Callable[["StationLink", Call], Awaitable[Frame | None]]
"""Answers a call that is valid by its schema; None = nothing is sent. Raises FrameError, PlugbenchError."""


class CallRefused(PeerError):
    """The station answered with a CALLERROR, or with what is no valid answer."""


class StationLink:
    """A connected station."""

    def __init__(
        self,
        socket: Socket,
        station: str,
        version: Version,
        handle: Handle,
        clock: Clock,
        *,
        name: str,
        random: Random,
        call_timeout_s: float,
        tracer: Tracer,
    ) -> None:
        self._socket = socket
        self.station = station
        self.version = version
        self._handle = handle
        self._clock = clock
        self._name = name
        self._random = random
        self._call_timeout_s = call_timeout_s
        self._tracer = tracer
        self._waiting: asyncio.Queue[Call] = asyncio.Queue(MAX_WAITING)
        self._one_call = asyncio.Lock()
        self._asked: dict[str, asyncio.Future[Result | Failure]] = {}

    async def run(self) -> None:
        """Read and answer until the connection ends."""
        worker = asyncio.create_task(self._serve())
        reader = asyncio.create_task(self._read())
        try:
            await asyncio.wait((worker, reader), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (worker, reader):
                task.cancel()
            await asyncio.wait((worker, reader))
            for answer in self._asked.values():
                answer.cancel()
        for task in (worker, reader):
            if not task.cancelled() and (error := task.exception()) is not None:
                raise error

    async def call(self, action: str, payload: Mapping[str, Any]) -> Mapping[str, Any]:
        """Ask the station; one call is under way at a time.

        Raises LocalError (our payload is not valid), CallRefused, RigError (no answer in time, connection lost).
        """
        async with self._one_call:
            call = Call(str(UUID(int=self._random.getrandbits(128), version=4)), action, payload)
            try:
                check_call(call, self.version)
            except FrameError as error:
                raise LocalError(f"{action} for {self.station} is not valid: {error}") from None
            answer: asyncio.Future[Result | Failure] = asyncio.get_running_loop().create_future()
            self._asked[call.message_id] = answer
            try:
                await self._send(call)
                said = await self._within(answer)
            finally:
                del self._asked[call.message_id]
        if isinstance(said, Failure):
            raise CallRefused(f"{self.station} answered {action} with {said.code}: {said.description}"[:500])
        try:
            check_result(said, action, self.version)
        except FrameError as error:
            raise CallRefused(f"{self.station}: {error}") from None
        return said.payload

    async def close(self, code: int = 1001, reason: str = "") -> None:
        """Close the connection; harmless when closed. code: RFC 6455 7.4.1."""
        await self._socket.close(code, reason)

    async def _within(self, answer: asyncio.Future[Result | Failure]) -> Result | Failure:
        late = asyncio.ensure_future(self._clock.sleep(self._call_timeout_s))
        try:
            await asyncio.wait((answer, late), return_when=asyncio.FIRST_COMPLETED)
            if answer.cancelled():
                raise RigError(f"{self.station} disconnected before it answered")
            if not answer.done():
                raise RigError(f"{self.station} did not answer within {self._call_timeout_s:g} s")
            return answer.result()
        finally:
            answer.cancel()
            late.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await late

    async def _read(self) -> None:
        with contextlib.suppress(ConnectionClosed):
            while True:
                text = await self._socket.recv()
                if isinstance(text, bytes):
                    return await self._socket.close(UNSUPPORTED_DATA, "OCPP-J is text")
                await self._received(text)

    async def _received(self, text: str) -> None:
        try:
            frame = read_frame(text)
        except FrameError as error:
            self._trace("csms.unreadable", {"station": self.station, "why": str(error), "text": text[:200]})
            # OCPP-J 1.6 has no answer to what is no call
            if self.version is not Version.V16 or error.failure.message_id != UNKNOWN_ID:
                await self._send(error.failure)
            return
        self._trace_frame("csms.received", frame)
        if isinstance(frame, Call):
            await self._waiting.put(frame)
            return
        answer = self._asked.get(frame.message_id)
        if answer is not None and not answer.done():
            answer.set_result(frame)

    async def _serve(self) -> None:
        with contextlib.suppress(ConnectionClosed):
            while True:
                call = await self._waiting.get()
                answer = await self._answer(call)
                if answer is not None:
                    await self._send(answer)

    async def _answer(self, call: Call) -> Frame | None:
        try:
            check_call(call, self.version)
            answer = await self._handle(self, call)
            if isinstance(answer, Result):
                self._check_ours(answer, call.action)
        except FrameError as error:
            return Failure(call.message_id, error.code, error.failure.description, {})
        except PlugbenchError as error:  # nothing was kept, the station will send it again
            LOG.warning("%s of %s is not answered: %s", call.action, self.station, error)
            return Failure(call.message_id, ErrorCode.INTERNAL, str(error)[:255], {})
        return answer

    def _check_ours(self, answer: Result, action: str) -> None:
        try:
            check_result(answer, action, self.version)
        except FrameError as error:
            raise LocalError(f"our answer to {action} is not valid: {error}") from None

    async def _send(self, frame: Frame) -> None:
        self._trace_frame("csms.sent", frame)
        try:
            await self._socket.send(write_frame(frame, self.version))
        except ConnectionClosed:
            if isinstance(frame, Call):
                raise RigError(f"{self.station} is not connected any more") from None
            raise

    def _trace_frame(self, kind: str, frame: Frame) -> None:
        self._trace(kind, {"station": self.station, "message": redacted(elements(frame, self.version))})

    def _trace(self, kind: str, data: Mapping[str, object]) -> None:
        self._tracer(TraceEvent(self._clock.monotonic(), "backend", kind, self._name, data))
