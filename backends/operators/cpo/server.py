"""The WebSocket end: stations of both versions on one port, the path names the station (OCPP-J 1.6 and 2.0.1)."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC
from email.utils import format_datetime
from http import HTTPStatus
from typing import Any
from weakref import WeakKeyDictionary

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response

from backends.operators.cpo.faults import CsmsFaults
from backends.operators.cpo.frames import MAX_FRAME, Version
from backends.operators.cpo.link import StationLink
from backends.operators.cpo.settings import Listener, SecurityProfile
from backends.operators.cpo.station_access import AccessRefused, StationAccess, identity_of
from backends.store.database import StoreError
from ports.clock import Clock
from ports.errors import RigError
from ports.trace import TraceEvent, Tracer

NO_SUBPROTOCOL = 1002  # RFC 6455 7.4.1: protocol error
REPLACED = 1008
OPEN_S = 15.0  # for the opening handshake, a slow password hash included
_CHALLENGE = 'Basic realm="OCPP", charset="UTF-8"'  # RFC 7617


@dataclass(frozen=True, slots=True)
class Admitted:
    """Who was let in at the upgrade."""

    station: str
    profile: SecurityProfile


Connect = Callable[[ServerConnection, Admitted, Version], StationLink]
Serve = Callable[[StationLink], Awaitable[None]]


class StationServer:
    """Listens, lets stations in, hands their connections over."""

    def __init__(
        self,
        access: StationAccess,
        connect: Connect,
        run: Serve,
        clock: Clock,
        *,
        name: str,
        ping_s: float,
        faults: CsmsFaults,
        tracer: Tracer,
    ) -> None:
        """connect: makes the link of a connection. run: serves it until it ends. ping_s: see `CpoSettings`."""
        self._access = access
        self._connect = connect
        self._run = run
        self._clock = clock
        self._name = name
        self._ping_s = ping_s
        self._faults = faults
        self._tracer = tracer
        self._admitted: WeakKeyDictionary[ServerConnection, Admitted] = WeakKeyDictionary()
        self._servers: list[Server] = []
        self.urls: list[str] = []

    async def listen(self, listeners: Sequence[Listener]) -> None:
        """Start. Raises RigError when an address cannot be had; nothing listens then."""
        try:
            for listener in listeners:
                await self._listen(listener)
        except OSError as error:
            await self.close()
            raise RigError(f"cannot listen on {listener.host}:{listener.port} for stations: {error}") from error

    async def _listen(self, listener: Listener) -> None:
        server = await serve(
            self._serve,
            listener.host,
            listener.port,
            ssl=listener.ssl,
            subprotocols=[version.value for version in Version],  # type: ignore[misc]
            select_subprotocol=_select,
            process_request=self._admit,
            process_response=self._date,
            compression=None,
            server_header=None,
            max_size=MAX_FRAME,
            ping_interval=self._ping_s,
            ping_timeout=self._ping_s,
            open_timeout=OPEN_S,
            logger=logging.getLogger(__name__),
        )
        self._servers.append(server)
        host, port = next(iter(server.sockets)).getsockname()[:2]
        scheme = "wss" if listener.ssl else "ws"
        self.urls.append(f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}/")

    async def close(self) -> None:
        """Close the connections and stop to listen; harmless when closed."""
        for server in self._servers:
            server.close()
        for server in self._servers:
            await server.wait_closed()

    async def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        tls: Any = connection.transport.get_extra_info("ssl_object")
        certificate = tls.getpeercert(binary_form=True) if tls else None
        station = ""
        try:
            station = identity_of(request.path)
            if self._faults.refuses_connection(station):
                raise AccessRefused(503, "out of order")
            authorization = request.headers.get_all("Authorization")
            account, used = await self._access.admit(
                station, authorization[0] if authorization else "", tls=tls is not None, certificate=certificate
            )
        except AccessRefused as refused:
            self._trace("csms.refused", station, status=refused.status, why=str(refused))
            response = connection.respond(HTTPStatus(refused.status), f"{refused}\n")
            if refused.status == HTTPStatus.UNAUTHORIZED:
                response.headers["WWW-Authenticate"] = _CHALLENGE
            return response
        except StoreError as error:
            self._trace("csms.refused", station, status=503, why=str(error))
            return connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, "try again\n")
        self._admitted[connection] = Admitted(account.identity, used)
        return None

    def _date(self, _connection: ServerConnection, _request: Request, response: Response) -> None:
        """The date of our clock."""
        del response.headers["Date"]
        response.headers["Date"] = format_datetime(self._clock.now().astimezone(UTC), usegmt=True)

    async def _serve(self, connection: ServerConnection) -> None:
        admitted = self._admitted[connection]
        if connection.subprotocol is None:
            self._trace("csms.refused", admitted.station, status=101, why="no common subprotocol")
            return await connection.close(NO_SUBPROTOCOL, "ocpp2.0.1 or ocpp1.6")
        link = self._connect(connection, admitted, Version(connection.subprotocol))
        self._trace("csms.connected", link.station, version=link.version.value, profile=int(admitted.profile))
        try:
            await self._run(link)
        finally:
            self._trace("csms.disconnected", link.station, code=connection.close_code)

    def _trace(self, kind: str, station: str, **data: object) -> None:
        self._tracer(TraceEvent(self._clock.monotonic(), "backend", kind, self._name, {"station": station, **data}))


def _select(_connection: ServerConnection, offered: Sequence[Any]) -> Any:
    """The newest that both know; None ends the connection after the handshake (OCPP-J 1.6 3.3)."""
    return next((version.value for version in reversed(Version) if version.value in offered), None)
