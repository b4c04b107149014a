"""UDP in memory, multicast included."""

from __future__ import annotations

import asyncio
import errno
import socket
from typing import TYPE_CHECKING, Any

from hil_rigs.virtual_net.addresses import WILDCARDS, SockAddr, family_of, is_multicast, normal, own_address, sockaddr
from hil_rigs.virtual_net.sockets import VirtualSocket
from hil_rigs.virtual_net.tcp_transport import os_error

if TYPE_CHECKING:
    from hil_rigs.virtual_net.network import VirtualNet

LARGEST = 65507  # 65535 less the headers of IPv4 and UDP


class UdpTransport(asyncio.DatagramTransport):
    """A UDP endpoint. Groups are joined with setsockopt on `get_extra_info("socket")`, as on a real one."""

    def __init__(
        self, net: VirtualNet, protocol: asyncio.DatagramProtocol, name: SockAddr, remote: SockAddr | None
    ) -> None:
        self.socket = VirtualSocket(socket.SOCK_DGRAM, name, remote)
        super().__init__({"socket": self.socket, "sockname": name, "peername": remote})
        self._net = net
        self._protocol = protocol
        self.name = name
        self._remote = remote
        self._closing = False

    def sendto(self, data: bytes | bytearray | memoryview, addr: Any = None) -> None:
        """Send one datagram; to the remote address when none is given."""
        if not isinstance(data, bytes | bytearray | memoryview):
            raise TypeError(f"data argument must be a bytes-like object, not {type(data).__name__!r}")
        if self._remote is not None and addr not in (None, self._remote):
            raise ValueError(f"Invalid address: must be None or {self._remote}")
        target = self._remote or addr
        if target is None:
            raise ValueError("no address to send to")
        if self._closing:
            return
        if len(data) > LARGEST:
            self._net.soon(self._protocol.error_received, os_error(errno.EMSGSIZE))
            return
        host = normal(target[0])
        mine = self.name[0] if self.name[0] not in WILDCARDS.values() else own_address(host)
        self._net.send_datagram(bytes(data), sockaddr(mine, self.name[1]), sockaddr(host, target[1]), self)

    def accepts(self, source: SockAddr, target: SockAddr) -> bool:
        """Whether a datagram is for this endpoint."""
        if self._closing or target[1] != self.name[1] or family_of(target[0]) != self.socket.family:
            return False
        if self._remote is not None and (normal(self._remote[0]), self._remote[1]) != source[:2]:
            return False
        if is_multicast(target[0]):
            return target[0] in self.socket.groups
        return self.name[0] in (target[0], WILDCARDS[self.socket.family])

    def received(self, octets: bytes, source: SockAddr) -> None:
        """A datagram arrives."""
        if not self._closing:
            self._protocol.datagram_received(octets, source)

    def unreachable(self) -> None:
        """Nobody listens where a connected endpoint sent to."""
        if self._remote is not None and not self._closing:
            self._protocol.error_received(os_error(errno.ECONNREFUSED))

    def close(self) -> None:
        """Close; datagrams on the way still arrive at the other end."""
        self._close(None)

    def abort(self) -> None:
        """As close."""
        self._close(None)

    def _close(self, error: Exception | None) -> None:
        if self._closing:
            return
        self._closing = True
        self._net.forget_endpoint(self)
        self.socket.close()
        self._net.soon(self._protocol.connection_lost, error)

    def is_closing(self) -> bool:
        """Whether it is closed."""
        return self._closing

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Hand over to another protocol."""
        if not isinstance(protocol, asyncio.DatagramProtocol):
            raise TypeError(f"not a datagram protocol: {protocol!r}")
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Who is told."""
        return self._protocol

    def get_write_buffer_size(self) -> int:
        """Nothing is ever buffered."""
        return 0
