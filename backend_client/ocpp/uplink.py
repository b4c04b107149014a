"""Keeps a connection to the CSMS: connects, lets the station present itself, and does it again after every loss."""

from __future__ import annotations

import asyncio
import ssl
import uuid
from collections.abc import Awaitable, Callable
from random import Random
from typing import Protocol

from backend_client.ocpp.connection import Connection, PostponedCallError, Reply, open_socket
from backend_client.ocpp.frames import Call, Payload
from backend_client.ocpp.outages import Outages
from backend_client.ocpp.schemas import check
from backend_client.ocpp.settings import OcppSettings
from ports.clock import Clock
from ports.errors import PeerError, RigError
from ports.trace import TraceEvent, Tracer

JITTER = 0.5  # part of a pause that is cut off at random


class Manners(Protocol):
    """What is said on a new connection, and while it lasts."""

    async def greet(self) -> None:
        """Until the CSMS has accepted the station."""

    async def stay(self) -> None:
        """Heartbeats and news; never returns."""

    def forget(self) -> None:
        """The CSMS does not know us (any more): greet it from the beginning."""

    def distrust(self, why: str) -> None:
        """Its certificate was not good."""


class Uplink:
    """One connection at a time."""

    def __init__(self, settings: OcppSettings, clock: Clock, tracer: Tracer, random: Random) -> None:
        self.outages = Outages()
        self.accepted = asyncio.Event()  # the CSMS has accepted us: everything but queued values may go out
        self.resumed = asyncio.Event()  # queued values may go out, too
        self.trouble = ""
        self._settings = settings
        self._clock = clock
        self._tracer = tracer
        self._random = random
        self._connection: Connection | None = None
        self._failures = 0
        self._running: asyncio.Task[None] | None = None
        self._closing: set[asyncio.Task[None]] = set()

    def start(self, manners: Manners, answer: Callable[[Call], Awaitable[Reply]]) -> None:
        """Begin. answer: of requests of the CSMS."""
        self._manners = manners
        self._answer = answer
        self._running = asyncio.create_task(self._run(), name=f"{self._settings.name} link")

    async def stop(self) -> None:
        """Disconnect; harmless when stopped."""
        tasks = {task for task in (self._running, *self._closing) if task is not None}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def call(self, action: str, payload: Payload, message_id: str = "") -> Payload:
        """`dialect.Caller`: both directions are held to their schemas. Raises PeerError, RigError."""
        version = self._settings.version
        check(version, action, payload)
        connection = self._connection
        if connection is None:
            raise RigError(self._why_away)
        id_ = message_id or str(uuid.UUID(int=self._random.getrandbits(128), version=4))
        try:
            answer = await connection.call(Call(id_, action, payload))
        except PostponedCallError as error:
            if error.code == "SecurityError" and self.accepted.is_set():  # OCPP 2.0.1 part 2, B01.FR.10
                self._manners.forget()
                closing = asyncio.create_task(connection.close())
                self._closing.add(closing)
                closing.add_done_callback(self._closing.discard)
            raise
        check(version, action, answer, answer=True)
        return answer

    async def reconnect(self) -> None:
        """End this connection; the next one comes by itself."""
        if self._connection is not None:
            await self._connection.close()

    async def wait_for(self, event: asyncio.Event, *, patient: bool = True) -> None:
        """Raises RigError when it does not come in time, or what ended the link unexpectedly.

        patient: wait also when the CSMS is known to be away.
        """
        if self._running is not None and self._running.done():
            if self._running.cancelled():
                raise RigError(f"{self._settings.name} is closed")
            self._running.result()
        try:
            async with asyncio.timeout(self._settings.wait_s if patient or not self.trouble else 0):
                await event.wait()
        except TimeoutError as error:
            raise RigError(self._why_away) from error

    @property
    def _why_away(self) -> str:
        return f"{self._settings.name} is away: {self.trouble or 'not connected yet'}"

    async def _run(self) -> None:
        while True:
            try:
                await self._session()
            except (RigError, PeerError) as error:
                self.trouble = str(error)
                if isinstance(error.__cause__, ssl.SSLCertVerificationError):
                    self._manners.distrust(str(error.__cause__))
            doubled = self._settings.reconnect_first_s * 2.0 ** min(self._failures, 20)
            self._failures += 1
            pause = min(self._settings.reconnect_most_s, doubled) * (1 - JITTER * self._random.random())
            self._trace("ocpp.down", why=self.trouble, again_in_s=round(pause, 3))
            await self._clock.sleep(pause)

    async def _session(self) -> None:
        """One connection from its opening to its end. Raises RigError or PeerError, always."""
        socket = await open_socket(self._settings)
        connection = Connection(socket, self._settings, self._clock, self._tracer, self._answer)
        self._connection = connection
        tasks = [asyncio.create_task(connection.run()), asyncio.create_task(self._talk())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                if task.done():
                    task.result()
        finally:
            self._connection = None
            self.outages.went_down(self._clock.now())
            self.accepted.clear()
            self.resumed.clear()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await connection.close()

    async def _talk(self) -> None:
        await self._manners.greet()
        self.outages.came_up(self._clock.now())
        self._trace("ocpp.up")
        again, self.trouble, self._failures = bool(self.trouble), "", 0
        self.accepted.set()
        staying = asyncio.create_task(self._manners.stay())
        try:
            if again:
                await asyncio.wait({staying}, timeout=self._settings.resume_delay_s)
            self.resumed.set()
            await staying
        finally:
            staying.cancel()
            await asyncio.gather(staying, return_exceptions=True)

    def _trace(self, kind: str, **data: object) -> None:
        self._tracer(TraceEvent(self._clock.monotonic(), "backend", kind, self._settings.name, data))
