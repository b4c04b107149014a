"""A mobility operator that runs: one server for its partners."""

from __future__ import annotations

from random import Random, SystemRandom

from starlette.applications import Starlette

from backends.faults import BackendFaults, no_backend_fault
from backends.http_server import HttpServer, serve_asgi
from backends.operators.mo.cdrs import CdrReceiver
from backends.operators.mo.ocpi_routes import MODULES, MoOcpi
from backends.operators.mo.settings import MoSettings
from backends.operators.ocpi_server import OcpiServer
from backends.store.database import Database
from ports.clock import Clock
from ports.trace import Tracer, no_trace


class RunningMo:
    """url: of everything. cdrs: what receives and judges."""

    def __init__(self, settings: MoSettings, database: Database, cdrs: CdrReceiver, server: HttpServer) -> None:
        self.settings = settings
        self.database = database
        self.cdrs = cdrs
        self.url = server.url
        self._server = server

    @property
    def versions_url(self) -> str:
        """Where OCPI partners begin."""
        return f"{self.url}/ocpi/versions"

    async def close(self) -> None:
        """Stop serving; the database stays open. Harmless when closed."""
        await self._server.close()


async def serve_mo(
    settings: MoSettings,
    database: Database,
    clock: Clock,
    tracer: Tracer = no_trace,
    random: Random | None = None,
    *,
    faults: BackendFaults = no_backend_fault,
) -> RunningMo:
    """database: opened with `tables.prepare`. random: of ids. faults: of what partners send. Raises RigError."""
    random = random or SystemRandom()
    cdrs = CdrReceiver(database, clock, settings, random, tracer)
    ocpi = OcpiServer(settings.partners, MODULES, clock, source=settings.name, tracer=tracer, faults=faults)
    app = Starlette(routes=MoOcpi(settings, database, clock, random, cdrs).routes(ocpi))
    server = await serve_asgi(app, settings.host, settings.port, ssl=settings.tls, clock=clock)
    return RunningMo(settings, database, cdrs, server)
