"""A vehicle manufacturer that runs: webhooks, vehicles, and what its staff does."""

from __future__ import annotations

import asyncio
import contextlib
from random import Random

from starlette.applications import Starlette

from backend_client.opcp import OpcpClient
from backends.faults import BackendFaults, no_backend_fault
from backends.http_server import HttpServer, serve_asgi
from backends.operators.oem.contracts import EVENTS, Contracts, note
from backends.operators.oem.routes import WEBHOOK_PATH, OemRoutes
from backends.operators.oem.settings import OemSettings
from backends.operators.oem.vehicles import Vehicle, Vehicles
from backends.store.database import Database
from backends.webhook_receiver import WebhookReceiver
from ports.clock import Clock
from ports.errors import PeerError, RigError
from ports.trace import TraceEvent, Tracer, no_trace

MARK = "plugbench-actor"  # in the metadata of our webhook endpoints


class RunningOem:
    """url: of webhooks and vehicles. vehicles, contracts: what the staff works with."""

    def __init__(
        self,
        settings: OemSettings,
        database: Database,
        clock: Clock,
        tracer: Tracer,
        pools: OpcpClient,
        vehicles: Vehicles,
        contracts: Contracts,
        routes: OemRoutes,
        server: HttpServer,
        news: asyncio.Event,
    ) -> None:
        """news: set when there is something to fetch."""
        self.settings = settings
        self.database = database
        self.vehicles = vehicles
        self.contracts = contracts
        self.url = server.url
        self._clock = clock
        self._tracer = tracer
        self._pools = pools
        self._routes = routes
        self._server = server
        self._news = news
        self._worker = asyncio.create_task(self._work())

    async def add_vehicle(self, pcid: str) -> str:
        """A new vehicle; its token, which is told once. Raises Refused, VehicleRefused."""
        return await self.vehicles.add(pcid, self.settings.namespace)

    async def vehicle(self, pcid: str) -> Vehicle | None:
        """One of ours."""
        return next((one for one in await self.vehicles.all() if one.pcid.upper() == pcid.upper()), None)

    async def sync(self) -> None:
        """Ask the pools for everything that webhooks may have missed, and fetch it. Raises OpcpError, RigError."""
        for vehicle in await self.vehicles.all():
            if vehicle.certificate:
                await self.contracts.sync(vehicle.pcid, vehicle.namespace)
        await self.contracts.fetch_missing()

    async def register_webhooks(self) -> None:
        """One endpoint at the pools, with a new secret that is kept in memory alone. Raises OpcpError, RigError."""
        for endpoint in await self._pools.endpoints():
            if endpoint.metadata.get(MARK) == self.settings.name:
                await self._pools.delete_endpoint(endpoint.id)
        url = f"{self.settings.url or self.url}{WEBHOOK_PATH}"
        made = await self._pools.add_endpoint(url, EVENTS, metadata={MARK: self.settings.name})
        self._routes.webhooks = WebhookReceiver(
            self.database,
            self._clock,
            self.settings.name,
            made.secret,
            lambda connection, event: note(connection, event, int(self._clock.now().timestamp())),
        )

    async def close(self) -> None:
        """Stop serving; the endpoint at the pools stays and is replaced at the next start. Harmless when closed."""
        await self._server.close()
        self._worker.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._worker

    async def _work(self) -> None:
        """Fetch what was announced; from time to time everything."""
        while True:
            due = self.settings.sync_s or None
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(due):
                    await self._news.wait()
            try:
                if self._news.is_set():
                    self._news.clear()
                    await self.contracts.fetch_missing()
                else:
                    await self.sync()
            except (PeerError, RigError) as error:
                data = {"why": str(error)}
                self._tracer(TraceEvent(self._clock.monotonic(), "backend", "oem.sync", self.settings.name, data))


async def serve_oem(
    settings: OemSettings,
    database: Database,
    clock: Clock,
    pools: OpcpClient,
    tracer: Tracer = no_trace,
    random: Random | None = None,  # noqa: ARG001 - as every actor; nothing here is drawn
    *,
    faults: BackendFaults = no_backend_fault,
) -> RunningOem:
    """database: opened with `tables.prepare`. pools: a client of the role OEM, not closed with it. faults: of webhooks.

    Raises RigError (no address, no pools) and OpcpError.
    """
    vehicles = Vehicles(database, clock, pools, settings.edition)
    contracts = Contracts(database, clock, pools)
    news = asyncio.Event()
    routes = OemRoutes(
        vehicles,
        contracts,
        clock,
        source=settings.name,
        after_webhook=news.set,
        tracer=tracer,
        faults=faults,
    )
    server = await serve_asgi(
        Starlette(routes=routes.routes()), settings.host, settings.port, ssl=settings.tls, clock=clock
    )
    running = RunningOem(settings, database, clock, tracer, pools, vehicles, contracts, routes, server, news)
    try:
        if settings.webhooks:
            await running.register_webhooks()
        await running.sync()
    except BaseException:
        await running.close()
        raise
    return running
