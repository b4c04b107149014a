"""The station's end of a link: SDP, and TCP and TLS servers whose connections each drive a session machine."""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import Callable, Mapping
from dataclasses import replace

from ports.errors import RigError
from ports.trace import TraceEvent
from v2g import sdp
from v2g.client_hello import ClientHello
from v2g.link.connection import Connection, LinkSettings
from v2g.link.interfaces import Interface
from v2g.link.sdp_server import SdpServer, TlsPolicy
from v2g.link.tls_channel import TlsChannel
from v2g.link.tls_settings import StationContexts, StationTls
from v2g.link.warm_up import warm_up
from v2g.session.events import Event
from v2g.session.machine import Machine

_PORT_TRIES = 50
CLOSE_LIMIT_S = 5.0
"""TCP is down so long after the end, whatever the vehicle does (ISO 15118-2 [V2G2-024], [V2G2-025])."""


class Station:
    """Listens on one link; made by `open`. connections: those that are up now."""

    def __init__(
        self,
        link: Interface,
        settings: LinkSettings,
        make: Callable[[Connection, float], Machine],
        on_event: Callable[[Connection, Event], object],
        policy: TlsPolicy,
        tls: StationTls | None,
    ) -> None:
        if policy is not TlsPolicy.OFF and tls is None:
            raise RigError(f"{link.name}: TLS is {policy}, but no certificate chain and key are given")
        self.link = link
        self.policy = policy
        self.connections: set[Connection] = set()
        self._settings = replace(settings, source=link.name)
        self._make = make
        self._on_event = on_event
        self._contexts = StationContexts(tls) if tls is not None and policy is not TlsPolicy.OFF else None
        self._servers: dict[sdp.Security, asyncio.Server] = {}
        self._sdp: SdpServer | None = None

    @classmethod
    async def open(
        cls,
        link: Interface,
        settings: LinkSettings,
        make: Callable[[Connection, float], Machine],
        on_event: Callable[[Connection, Event], object] = lambda _connection, _event: None,
        *,
        policy: TlsPolicy = TlsPolicy.OFF,
        tls: StationTls | None = None,
        sdp_port: int = sdp.UDP_PORT,
    ) -> Station:
        """Listen. make, on_event: see Connection. sdp_port: 0 takes a free one (tests). Raises RigError."""
        warm_up()
        station = cls(link, settings, make, on_event, policy, tls)
        try:
            if station._contexts is not None:
                await station._listen(sdp.Security.TLS)
            if policy is not TlsPolicy.REQUIRED:
                await station._listen(sdp.Security.NONE)
            station._sdp = await SdpServer.serve(
                link,
                policy,
                station.ports,
                settings.clock,
                settings.tracer,
                limits=settings.limits,
                port=sdp_port,
            )
        except BaseException:
            await station.close()
            raise
        return station

    @property
    def sdp_port(self) -> int:
        """UDP port of SDP."""
        return self._sdp.port if self._sdp is not None else 0

    def ports(self) -> Mapping[sdp.Security, int]:
        """TCP port of each security that can be offered now; TLS only while a certificate is valid."""
        ports = {security: server.sockets[0].getsockname()[1] for security, server in self._servers.items()}
        if sdp.Security.TLS in ports and (problem := self.tls_problem()):
            del ports[sdp.Security.TLS]
            self._trace("tls.unavailable", why=problem, advice="renew the SECC certificate")
        return ports

    def renew(self, tls: StationTls) -> None:
        """Show these chains from the next connection on. Raises RigError for unusable files, and keeps the old ones."""
        if self._contexts is None:
            raise RigError(f"{self.link.name}: there is no TLS to renew")
        self._contexts = StationContexts(tls)
        self._trace("tls.renewed", problem=self.tls_problem())

    def tls_problem(self) -> str:
        """ "" while the station has a chain that is valid now, or needs none; else why not."""
        return self._contexts.problem(self._settings.clock.now()) if self._contexts is not None else ""

    async def close(self, reason: str = "the station shuts down") -> None:
        """Listen no more, end every session, wait until all connections are gone; harmless when closed."""
        if self._sdp is not None:
            self._sdp.close()
        for server in self._servers.values():
            server.close()
        waiting = [connection.closed for connection in self.connections]
        for connection in list(self.connections):
            connection.abort(reason)
        if waiting:
            await asyncio.wait(waiting, timeout=CLOSE_LIMIT_S)
        for server in self._servers.values():
            await server.wait_closed()
        self._servers.clear()

    async def _listen(self, security: sdp.Security) -> None:
        loop = asyncio.get_running_loop()
        host = self.link.host(self.link.address)
        error: OSError | None = None
        for port in random.sample(sdp.TCP_PORTS, _PORT_TRIES):  # the table's range, not the kernel's
            try:
                self._servers[security] = await loop.create_server(lambda: self._accept(security), host, port)
                return
            except OSError as found:
                error = found
        raise RigError(f"{self.link.name}: no TCP port of {host} can be listened on: {error}") from error

    def _accept(self, security: sdp.Security) -> asyncio.Protocol:
        if len(self.connections) >= self._settings.limits.connections:
            self._trace("tcp.limit", why=f"{len(self.connections)} connections are open, no more are taken")
            return _Refusal()
        tls: TlsChannel | None = None
        if security is sdp.Security.TLS:
            tls = TlsChannel(lambda hello: self._context(connection, hello))
        connection = Connection(
            self._settings,
            self._make,
            self._on_event,
            vehicle=False,
            tls=tls,
            on_lost=self.connections.discard,
        )
        self.connections.add(connection)
        return connection

    def _context(self, connection: Connection, hello: ClientHello) -> ssl.SSLContext:
        assert self._contexts is not None  # noqa: S101 - the TLS server runs
        context, why = self._contexts.choose(hello, self._settings.clock.now())
        connection.trace(
            "tls.client_hello",
            ciphers=[f"{cipher:#06x}" for cipher in hello.ciphers],
            groups=list(hello.groups),
            versions=[f"{version:#06x}" for version in hello.versions],
            server_name=hello.server_name,
            trusted_ca_keys=None
            if hello.trusted_ca_keys is None
            else [authority.identifier.hex() for authority in hello.trusted_ca_keys],
            wants_ocsp=hello.wants_ocsp,
            chain=why,
        )
        return context

    def _trace(self, kind: str, **data: object) -> None:
        settings = self._settings
        settings.tracer(TraceEvent(settings.clock.monotonic(), "v2g", kind, self.link.name, data))


class _Refusal(asyncio.Protocol):
    """A connection too many."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        transport.abort()
