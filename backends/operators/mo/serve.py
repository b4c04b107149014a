"""A mobility operator that runs: one server for partners, hub and app, and what its staff does."""

from __future__ import annotations

from datetime import datetime
from random import Random, SystemRandom

from starlette.applications import Starlette

from backends.faults import BackendFaults, no_backend_fault
from backends.http_server import HttpServer, serve_asgi
from backends.operators.mo.app_routes import App
from backends.operators.mo.cdrs import CdrReceiver
from backends.operators.mo.logins import Logins
from backends.operators.mo.ocpi_routes import MODULES, MoOcpi
from backends.operators.mo.oicp_routes import MoOicp
from backends.operators.mo.pulling import Pulled, pull_cdrs
from backends.operators.mo.remote import RemoteControl
from backends.operators.mo.settings import MoSettings
from backends.operators.mo.staff import MoStaff
from backends.operators.ocpi_server import OcpiServer
from backends.operators.oicp_server import OicpServer
from backends.store.database import Database
from ports.clock import Clock
from ports.trace import Tracer, no_trace


class RunningMo(MoStaff):
    """url: of everything. remote: start and stop for customers."""

    def __init__(
        self,
        settings: MoSettings,
        database: Database,
        clock: Clock,
        random: Random,
        cdrs: CdrReceiver,
        remote: RemoteControl,
        server: HttpServer,
    ) -> None:
        super().__init__(database, clock, random, cdrs)
        self.settings = settings
        self.remote = remote
        self.url = server.url
        self._server = server

    @property
    def versions_url(self) -> str:
        """Where OCPI partners begin."""
        return f"{self.url}/ocpi/versions"

    async def pull(self, operator: str, since: datetime, until: datetime) -> Pulled:
        """Fetch the CDRs of a partner ("DECPO") that were made in this time. Raises RigError, PeerError."""
        return await pull_cdrs(self.remote.session(operator), operator, self.cdrs, since, until)

    async def close(self) -> None:
        """Stop serving; the database stays open. Harmless when closed."""
        await self._server.close()
        await self.remote.close()


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
    modules = MoOcpi(settings, database, clock, random, cdrs)
    remote = RemoteControl(settings, database, clock, random, modules.token)
    ocpi = OcpiServer(settings.partners, MODULES, clock, source=settings.name, tracer=tracer, faults=faults)
    certificates = {settings.hub_certificate.lower(): "hub"} if settings.hub_certificate else None
    oicp = OicpServer(clock, source=settings.name, certificates=certificates, tracer=tracer, faults=faults)
    routes = [
        *modules.routes(ocpi),
        *MoOicp(settings, database, clock, random, cdrs).routes(oicp),
        *App(database, Logins(database, clock, settings.login_s), remote).routes(),
    ]
    server = await serve_asgi(Starlette(routes=routes), settings.host, settings.port, ssl=settings.tls, clock=clock)
    remote.url = settings.url or server.url
    return RunningMo(settings, database, clock, random, cdrs, remote, server)
