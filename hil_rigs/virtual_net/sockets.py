"""What `get_extra_info("socket")` gives: enough of a socket for libraries that look at theirs."""

from __future__ import annotations

import errno
import os
import socket
import struct
from typing import Any

from hil_rigs.virtual_net.addresses import SockAddr, family_of


class VirtualSocket:
    """The face of an endpoint in memory. Nothing can be sent or received through it."""

    def __init__(self, kind: socket.SocketKind, name: SockAddr, peer: SockAddr | None = None) -> None:
        self.type = kind
        self.family = family_of(name[0])
        self.proto = 0
        self._name = name
        self._peer = peer
        self._options: dict[tuple[int, int], Any] = {}
        self._event_fd: int | None = None
        self._readable = False
        self._closed = False
        self.groups: set[str] = set()

    def __repr__(self) -> str:
        return f"<VirtualSocket {self.type.name} {self._name} -> {self._peer}>"

    def getsockname(self) -> SockAddr:
        """Own address."""
        return self._name

    def getpeername(self) -> SockAddr:
        """Address of the other end."""
        if self._peer is None:
            raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))
        return self._peer

    def fileno(self) -> int:
        """A descriptor that polls readable when something waits to be read; -1 when closed.

        It exists from the first question on: most sockets are never asked.
        """
        if self._closed:
            return -1
        if self._event_fd is None:
            self._event_fd = os.eventfd(int(self._readable), os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        return self._event_fd

    def set_readable(self, readable: bool) -> None:
        """Say whether something waits to be read."""
        if self._event_fd is not None and readable != self._readable:
            if readable:
                os.eventfd_write(self._event_fd, 1)
            else:
                os.eventfd_read(self._event_fd)
        self._readable = readable

    def close(self) -> None:
        """Give the descriptor back."""
        self._closed = True
        if self._event_fd is not None:
            os.close(self._event_fd)
            self._event_fd = None

    def setsockopt(self, level: int, option: int, value: Any, _length: int | None = None) -> None:
        """Remember an option; multicast groups and SO_LINGER have their effect."""
        self._options[(level, option)] = value
        if (level, option) == (socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP):
            self.groups.add(socket.inet_ntop(socket.AF_INET6, value[:16]))
        elif (level, option) == (socket.IPPROTO_IPV6, socket.IPV6_LEAVE_GROUP):
            self.groups.discard(socket.inet_ntop(socket.AF_INET6, value[:16]))
        elif (level, option) == (socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP):
            self.groups.add(socket.inet_ntop(socket.AF_INET, value[:4]))
        elif (level, option) == (socket.IPPROTO_IP, socket.IP_DROP_MEMBERSHIP):
            self.groups.discard(socket.inet_ntop(socket.AF_INET, value[:4]))

    def getsockopt(self, level: int, option: int, _length: int = 0) -> Any:
        """What was set, else 0 (no error, no option)."""
        return self._options.get((level, option), 0)

    @property
    def resets_on_close(self) -> bool:
        """Whether SO_LINGER asks for a reset instead of an orderly end."""
        linger = self._options.get((socket.SOL_SOCKET, socket.SO_LINGER))
        return isinstance(linger, bytes) and struct.unpack("ii", linger) == (1, 0)

    def setblocking(self, _flag: bool) -> None:
        """Never blocks."""

    def gettimeout(self) -> float:
        """Never blocks."""
        return 0.0
