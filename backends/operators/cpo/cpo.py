"""A charge point operator, brought up: the end of OCPP, the ledger, the outbox, the operator's API."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from backend_client.opcp import OpcpClient
from backends.cpo_receiver import CpoReceiver
from backends.guarded_http import GuardedHttp
from backends.http_server import HttpServer, serve_asgi
from backends.operators.cpo.authorisation import AuthorisationDesk
from backends.operators.cpo.certificate_status import StatusDesk
from backends.operators.cpo.contract_check import ContractCheck, ContractRoots
from backends.operators.cpo.contract_requests import ContractDesk
from backends.operators.cpo.csms import Csms
from backends.operators.cpo.dispatch import dispatcher
from backends.operators.cpo.enrolment import V2G, Enroller, EnrolmentDesk, PoolEnroller
from backends.operators.cpo.faults import CsmsFaults, NoCsmsFaults
from backends.operators.cpo.frames import Version
from backends.operators.cpo.link import Socket, StationLink
from backends.operators.cpo.ocpi_platform import OcpiPlatform, OcpiSettings, RunningOcpi
from backends.operators.cpo.operator_api import operator_api
from backends.operators.cpo.outbox import Outbox
from backends.operators.cpo.remote import RemoteControl
from backends.operators.cpo.server import REPLACED, Admitted, StationServer
from backends.operators.cpo.settings import CpoSettings
from backends.operators.cpo.station_access import StationAccess
from backends.operators.cpo.stations import StationBook
from backends.operators.cpo.tables import prepare
from backends.operators.cpo.transactions import Transactions
from backends.pki.revocation import RevocationChecker
from backends.pools.revocation import AskedRevocation
from backends.store.database import Database
from ports.authorisation import Authoriser
from ports.charge_detail import ChargeDetailSink
from ports.clock import Clock
from ports.trace import Tracer, no_trace


@dataclass(slots=True)
class RunningCpo:
    """What runs. urls: that stations append their identity to, one per listener. api_url: "" when it is not served.

    ocpi: for mobility operators, None when it was not asked for.
    """

    urls: Sequence[str]
    api_url: str
    csms: Csms
    remote: RemoteControl
    outbox: Outbox
    ocpi: RunningOcpi | None
    _server: StationServer = field(repr=False)
    _delivery: asyncio.Task[None] = field(repr=False)
    _http: GuardedHttp = field(repr=False)
    _api: HttpServer | None = field(repr=False)

    @property
    def url(self) -> str:
        """Of the first listener."""
        return self.urls[0]

    async def disconnect(self, station: str = "") -> None:
        """Close the connection of a station, of all without one."""
        for link in [link for name, link in self.csms.links.items() if station in {"", name}]:
            await link.close()

    async def close(self) -> None:
        """Let nobody in, end the connections and the deliveries; the database stays open. Harmless when closed."""
        if self._api is not None:
            await self._api.close()
        if self.ocpi is not None:
            await self.ocpi.close()
        await self._server.close()
        for task in (self._delivery, *self.csms.tasks):
            task.cancel()
        for task in (self._delivery, *self.csms.tasks):
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await self.outbox.close()
        await self._http.close()


async def serve_cpo(
    settings: CpoSettings,
    database: Database,
    clock: Clock,
    *,
    authorisers: Sequence[Authoriser] = (),
    contracts: OpcpClient | None = None,
    sinks: Mapping[str, ChargeDetailSink] | None = None,
    enrollers: Mapping[str, Enroller] | None = None,
    ocpi: OcpiSettings | None = None,
    faults: CsmsFaults | None = None,
    tracer: Tracer = no_trace,
    random: Random | None = None,
) -> RunningCpo:
    """Bring a CPO up.

    database: any; the CPO's tables are made where they are missing. authorisers: asked in this order until one knows
    the identification. contracts: client of the pools, with the role CPO. sinks: who gets charge details, by name; the
    names are kept, so they stay the same from start to start. enrollers: by use, over those of the pools.
    ocpi: mobility operators may start and stop, fetch their CDRs, and hear of sessions as they go; their authorisers
    and sinks are among the others. faults: for tests. random: of message ids and pauses. Raises RigError, StoreError.
    """
    drawn = random or Random()  # noqa: S311 - ids and pauses, not keys
    takers = dict(sinks or {})
    await database.write(prepare)
    http = GuardedHttp(allowed=settings.networks)
    book = StationBook(database, clock)
    access = StationAccess(settings.accounts(), book, clock, strangers=settings.strangers)
    outbox = Outbox(database, takers, clock, drawn, name=settings.name, tracer=tracer)
    platform = ocpi and OcpiPlatform(ocpi, database, clock, access.account, name=settings.name, tracer=tracer)
    transactions = Transactions(
        database,
        CpoReceiver(database, clock, name=settings.name, tracer=tracer),
        clock,
        name=settings.name,
        sinks=list(takers),
        account=access.account,
        on_billed=outbox.wake,
        on_change=platform.live.changed if platform else lambda _station, _transaction: None,
        tracer=tracer,
    )
    status = StatusDesk(http, settings.revocation, clock)
    revocation = AskedRevocation(RevocationChecker(http=http, rules=settings.revocation), clock)
    roots = ContractRoots(settings.contract_roots, contracts, clock)
    check = ContractCheck(roots, revocation, status, settings.revocation, clock, settings.ocsp_deadline_s)
    issuing = ({V2G: PoolEnroller(contracts)} if contracts else {}) | dict(enrollers or {})
    csms = Csms(
        settings=settings,
        clock=clock,
        access=access,
        stations=book,
        transactions=transactions,
        authorisation=AuthorisationDesk(authorisers, check, clock, settings.name, tracer),
        contracts=ContractDesk(contracts, clock, settings.name, tracer, settings.contract_deadline_s),
        certificate_status=status,
        enrolment=EnrolmentDesk(issuing, clock, settings.name, tracer),
    )
    hook = faults or NoCsmsFaults()
    handle = dispatcher(csms, hook)

    def connect(socket: Socket, admitted: Admitted, version: Version) -> StationLink:
        return StationLink(
            socket,
            admitted.station,
            version,
            handle,
            clock,
            name=settings.name,
            random=drawn,
            call_timeout_s=settings.call_timeout_s,
            tracer=tracer,
        )

    async def run(link: StationLink) -> None:
        before = csms.links.get(link.station)
        csms.links[link.station] = link
        if before is not None:  # the station has come back before its old connection was found to be dead
            csms.start(before.close(REPLACED, "connected again"))
        try:
            await book.connected(link.station, link.version.value)
            await link.run()
        finally:
            if csms.links.get(link.station) is link:
                del csms.links[link.station]

    server = StationServer(
        access, connect, run, clock, name=settings.name, ping_s=settings.ping_s, faults=hook, tracer=tracer
    )
    remote, api, partners = RemoteControl(csms.links, drawn), None, None
    try:
        await server.listen(settings.listeners)
        if settings.api_token:
            app = operator_api(csms, remote, database, settings.api_token)
            api = await serve_asgi(app, settings.api_host, settings.api_port, clock=clock)
        if platform:
            partners = await platform.serve(csms, remote)
    except BaseException:
        if api is not None:
            await api.close()
        await server.close()
        await http.close()
        raise
    delivery = asyncio.create_task(outbox.run())
    return RunningCpo(server.urls, api.url if api else "", csms, remote, outbox, partners, server, delivery, http, api)
