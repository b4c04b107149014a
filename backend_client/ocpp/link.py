"""The link to one CSMS: kept up in the background, and used as backend, authoriser and source of contracts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import replace
from functools import partial
from random import Random, SystemRandom
from typing import Any

from backend_client.ocpp import certificate_status, contracts
from backend_client.ocpp.certificate_requests import STATION
from backend_client.ocpp.connection import Reply
from backend_client.ocpp.desk import Desk
from backend_client.ocpp.dialect import Dialect
from backend_client.ocpp.frames import Call, Payload
from backend_client.ocpp.hooks import StationHooks
from backend_client.ocpp.presence import Presence
from backend_client.ocpp.record_facts import END, facts_of, rfc3339
from backend_client.ocpp.report import report_pages
from backend_client.ocpp.requests import Handler, Later, answer
from backend_client.ocpp.requests_16 import handlers_16
from backend_client.ocpp.requests_201 import handlers_201
from backend_client.ocpp.settings import OcppSettings, Version
from backend_client.ocpp.state_file import KnownTransaction, StateFile
from backend_client.ocpp.uplink import Uplink
from backend_client.ocpp.v16 import Ocpp16
from backend_client.ocpp.v201 import Ocpp201
from backend_client.ocpp.variables import Variables
from ports.authorisation import Authorisation, AuthorisationRequest
from ports.backend import Ack, SignedRecord
from ports.clock import Clock
from ports.contracts import CertificateStatus, ContractAction, ContractAnswer
from ports.errors import PeerError, PlugbenchError, RigError
from ports.station import Station
from ports.trace import TraceEvent, Tracer, no_trace

NO_HOOKS = StationHooks()
DIALECTS: Mapping[Version, tuple[Callable[..., Dialect], Callable[[Desk], dict[str, Handler]]]] = {
    Version.V201: (Ocpp201, handlers_201),
    Version.V16: (Ocpp16, handlers_16),
}


class OcppLink:
    """`ports.backend.Backend`, `Authoriser`, `ContractSource` and `CertificateStatusSource` over one connection."""

    def __init__(
        self,
        settings: OcppSettings,
        clock: Clock,
        *,
        station: Station | None = None,
        hooks: StationHooks = NO_HOOKS,
        tracer: Tracer = no_trace,
        random: Random | None = None,
    ) -> None:
        """See `open_ocpp`."""
        self._settings = settings
        self._clock = clock
        self._tracer = tracer
        self._state = StateFile(settings.state_file)
        self._variables = Variables(settings, self._state, clock)
        self._uplink = Uplink(settings, clock, tracer, random or SystemRandom())
        dialect, handlers = DIALECTS[settings.version]
        self._dialect = dialect(settings, self._state, self._variables, self._uplink.call)
        self._presence = Presence(clock, self._variables, self._dialect, self._trace)
        self._desk = Desk(
            settings,
            self._state,
            self._variables,
            clock,
            hooks,
            trace=self._trace,
            is_accepting=self._uplink.accepted.is_set,
            report=self._report,
            reconnect=self._uplink.reconnect,
            triggers=self._presence.triggers() | (self._signing_triggers() if hooks.make_csr is not None else {}),
        )
        self._handlers = handlers(self._desk)
        self._variables.on_change = self._presence.wake
        self._station: Station | None = None
        self._started = False
        self._asides: set[asyncio.Task[Any]] = set()
        self._unsubscribe: Callable[[], None] = _nothing
        if station is not None:
            self.attach(station)

    def attach(self, station: Station) -> None:
        """Whose link this is; before `start()`."""
        self._station = self._variables.station = self._desk.station = self._presence.station = station

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
        return self._uplink.accepted.is_set()

    async def start(self) -> None:
        """Connect in the background, and again after every loss. Raises RigError when the state file is unusable."""
        if self._started:
            return
        self._started = True
        await self._state.open()
        if self._settings.security_profile:  # without security nobody listens to its events
            self.report_security_event("StartupOfTheDevice")
        if self._station is not None:
            self._unsubscribe = self._station.subscribe(self._presence.heard)
        self._uplink.start(self._presence, self._answer)

    async def close(self) -> None:
        """Disconnect; harmless when closed. What is undelivered stays with the journal."""
        self._unsubscribe()
        self._unsubscribe = _nothing
        await self._uplink.stop()
        for task in self._asides:
            task.cancel()
        await asyncio.gather(*self._asides, return_exceptions=True)
        await self._state.close()

    # what others ask of it

    async def deliver(self, record: SignedRecord) -> Ack:
        """All messages about a record. Raises PeerError (refused for good) or RigError (send it again)."""
        facts = facts_of(record, self._station)
        await self._uplink.wait_for(self._uplink.resumed)
        await self._variables.note_meter_key(facts.connector, record.public_key)
        offline = self._uplink.outages.cover(facts.value.time)
        try:
            refused = await self._dialect.deliver(facts, offline=offline)
        except PeerError:
            if record.context == END:
                known = self._state.transactions.get(record.transaction_id)
                await self._state.end(known or KnownTransaction(record.transaction_id))
            raise
        if refused and self._variables.stops_on_invalid_id and self._station is not None:
            why = f"deauthorised by {self.name} ({refused})"
            self._trace("ocpp.deauthorised", transaction=record.transaction_id, why=why)
            await self._state.deauthorise(record.transaction_id)
            self._aside(self._station.request_stop(record.transaction_id, why))
        return Ack.STORED

    async def authorise(self, request: AuthorisationRequest) -> Authorisation:
        """Authorize."""
        await self._uplink.wait_for(self._uplink.accepted, patient=False)
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

    async def sign_certificate(self, kind: str = STATION) -> None:
        """Ask for a certificate; it comes with CertificateSigned. Raises RigError, PeerError."""
        csr = await self._desk.make_csr(kind)
        if not await self._dialect.sign_certificate(kind, csr):
            raise PeerError(f"{self.name} signs no {kind}")

    def report_security_event(self, kind: str, detail: str = "") -> None:
        """kind: as in OCPP 2.0.1 part 2 appendix "Security Events", e.g. "TamperDetectionActivated"."""
        self._presence.report_security_event(kind, detail)

    # inside

    async def _plug_and_charge(self, action: str, payload: Payload, deadline_s: float) -> Payload:
        try:
            async with asyncio.timeout(deadline_s):
                await self._uplink.wait_for(self._uplink.accepted, patient=False)
                return await self._dialect.plug_and_charge(action, payload)
        except TimeoutError as error:
            raise RigError(f"{self.name} gave no answer to {action} within {deadline_s:g} s") from error

    async def _answer(self, call: Call) -> Reply:
        reply = await answer(self._settings.version, self._handlers, call)
        then = reply.then
        return reply if then is None else replace(reply, then=lambda: self._quietly(then()))

    async def _quietly(self, work: Awaitable[object]) -> None:
        """What follows an answer; what fails in it is told in the trace."""
        try:
            await work
        except PlugbenchError as error:
            self._trace("ocpp.trouble", why=str(error))

    def _signing_triggers(self) -> dict[str, Callable[[int | None], Later]]:
        return {
            "SignChargingStationCertificate": lambda _: partial(self.sign_certificate, STATION),
            "SignV2GCertificate": lambda _: partial(self.sign_certificate, "V2GCertificate"),
        }

    def _report(self, request_id: int) -> Later:
        async def report() -> None:
            for page in report_pages(self._variables, request_id, rfc3339(self._clock.now())):
                await self._uplink.call("NotifyReport", page)

        return report

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
    hooks: StationHooks = NO_HOOKS,
    tracer: Tracer = no_trace,
    random: Random | None = None,
) -> OcppLink:
    """A link that is not started yet.

    station: may be attached later. hooks: what the CSMS may ask for beyond transactions. random: of jitter and ids.
    """
    return OcppLink(settings, clock, station=station, hooks=hooks, tracer=tracer, random=random)


def _nothing() -> None:
    """What ends a subscription that was never made."""
