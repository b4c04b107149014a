"""Serve an ASGI application over HTTP/1.1: uvicorn's protocol on `loop.create_server`, without its own main loop.

So it runs wherever an event loop does, in real and in virtual time, several in one process, and installs no signal
handlers.
"""

from __future__ import annotations

import asyncio
import ssl
from datetime import UTC
from email.utils import format_datetime
from types import TracebackType
from typing import Any, Self

import uvicorn
from uvicorn.lifespan.on import LifespanOn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from ports.clock import Clock
from ports.errors import LocalError, RigError


class _Connections(set[Any]):
    """Open connections; says when there is none."""

    def __init__(self) -> None:
        super().__init__()
        self.none_left = asyncio.Event()
        self.none_left.set()

    def add(self, connection: Any) -> None:
        super().add(connection)
        self.none_left.clear()

    def discard(self, connection: Any) -> None:
        super().discard(connection)
        if not self:
            self.none_left.set()


class _State(ServerState):
    """What uvicorn's protocols share; the Date header (RFC 9110, 6.6.1) comes from our clock."""

    def __init__(self, clock: Clock | None) -> None:
        self._clock = clock
        super().__init__()
        self.connections = _Connections()

    @property
    def default_headers(self) -> list[tuple[bytes, bytes]]:
        """Of every response."""
        if self._clock is None:
            return []
        return [(b"date", format_datetime(self._clock.now().astimezone(UTC), usegmt=True).encode("ascii"))]

    @default_headers.setter
    def default_headers(self, _headers: list[tuple[bytes, bytes]]) -> None:
        """Set by the base class only."""


class HttpServer:
    """A running server; `async with` closes it."""

    def __init__(self, state: _State, lifespan: LifespanOn, server: asyncio.Server, scheme: str) -> None:
        self._state = state
        self._lifespan = lifespan
        self._server = server
        self._closed = False
        self.host, self.port = server.sockets[0].getsockname()[:2]
        self.url = f"{scheme}://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    @property
    def requests(self) -> int:
        """How many were answered."""
        return self._state.total_requests

    async def close(self, grace_s: float = 5.0) -> None:
        """Accept nothing more, let running requests finish within `grace_s`, cut the rest; harmless when closed."""
        if self._closed:
            return
        self._closed = True
        self._server.close()
        connections: Any = self._state.connections
        for connection in list(connections):
            connection.shutdown()
        try:
            async with asyncio.timeout(grace_s):
                await connections.none_left.wait()
        except TimeoutError:
            for task in self._state.tasks:
                task.cancel()
            for connection in list(connections):
                connection.transport.abort()
            await connections.none_left.wait()
        if self._state.tasks:
            await asyncio.wait(self._state.tasks)
        await self._server.wait_closed()
        await self._lifespan.shutdown()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class _Protocol(H11Protocol):
    """Hands the client's TLS certificate to the application: ASGI TLS extension, `client_cert_chain` with the leaf."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        tls = transport.get_extra_info("ssl_object")
        der = tls.getpeercert(binary_form=True) if tls else None
        if der:
            self.app = _with_client_certificate(self.app, ssl.DER_cert_to_PEM_cert(der))


def _with_client_certificate(app: Any, pem: str) -> Any:
    async def inner(scope: dict[str, Any], receive: Any, send: Any) -> None:
        extensions = {**scope.get("extensions", {}), "tls": {"client_cert_chain": [pem]}}
        await app({**scope, "extensions": extensions}, receive, send)

    return inner


async def serve_asgi(
    app: Any,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    ssl: ssl.SSLContext | None = None,
    clock: Clock | None = None,
    keep_alive_s: int = 75,
) -> HttpServer:
    """Start to serve an ASGI application; port 0 takes a free one (see `HttpServer.url`).

    ssl: context of the server for HTTPS. clock: where the Date header comes from; without it there is none.
    keep_alive_s: how long an idle connection stays. Raises RigError when the address cannot be had, LocalError when
    the application does not start (its traceback goes to the log "uvicorn.error").
    """
    config = uvicorn.Config(
        app,
        http=H11Protocol,
        ws="none",
        lifespan="auto",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=keep_alive_s,
    )
    config.load()
    lifespan = LifespanOn(config)
    await lifespan.startup()
    if lifespan.should_exit:
        raise LocalError(f"the application for {host}:{port} did not start; see the log")
    state = _State(clock)
    loop = asyncio.get_running_loop()

    def protocol() -> H11Protocol:
        return _Protocol(config=config, server_state=state, app_state=lifespan.state, _loop=loop)

    try:
        server = await loop.create_server(protocol, host, port, ssl=ssl)
    except OSError as error:
        await lifespan.shutdown()
        raise RigError(f"cannot listen on {host}:{port}: {error}") from error
    return HttpServer(state, lifespan, server, "https" if ssl else "http")
