"""The network itself: who listens where, which links lead there, what is on the way."""

from __future__ import annotations

import asyncio
import errno
import random
import socket
import ssl
from asyncio import sslproto
from collections.abc import Callable, Sequence
from typing import Any, TypeVarTuple, Unpack

from hil_rigs.virtual_net.addresses import (
    WILDCARDS,
    Names,
    SockAddr,
    family_of,
    is_multicast,
    normal,
    own_address,
    sockaddr,
)
from hil_rigs.virtual_net.link import CONNECT_FIRST_S, CONNECT_GIVE_UP_S, Link, retransmit_wait
from hil_rigs.virtual_net.server import VirtualServer
from hil_rigs.virtual_net.sockets import VirtualSocket
from hil_rigs.virtual_net.stream import Stream
from hil_rigs.virtual_net.tcp_transport import TcpTransport, os_error
from hil_rigs.virtual_net.udp_transport import UdpTransport
from ports.faults import FaultHook, no_fault

Ts = TypeVarTuple("Ts")

FIRST_FREE_PORT = 49152  # RFC 6335, dynamic ports
_SSL_OPTIONS = ("ssl_handshake_timeout", "ssl_shutdown_timeout")


class VirtualNet:
    """The network of one virtual loop (`loop.net`).

    `link(host)` gives the knobs of a way; `reset()` breaks connections; `names` adds hosts; `fault` sees every
    segment ("net.tcp", at the receiver, octets in order) and datagram ("net.udp", at the sender).
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.names = Names()
        self.random = random.Random(0)  # noqa: S311 - loss, not keys
        self.fault: FaultHook = no_fault
        self._default_link = Link()
        self._links: dict[tuple[str, int | None], Link] = {}
        self._servers: dict[tuple[str, int], VirtualServer] = {}
        self._connections: dict[TcpTransport, tuple[str, int]] = {}
        self._endpoints: list[UdpTransport] = []
        self._next_port = FIRST_FREE_PORT

    # knobs

    def link(self, host: str | None = None, port: int | None = None) -> Link:
        """The way to a host (to one of its ports, or without arguments to everybody); made when first asked for."""
        if host is None:
            return self._default_link
        key = (self.names.addresses(host)[0], port)
        return self._links.setdefault(key, Link())

    def link_for(self, address: str, port: int) -> Link:
        """The link that holds for an address: the most particular one."""
        return self._links.get((address, port)) or self._links.get((address, None)) or self._default_link

    def link_of(self, transport: TcpTransport) -> Link:
        """The link that a connection runs over."""
        server = self._connections.get(transport)
        return self.link_for(*server) if server else self._default_link

    def reset(self, host: str, port: int | None = None) -> int:
        """Reset every connection to a host at both ends (a restarted middlebox); how many connections."""
        address = self.names.addresses(host)[0]
        ends = [end for end, server in self._connections.items() if server[0] == address and port in (None, server[1])]
        for end in ends:
            self.soon(end.reset_arrived)
        return len(ends) // 2

    # time

    def time(self) -> float:
        """Of the loop."""
        return self.loop.time()

    def soon(self, callback: Callable[[Unpack[Ts]], object], *args: *Ts) -> None:
        """Call after what is ready now."""
        self.loop.call_soon(callback, *args)

    def after(self, seconds: float, callback: Callable[[Unpack[Ts]], object], *args: *Ts) -> None:
        """Call later, or soon without delay."""
        if seconds > 0:
            self.loop.call_later(seconds, callback, *args)
        else:
            self.loop.call_soon(callback, *args)

    def send_once(self, seconds: float, link: Link, callback: Callable[[], object]) -> None:
        """Something that nobody sends again when it is lost."""
        if link.passes(self.random):
            self.after(seconds, callback)

    def report(self, context: dict[str, Any]) -> None:
        """An error that nobody waits for."""
        self.loop.call_exception_handler(context)

    # TCP

    def free_port(self) -> int:
        """A port that nobody has had."""
        self._next_port += 1
        return self._next_port - 1

    def stop_listening(self, name: SockAddr) -> None:
        """A server is gone."""
        self._servers.pop((name[0], name[1]), None)

    def forget(self, transport: TcpTransport) -> None:
        """A connection is gone at one end."""
        self._connections.pop(transport, None)

    def tls_protocol(
        self,
        protocol: asyncio.BaseProtocol,
        context: ssl.SSLContext,
        waiter: asyncio.Future[None] | None,
        **options: Any,
    ) -> sslproto.SSLProtocol:
        """asyncio's own TLS around a protocol."""
        return sslproto.SSLProtocol(self.loop, protocol, context, waiter, **options)  # type: ignore[arg-type]

    async def create_server(
        self,
        factory: Callable[[], asyncio.BaseProtocol],
        host: str | Sequence[str] | None = None,
        port: int | None = None,
        *,
        family: int = 0,
        flags: int = socket.AI_PASSIVE,
        start_serving: bool = True,
        **options: Any,
    ) -> VirtualServer:
        """As loop.create_server."""
        context = options.get("ssl")
        if isinstance(context, bool):
            raise TypeError("ssl argument must be an SSLContext or None")
        hosts: Sequence[str | None] = [host] if host is None or isinstance(host, str) else host
        found = [
            info[4]
            for each in hosts
            for info in self.names.getaddrinfo(each, port, family=family, type=socket.SOCK_STREAM, flags=flags)
        ]
        number = port or self.free_port()
        names = [(name[0], number, *name[2:]) for name in dict.fromkeys(found)]
        for name in names:
            if (name[0], number) in self._servers:
                raise OSError(
                    errno.EADDRINUSE,
                    f"error while attempting to bind on address {name}: address already in use (virtual network)",
                )
        sockets = [VirtualSocket(socket.SOCK_STREAM, name) for name in names]
        ssl_options = {key: options[key] for key in _SSL_OPTIONS if options.get(key) is not None}
        server = VirtualServer(self, factory, sockets, context, ssl_options)
        self._servers.update({(name[0], number): server for name in names})
        if start_serving:
            await server.start_serving()
        await asyncio.sleep(0)
        return server

    async def create_connection(
        self,
        factory: Callable[[], asyncio.BaseProtocol],
        host: str | None = None,
        port: int | None = None,
        *,
        ssl: bool | ssl.SSLContext | None = None,
        family: int = 0,
        flags: int = 0,
        local_addr: tuple[str, int] | None = None,
        server_hostname: str | None = None,
        **options: Any,
    ) -> tuple[asyncio.BaseTransport, asyncio.BaseProtocol]:
        """As loop.create_connection: the addresses of a name one after the other."""
        if server_hostname is not None and not ssl:
            raise ValueError("server_hostname is only meaningful with ssl")
        if ssl and server_hostname is None and not host:
            raise ValueError("You must set server_hostname when using ssl without a host")
        infos = self.names.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM, flags=flags)
        errors: list[OSError] = []
        for info in infos:
            try:
                client, server = await self._reach(info[4][0], info[4][1], local_addr)
                break
            except OSError as error:
                errors.append(error)
        else:
            texts = dict.fromkeys(str(error) for error in errors)
            raise errors[0] if len(texts) == 1 else OSError(f"Multiple exceptions: {', '.join(texts)}")
        return await self._finish_connection(client, server, factory, ssl, server_hostname or host, options)

    async def _reach(
        self, address: str, port: int, local_addr: tuple[str, int] | None
    ) -> tuple[SockAddr, tuple[VirtualServer, tuple[str, int]]]:
        """The handshake up to the listener: its address as the client sees it, and the server."""
        began, attempt = self.time(), 0
        while not (link := self.link_for(address, port)).passes(self.random):
            wait = min(retransmit_wait(attempt, CONNECT_FIRST_S), began + CONNECT_GIVE_UP_S - self.time())
            attempt += 1
            await asyncio.sleep(wait)
            if self.time() >= began + CONNECT_GIVE_UP_S:
                raise os_error(errno.ETIMEDOUT)
        await asyncio.sleep(link.latency_s)
        wildcard = WILDCARDS[family_of(address)]
        server = self._servers.get((address, port)) or self._servers.get((wildcard, port))
        if server is None or not server.is_serving() or link.refuse:
            await asyncio.sleep(link.latency_s)
            raise OSError(errno.ECONNREFUSED, f"Connect call failed {(address, port)}: nobody listens there")
        mine = normal(local_addr[0]) if local_addr else own_address(address)
        name = sockaddr(mine, (local_addr[1] if local_addr else 0) or self.free_port())
        return name, (server, (address, port))

    async def _finish_connection(
        self,
        name: SockAddr,
        reached: tuple[VirtualServer, tuple[str, int]],
        factory: Callable[[], asyncio.BaseProtocol],
        context: bool | ssl.SSLContext | None,
        hostname: str | None,
        options: dict[str, Any],
    ) -> tuple[asyncio.BaseTransport, asyncio.BaseProtocol]:
        server, at = reached
        protocol = factory()
        tls: sslproto.SSLProtocol | None = None
        waiter: asyncio.Future[None] = self.loop.create_future()
        if context:
            tls_context = ssl.create_default_context() if context is True else context
            timeouts = {key: options[key] for key in _SSL_OPTIONS if options.get(key) is not None}
            tls = self.tls_protocol(protocol, tls_context, waiter, server_hostname=hostname, **timeouts)
        peer_name = sockaddr(*at)
        client = TcpTransport(self, tls or protocol, name, peer_name)
        far = TcpTransport(self, server.protocol(), peer_name, name, server)
        to_server = Stream(self, at, far.received, client.drained, client.timed_out)
        to_client = Stream(self, at, client.received, far.drained, far.timed_out)
        client.connect_ends(far, to_server, to_client)
        far.connect_ends(client, to_client, to_server)
        self._connections[client] = self._connections[far] = at
        far.start()
        try:
            await asyncio.sleep(self.link_for(*at).latency_s)
            client.start()
            if tls is None:
                self.soon(_set_unless_done, waiter)
            await waiter
        except BaseException:
            client.abort()
            raise
        return (tls._app_transport if tls else client), protocol  # noqa: SLF001 - as asyncio itself

    # UDP

    async def create_datagram_endpoint(
        self,
        factory: Callable[[], asyncio.DatagramProtocol],
        local_addr: tuple[str, int] | None = None,
        remote_addr: tuple[str, int] | None = None,
        *,
        family: int = 0,
        reuse_port: bool | None = None,
        **_options: Any,
    ) -> tuple[UdpTransport, asyncio.DatagramProtocol]:
        """As loop.create_datagram_endpoint."""
        remote = self._datagram_address(remote_addr, family)
        local = self._datagram_address(local_addr, family)
        if local is None:
            kind = family_of(remote[0]) if remote else socket.AddressFamily(family or socket.AF_INET)
            local = sockaddr(own_address(remote[0]) if remote else WILDCARDS[kind], 0)
        name = (local[0], local[1] or self.free_port(), *local[2:])
        if not reuse_port and any(endpoint.name == name for endpoint in self._endpoints):
            raise OSError(errno.EADDRINUSE, f"address already in use: {name} (virtual network)")
        protocol = factory()
        transport = UdpTransport(self, protocol, name, remote)
        self._endpoints.append(transport)
        self.soon(protocol.connection_made, transport)
        await asyncio.sleep(0)
        return transport, protocol

    def _datagram_address(self, address: tuple[str, int] | None, family: int) -> SockAddr | None:
        if address is None:
            return None
        return self.names.getaddrinfo(address[0], address[1], family=family, type=socket.SOCK_DGRAM)[0][4]

    def forget_endpoint(self, endpoint: UdpTransport) -> None:
        """An endpoint is gone."""
        self._endpoints.remove(endpoint)

    def send_datagram(self, octets: bytes, source: SockAddr, target: SockAddr, sender: UdpTransport) -> None:
        """Put datagrams on the way."""
        link = self.link_for(target[0], target[1])
        for unit in self.fault("net.udp", octets):
            if link.passes(self.random):
                self.after(link.latency_s, self._datagram_arrives, unit, source, target, sender)

    def _datagram_arrives(self, octets: bytes, source: SockAddr, target: SockAddr, sender: UdpTransport) -> None:
        takers = [endpoint for endpoint in self._endpoints if endpoint.accepts(source, target)]
        if is_multicast(target[0]):
            for taker in takers:
                taker.received(octets, source)
        elif takers:
            takers[0].received(octets, source)
        else:
            self.after(self.link_for(target[0], target[1]).latency_s, sender.unreachable)


def _set_unless_done(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
