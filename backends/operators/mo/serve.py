"""A mobility operator that runs: one server for partners, hub and app, and what its staff does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from random import Random, SystemRandom
from typing import TypeVar
from uuid import UUID

import sqlalchemy as sa
from starlette.applications import Starlette

from backends.faults import BackendFaults, no_backend_fault
from backends.http_server import HttpServer, serve_asgi
from backends.operators.mo import customers, key_database
from backends.operators.mo.app_routes import App
from backends.operators.mo.cdrs import CdrReceiver
from backends.operators.mo.customers import Status
from backends.operators.mo.evidence import Evidence, evidence
from backends.operators.mo.logins import Logins
from backends.operators.mo.ocpi_routes import MODULES, MoOcpi
from backends.operators.mo.oicp_routes import MoOicp
from backends.operators.mo.pulling import Pulled, pull_cdrs
from backends.operators.mo.remote import RemoteControl
from backends.operators.mo.settings import MoSettings
from backends.operators.ocpi_server import OcpiServer
from backends.operators.oicp_server import OicpServer
from backends.sealing import hash_secret
from backends.store.database import Database
from ports.clock import Clock
from ports.trace import Tracer, no_trace

T = TypeVar("T")


class RunningMo:
    """url: of everything. cdrs: what receives and judges. remote: start and stop for customers."""

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
        self.settings = settings
        self.database = database
        self.cdrs = cdrs
        self.remote = remote
        self.url = server.url
        self._clock = clock
        self._random = random
        self._server = server

    @property
    def versions_url(self) -> str:
        """Where OCPI partners begin."""
        return f"{self.url}/ocpi/versions"

    async def add_customer(self, login: str, name: str, secret: str) -> str:
        """The customer's id. Raises CustomerError."""
        new_id = str(UUID(int=self._random.getrandbits(128), version=4))
        with self._clock.hold():
            hashed = await asyncio.to_thread(hash_secret, secret)
        await self._write(lambda connection: customers.add_customer(connection, new_id, login, name, hashed))
        return new_id

    async def add_contract(self, customer: str, emaid: str, valid_from: datetime, valid_to: datetime) -> None:
        """A contract with its app token. Raises CustomerError; Refused when it is no EMAID."""
        app = f"APP{self._random.getrandbits(64):016X}"  # 19 characters: an idTag of OCPP 1.6 has 20
        begins, ends = int(valid_from.timestamp()), int(valid_to.timestamp())

        def work(connection: sa.Connection, at: int) -> None:
            customers.add_contract(connection, customer, emaid, begins, ends, at)
            customers.add_token(connection, emaid, app, "APP_USER", at)

        await self._write(lambda connection: work(connection, self._now()))

    async def add_card(self, emaid: str, uid: str) -> None:
        """A card of a contract. uid: as readers write it, hexadecimal. Raises CustomerError."""
        await self._write(lambda connection: customers.add_token(connection, emaid, uid, "RFID", self._now()))

    async def set_contract(self, emaid: str, status: Status) -> None:
        """Block, revoke, allow again. Raises CustomerError."""
        await self._write(lambda connection: customers.set_contract(connection, emaid, self._now(), status=status))

    async def set_card(self, uid: str, status: Status) -> None:
        """Block a card, allow it again. Raises CustomerError."""
        await self._write(lambda connection: customers.set_token(connection, uid, status, self._now()))

    async def register_key(
        self,
        public_key: str,
        valid_from: datetime,
        *,
        meter: str = "",
        gateway: str = "",
        evse: str = "",
        valid_to: datetime | None = None,
        source: str = "registered",
    ) -> int:
        """Trust a key; what waited for it is judged, the number of charge details decided is returned.

        Raises KeyFormatError, LocalError.
        """
        await self._write(
            lambda connection: key_database.register_key(
                connection,
                public_key,
                valid_from,
                meter=meter,
                gateway=gateway,
                evse=evse,
                valid_to=valid_to,
                source=source,
            )
        )
        return await self.cdrs.judge_waiting()

    async def end_key(self, public_key: str, at: datetime, *, revoked: bool = False) -> None:
        """Trust it no longer. Raises UnknownKeyError."""
        await self._write(lambda connection: key_database.end_key(connection, public_key, at, revoked=revoked))

    async def pull(self, operator: str, since: datetime, until: datetime) -> Pulled:
        """Fetch the CDRs of a partner ("DECPO") that were made in this time. Raises RigError, PeerError."""
        return await pull_cdrs(self.remote.session(operator), operator, self.cdrs, since, until)

    async def evidence(self, bill_id: str) -> Evidence:
        """What proves a bill. Raises NoSuchBillError."""
        return await self.database.read(lambda connection: evidence(connection, bill_id))

    async def close(self) -> None:
        """Stop serving; the database stays open. Harmless when closed."""
        await self._server.close()
        await self.remote.close()

    async def _write(self, work: Callable[[sa.Connection], T]) -> T:
        return await self.database.write(work)

    def _now(self) -> int:
        return int(self._clock.now().timestamp())


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
