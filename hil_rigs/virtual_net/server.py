"""A listening server in memory."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hil_rigs.virtual_net.sockets import VirtualSocket

if TYPE_CHECKING:
    from hil_rigs.virtual_net.network import VirtualNet
    from hil_rigs.virtual_net.tcp_transport import TcpTransport


class VirtualServer(asyncio.AbstractServer):
    """What `loop.create_server` returns in virtual time; `wait_closed` waits for the connections too."""

    def __init__(
        self,
        net: VirtualNet,
        factory: Callable[[], asyncio.BaseProtocol],
        sockets: list[VirtualSocket],
        ssl_context: ssl.SSLContext | None,
        ssl_options: dict[str, Any],
    ) -> None:
        self._net = net
        self._factory = factory
        self._sockets: list[VirtualSocket] | None = sockets
        self._ssl_context = ssl_context
        self._ssl_options = ssl_options
        self._transports: dict[TcpTransport, None] = {}
        self._idle = asyncio.Event()
        self._idle.set()
        self._closed = asyncio.Event()
        self._serving = False

    @property
    def sockets(self) -> tuple[VirtualSocket, ...]:
        """One for each address."""
        return tuple(self._sockets or ())

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """Its loop."""
        return self._net.loop

    def is_serving(self) -> bool:
        """Whether it accepts connections."""
        return self._serving

    async def start_serving(self) -> None:
        """Accept from now on."""
        if self._sockets is None:
            raise RuntimeError(f"server {self!r} is closed")
        self._serving = True

    async def serve_forever(self) -> None:
        """Accept until cancelled or closed."""
        await self.start_serving()
        try:
            await self._closed.wait()
            raise asyncio.CancelledError
        finally:
            self.close()
            await self.wait_closed()

    def close(self) -> None:
        """Accept nothing more; connections stay."""
        if self._sockets is None:
            return
        for sock in self._sockets:
            self._net.stop_listening(sock.getsockname())
            sock.close()
        self._sockets = None
        self._serving = False
        self._closed.set()

    def close_clients(self) -> None:
        """Close every connection."""
        for transport in list(self._transports):
            transport.close()

    def abort_clients(self) -> None:
        """Abort every connection."""
        for transport in list(self._transports):
            transport.abort()

    async def wait_closed(self) -> None:
        """Wait until it is closed and the last connection is gone."""
        await self._closed.wait()
        await self._idle.wait()

    def protocol(self) -> asyncio.BaseProtocol:
        """Of a new connection: the application's, inside TLS where the server has it."""
        protocol = self._factory()
        if self._ssl_context is None:
            return protocol
        return self._net.tls_protocol(protocol, self._ssl_context, None, server_side=True, **self._ssl_options)

    def attach(self, transport: TcpTransport) -> None:
        """A connection begins."""
        self._transports[transport] = None
        self._idle.clear()

    def detach(self, transport: TcpTransport) -> None:
        """A connection is gone."""
        self._transports.pop(transport, None)
        if not self._transports:
            self._idle.set()
