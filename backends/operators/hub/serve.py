"""A roaming hub that runs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from random import Random, SystemRandom

from starlette.applications import Starlette

from backend_client.oicp_session import OicpSession
from backends.faults import BackendFaults, no_backend_fault
from backends.http_server import HttpServer, serve_asgi
from backends.operators.hub.forwarding import Forwarder
from backends.operators.hub.routes import HubServices
from backends.operators.hub.routing import Router, plain
from backends.operators.hub.settings import HubSettings
from backends.operators.oicp_server import OicpServer
from backends.store.database import Database
from ports.clock import Clock
from ports.trace import Tracer, no_trace


class RunningHub:
    """url: of the OICP services, without /api. forwarder: what brings records to providers."""

    def __init__(
        self,
        settings: HubSettings,
        database: Database,
        forwarder: Forwarder,
        providers: Mapping[str, OicpSession],
        server: HttpServer,
    ) -> None:
        self.settings = settings
        self.database = database
        self.forwarder = forwarder
        self.url = server.url
        self._providers = providers
        self._server = server
        self._runner = asyncio.create_task(forwarder.run())

    async def close(self) -> None:
        """Stop serving and forwarding; the database stays open. Harmless when closed."""
        await self._server.close()
        self._runner.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._runner
        for session in self._providers.values():
            await session.close()


async def serve_hub(
    settings: HubSettings,
    database: Database,
    clock: Clock,
    tracer: Tracer = no_trace,
    random: Random | None = None,
    *,
    faults: BackendFaults = no_backend_fault,
) -> RunningHub:
    """database: opened with `tables.prepare`. random: of SessionIDs. faults: of what partners send. Raises RigError."""
    random = random or SystemRandom()
    providers = {
        plain(one.id): OicpSession(one.url, ca_file=settings.ca_file, client_certificate=settings.client_certificate)
        for one in settings.providers
    }
    operators = {plain(one.id): one for one in settings.operators}
    certificates = {one.certificate.lower(): plain(one.id) for one in settings.operators if one.certificate}
    certificates |= {one.certificate.lower(): plain(one.id) for one in settings.providers if one.certificate}
    server = OicpServer(
        clock,
        source=settings.name,
        certificates=certificates if settings.certificates else None,
        tracer=tracer,
        faults=faults,
    )
    forwarder = Forwarder(settings, database, clock, providers, tracer)
    router = Router(operators, providers, settings.provider_timeout_s)
    services = HubServices(settings, database, clock, random, router, forwarder)
    app = Starlette(routes=services.routes(server))
    running = await serve_asgi(app, settings.host, settings.port, ssl=settings.tls, clock=clock)
    return RunningHub(settings, database, forwarder, providers, running)
