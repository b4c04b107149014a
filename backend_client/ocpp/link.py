"""The link to one CSMS: kept up in the background, and used as backend, authoriser and source of contracts."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from datetime import datetime
from random import Random, SystemRandom
from typing import Any

from backend_client.ocpp import certificate_status, contracts
from backend_client.ocpp.connection import Connection, PostponedCallError, Reply, open_socket
from backend_client.ocpp.dialect import Dialect
from backend_client.ocpp.frames import Call, Payload
from backend_client.ocpp.outages import Outages
from backend_client.ocpp.record_facts import facts_of, rfc3339
from backend_client.ocpp.requests import Desk
from backend_client.ocpp.schemas import check
from backend_client.ocpp.settings import OcppSettings, Version
from backend_client.ocpp.state_file import StateFile
from backend_client.ocpp.v16 import Ocpp16
from backend_client.ocpp.v201 import Ocpp201
from backend_client.ocpp.variables import Variables
from ports.authorisation import Authorisation, AuthorisationRequest
from ports.backend import Ack, SignedRecord
from ports.clock import Clock
from ports.contracts import CertificateStatus, ContractAction, ContractAnswer
from ports.errors import PeerError, RigError
from ports.station import ConnectorNews, Station, StationIdentity
from ports.trace import TraceEvent, Tracer, no_trace

UNNAMED = StationIdentity("Plugbench", "Plugbench", "", "")
JITTER = 0.5  # part of a pause that is cut off at random
LEAST_BOOT_S = 10.0  # pause between two BootNotifications when the CSMS names none
DIALECTS: Mapping[Version, Callable[..., Dialect]] = {Version.V201: Ocpp201, Version.V16: Ocpp16}


class OcppLink:
    """`ports.backend.Backend`, `Authoriser`, `ContractSource` and `CertificateStatusSource` over one connection."""

    def __init__(
        self,
        settings: OcppSettings,
        clock: Clock,
        *,
        station: Station | None = None,
        tracer: Tracer = no_trace,
        random: Random | None = None,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._tracer = tracer
        self._random = random or SystemRandom()
        self._state = StateFile(settings.state_file)
        self._variables = Variables(settings, self._state, clock)
        self._dialect = DIALECTS[settings.version](settings, self._state, self._variables, self._call)
        self._desk = Desk(settings, self._state, self._variables)
        self._station: Station | None = None
        self._connection: Connection | None = None
        self._accepted = asyncio.Event()  # the CSMS has accepted us: everything but queued values may go out
        self._resumed = asyncio.Event()  # queued values may go out, too
        self._outages = Outages()
        self._trouble = ""
        self._failures = 0
        self._boot_reason = "PowerUp"
        self._boot_at = 0.0
        self._news: dict[int, ConnectorNews] = {}
        self._something = asyncio.Event()  # news or security events wait
        self._security_events: list[tuple[str, str, str]] = []
        self._running: asyncio.Task[None] | None = None
        self._asides: set[asyncio.Task[Any]] = set()
        self._unsubscribe: Callable[[], None] = lambda: None
        if station is not None:
            self.attach(station)

    def attach(self, station: Station) -> None:
        """Whose link this is; before `start()`."""
        self._station = self._variables.station = self._desk.station = station

    @property
    def name(self) -> str:
        """Its resource in the rig file."""
        return self._settings.name

    @property
    def ocmf_flag(self) -> str:
        """OCMF table 14."""
        return "OCPP_AUTH_TLS" if self._settings.security_profile >= 2 else "OCPP_AUTH"

    @property
    def is_up(self) -> bool:
        """Whether the CSMS has accepted us on the connection of now."""
        return self._accepted.is_set()

    async def start(self) -> None:
        """Connect in the background, and again after every loss. Raises RigError when the state file is unusable."""
        if self._running is None:
            await self._state.open()
            if self._station is not None:
                self._unsubscribe = self._station.subscribe(self._heard)
            self._running = asyncio.create_task(self._run(), name=f"{self.name} link")

    async def close(self) -> None:
        """Disconnect; harmless when closed. What is undelivered stays with the journal."""
        self._unsubscribe()
        self._unsubscribe = lambda: None
        tasks = {task for task in (self._running, *self._asides) if task is not None}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._state.close()

    # what others ask of it

    async def deliver(self, record: SignedRecord) -> Ack:
        """All messages about a record. Raises PeerError (refused for good) or RigError (send it again)."""
        facts = facts_of(record, self._station)
        await self._wait_for(self._resumed)
        await self._variables.note_meter_key(facts.connector, record.public_key)
        welcome = await self._dialect.deliver(facts, offline=self._outages.cover(facts.value.time))
        if not welcome and self._variables.stops_on_invalid_id and self._station is not None:
            self._trace("ocpp.deauthorised", transaction=record.transaction_id)
            self._aside(self._station.request_stop(record.transaction_id))
        return Ack.STORED

    async def authorise(self, request: AuthorisationRequest) -> Authorisation:
        """Authorize."""
        await self._wait_for(self._accepted, patient=not self._trouble)
        return await self._dialect.authorise(request)

    async def fetch(self, action: ContractAction, exi: bytes, namespace: str, deadline_s: float) -> ContractAnswer:
        """Get15118EVCertificate; sent once."""
        request = contracts.certificate_request(action, exi, namespace)
        answer = await self._plug_and_charge("Get15118EVCertificate", request, deadline_s)
        return contracts.read_certificate_answer(answer)

    async def status(self, certificate: bytes, issuer: bytes, deadline_s: float) -> CertificateStatus:
        """GetCertificateStatus."""
        request = certificate_status.status_request(certificate, issuer)
        answer = await self._plug_and_charge("GetCertificateStatus", request, deadline_s)
        return certificate_status.read_status(answer, certificate, issuer, self._clock.now())

    def report_security_event(self, kind: str, detail: str = "") -> None:
        """kind: as in OCPP 2.0.1 part 2 appendix "Security Events", e.g. "InvalidCsmsCertificate"; kept while away."""
        self._security_events.append((kind, rfc3339(self._clock.now()), detail))
        self._something.set()

    # the connection

    async def _run(self) -> None:
        while True:
            try:
                await self._session()
            except (RigError, PeerError) as error:
                self._trouble = str(error)
            doubled = self._settings.reconnect_first_s * 2.0 ** min(self._failures, 20)
            self._failures += 1
            full = min(self._settings.reconnect_most_s, doubled)
            pause = full * (1 - JITTER * self._random.random())
            self._trace("ocpp.down", why=self._trouble, again_in_s=round(pause, 3))
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
            self._down()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await connection.close()

    async def _talk(self) -> None:
        if self._boot_reason:
            await self._boot()
        self._outages.came_up(self._clock.now())
        self._trace("ocpp.up")
        self._news = {news.number: news for news in (self._station.connectors() if self._station else ())}
        told: dict[int, dict[str, Any]] = {}
        whole = self._dialect.station_status()
        if whole is not None:
            await self._politely(self._dialect.notify(whole, rfc3339(self._clock.now())))
        await self._tell_news(told)
        self._accepted.set()
        self._failures = 0
        if self._trouble:
            await self._clock.sleep(self._settings.resume_delay_s)
        self._resumed.set()
        heartbeat_at = self._clock.monotonic()
        while True:
            await self._tell_news(told)
            if self._clock.monotonic() >= heartbeat_at + self._heartbeat_s:
                heartbeat_at = self._clock.monotonic()
                await self._politely(self._heartbeat())
            left = heartbeat_at + self._heartbeat_s - self._clock.monotonic()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, left)):
                    await self._something.wait()

    @property
    def _heartbeat_s(self) -> float:
        return self._variables.heartbeat_s or float("inf")

    async def _boot(self) -> None:
        """Until the CSMS accepts; nothing else is sent before."""
        identity = self._station.identity if self._station is not None else UNNAMED
        while True:
            await self._clock.sleep(max(0.0, self._boot_at - self._clock.monotonic()))
            answer = await self._dialect.boot(identity, self._boot_reason)
            self._compare_clocks(answer.current_time)
            if answer.status == "Accepted":
                self._boot_reason = ""
                if answer.interval_s > 0:
                    await self._variables.set_heartbeat(answer.interval_s)
                return
            pause = answer.interval_s or LEAST_BOOT_S
            self._boot_at = self._clock.monotonic() + pause
            self._trace("ocpp.not_accepted", status=answer.status, again_in_s=pause)

    async def _heartbeat(self) -> None:
        self._compare_clocks(await self._dialect.heartbeat())

    async def _tell_news(self, told: dict[int, dict[str, Any]]) -> None:
        self._something.clear()
        while self._news:
            number = next(iter(self._news))
            status = self._dialect.connector_status(self._news.pop(number))
            if told.get(number) != status:
                told[number] = status
                await self._politely(self._dialect.notify(status, rfc3339(self._clock.now())))
        while self._security_events:
            await self._politely(self._dialect.security_event(*self._security_events[0]))
            del self._security_events[0]

    async def _politely(self, message: Awaitable[None]) -> None:
        """A refused notification changes nothing; a missing answer ends the connection."""
        try:
            await message
        except (PeerError, PostponedCallError) as error:
            self._trace("ocpp.trouble", why=str(error))

    def _down(self) -> None:
        self._outages.went_down(self._clock.now())
        self._accepted.clear()
        self._resumed.clear()

    def _heard(self, news: ConnectorNews) -> None:
        self._news[news.number] = news
        self._something.set()

    # messages

    async def _call(self, action: str, payload: Payload, message_id: str = "") -> Payload:
        check(self._settings.version, action, payload)
        connection = self._connection
        if connection is None:
            raise RigError(f"{self.name} is not connected: {self._trouble or 'not connected yet'}")
        id_ = message_id or str(uuid.UUID(int=self._random.getrandbits(128), version=4))
        try:
            answer = await connection.call(Call(id_, action, payload))
        except PostponedCallError as error:
            if error.code == "SecurityError" and not self._boot_reason:  # it does not know us (any more): B01.FR.10
                self._boot_reason = "Unknown"
                self._aside(connection.close())
            raise
        check(self._settings.version, action, answer, answer=True)
        return answer

    async def _plug_and_charge(self, action: str, payload: Payload, deadline_s: float) -> Payload:
        try:
            async with asyncio.timeout(deadline_s):
                await self._wait_for(self._accepted, patient=not self._trouble)
                return await self._dialect.plug_and_charge(action, payload)
        except TimeoutError as error:
            raise RigError(f"{self.name} gave no answer to {action} within {deadline_s:g} s") from error

    async def _answer(self, call: Call) -> Reply:
        return await self._desk.answer(call)

    async def _wait_for(self, event: asyncio.Event, *, patient: bool = True) -> None:
        """Raises RigError when it does not come in time, or what ended the link unexpectedly."""
        if self._running is not None and self._running.done():
            self._running.result()
        try:
            async with asyncio.timeout(self._settings.wait_s if patient else 0):
                await event.wait()
        except TimeoutError as error:
            raise RigError(f"{self.name} is away: {self._trouble or 'not connected yet'}") from error

    def _compare_clocks(self, text: str) -> None:
        try:
            offset = (datetime.fromisoformat(text) - self._clock.now()).total_seconds()
        except (ValueError, TypeError):
            self._trace("ocpp.trouble", why=f"currentTime {text[:40]!r} is no time with a zone")
        else:
            self._trace("ocpp.clock", csms_ahead_s=round(offset, 3))

    def _aside(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.create_task(work)
        self._asides.add(task)
        task.add_done_callback(self._asides.discard)

    def _trace(self, kind: str, **data: object) -> None:
        self._tracer(TraceEvent(self._clock.monotonic(), "backend", kind, self.name, data))


def open_ocpp(
    settings: OcppSettings,
    clock: Clock,
    *,
    station: Station | None = None,
    tracer: Tracer = no_trace,
    random: Random | None = None,
) -> OcppLink:
    """A link that is not started yet. station: may be attached later. random: of jitter and message ids."""
    return OcppLink(settings, clock, station=station, tracer=tracer, random=random)
