"""The transport of one end of a TCP connection in memory; behaves like asyncio's own over a socket."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from hil_rigs.virtual_net.addresses import SockAddr
from hil_rigs.virtual_net.sockets import VirtualSocket
from hil_rigs.virtual_net.stream import Stream

if TYPE_CHECKING:
    from hil_rigs.virtual_net.network import VirtualNet
    from hil_rigs.virtual_net.server import VirtualServer

HIGH_WATER = 65536  # as asyncio


def os_error(number: int) -> OSError:
    """The exception of an errno, with its usual text."""
    return OSError(number, os.strerror(number))


class TcpTransport(asyncio.Transport):
    """One end. `connect_ends` gives it its peer."""

    _start_tls_compatible = True  # asked by loop.start_tls
    _sendfile_compatible = asyncio.constants._SendfileMode.FALLBACK  # noqa: SLF001 - asked by loop.sendfile

    def __init__(
        self,
        net: VirtualNet,
        protocol: asyncio.BaseProtocol,
        name: SockAddr,
        peer_name: SockAddr,
        served_by: VirtualServer | None = None,
    ) -> None:
        self._socket = VirtualSocket(socket.SOCK_STREAM, name, peer_name)
        super().__init__({"socket": self._socket, "sockname": name, "peername": peer_name})
        self._net = net
        self._protocol = protocol
        self._server = served_by
        self.peer: TcpTransport | None = None
        self._outgoing: Stream | None = None
        self._incoming: Stream | None = None
        self._inbox: deque[bytes] = deque()
        self._paused = False
        self._made = self._started = False
        self._closing = False
        self._lost = False
        self._eof_sent = False
        self._eof_seen = False
        self._reset_sent = False
        self._writing_paused = False
        self._high, self._low = HIGH_WATER, HIGH_WATER // 4
        if served_by is not None:
            served_by.attach(self)

    # life

    def connect_ends(self, peer: TcpTransport, outgoing: Stream, incoming: Stream) -> None:
        """Join with the other end."""
        self.peer, self._outgoing, self._incoming = peer, outgoing, incoming

    def start(self) -> None:
        """Tell the protocol, then begin to read."""
        self._made = True
        self._net.soon(self._protocol.connection_made, self)
        self._net.soon(self._begin)

    def _begin(self) -> None:
        self._started = True
        self._hand_out()

    def close(self) -> None:
        """Send what is buffered, then the end."""
        if self._closing:
            return
        self._closing = True
        self.drained()

    def abort(self) -> None:
        """Drop what is buffered, and end."""
        self._force_close(None)

    def _force_close(self, error: BaseException | None) -> None:
        """asyncio's TLS calls it by this name."""
        if self._lost:
            return
        self._closing = True
        self._out.discard()
        self._finish(error)

    def _finish(self, error: BaseException | None) -> None:
        """What the kernel does when a descriptor is closed: an end, or a reset if something was left unread."""
        if self._lost:
            return
        is_unread = any(self._inbox)
        self._lose(error)
        if is_unread or self._socket.resets_on_close:
            self._send_reset()
        else:
            self._out.write(b"")

    def _lose(self, error: BaseException | None) -> None:
        if self._lost:
            return
        self._lost = self._closing = True
        self._inbox.clear()
        self._socket.set_readable(True)
        self._net.soon(self._call_connection_lost, error)

    def _call_connection_lost(self, error: BaseException | None) -> None:
        try:
            if self._made:  # else given up during the handshake
                self._protocol.connection_lost(error if isinstance(error, Exception) else None)
        finally:
            self._socket.close()
            self._net.forget(self)
            if self._server is not None:
                self._server.detach(self)
                self._server = None

    def _send_reset(self) -> None:
        peer = self.peer
        if peer is not None:
            self._net.send_once(self._out.latency_s, self._net.link_of(self), peer.reset_arrived)

    def reset_arrived(self) -> None:
        """The other end does not know the connection (any more)."""
        self._out.cut()
        self._lose(os_error(errno.ECONNRESET))

    def timed_out(self) -> None:
        """Nothing was acknowledged for too long."""
        self._lose(os_error(errno.ETIMEDOUT))

    @property
    def _out(self) -> Stream:
        assert self._outgoing is not None  # noqa: S101 - joined before anything else
        return self._outgoing

    def is_closing(self) -> bool:
        """Whether it is closing or closed."""
        return self._closing

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Hand over to another protocol (TLS)."""
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Who is told."""
        return self._protocol

    # reading

    def is_reading(self) -> bool:
        """Whether received octets are handed on."""
        return not (self._closing or self._paused)

    def pause_reading(self) -> None:
        """Leave octets in the receive buffer; the window closes by and by."""
        if self.is_reading():
            self._paused = True

    def resume_reading(self) -> None:
        """Hand octets on again."""
        if self._paused and not self._closing:
            self._paused = False
            self._net.soon(self._hand_out)

    def received(self, octets: bytes) -> None:
        """Octets arrive from the other end, b"" is its end."""
        if self._lost:
            if octets and not self._reset_sent:
                self._reset_sent = True
                self._send_reset()
            return
        self._inbox.append(octets)
        self._hand_out()

    def _hand_out(self) -> None:
        while self._inbox and self._started and self.is_reading() and not self._eof_seen:
            octets = self._inbox.popleft()
            try:
                if octets:
                    self._hand_over(octets)
                else:
                    self._end_of_stream()
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as error:  # noqa: BLE001 - reported, as asyncio does
                self._fatal(error)
        if not self._lost:
            self._socket.set_readable(bool(self._inbox) or self._eof_seen)

    def _hand_over(self, octets: bytes) -> None:
        assert self._incoming is not None  # noqa: S101 - joined before anything else
        protocol: Any = self._protocol  # asyncio's own transports ask for no base class either (pymodbus has none)
        if isinstance(protocol, asyncio.BufferedProtocol):
            buffer: Any = protocol.get_buffer(-1)
            count = min(len(buffer), len(octets))
            if not count:
                raise RuntimeError("get_buffer() returned an empty buffer")
            buffer[:count] = octets[:count]
            if count < len(octets):
                self._inbox.appendleft(octets[count:])
            self._incoming.was_read(count)
            protocol.buffer_updated(count)
        else:
            self._incoming.was_read(len(octets))
            protocol.data_received(octets)

    def _end_of_stream(self) -> None:
        self._eof_seen = True
        protocol: Any = self._protocol
        if protocol.eof_received():
            return  # it wants to go on writing
        self.close()

    def _fatal(self, error: BaseException) -> None:
        if not isinstance(error, OSError):
            self._net.report(
                {
                    "message": "Fatal error in a protocol",
                    "exception": error,
                    "transport": self,
                    "protocol": self._protocol,
                }
            )
        self._force_close(error)

    # writing

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send, in order, buffered without limit (`pause_writing` tells when to stop)."""
        if not isinstance(data, bytes | bytearray | memoryview):
            raise TypeError(f"data argument must be a bytes-like object, not {type(data).__name__!r}")
        if self._eof_sent:
            raise RuntimeError("Cannot call write() after write_eof()")
        if not data or self._lost or self._closing:
            return
        self._out.write(bytes(data))

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        """Send several at once."""
        self.write(b"".join(list_of_data))

    def can_write_eof(self) -> bool:
        """TCP can close one direction."""
        return True

    def write_eof(self) -> None:
        """Close the direction to the other end; reading goes on."""
        if self._closing or self._eof_sent:
            return
        self._eof_sent = True
        self._out.write(b"")

    def get_write_buffer_size(self) -> int:
        """Octets that have not left."""
        return self._out.buffered

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """Low and high."""
        return self._low, self._high

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """When the protocol is told to pause and to go on."""
        if high is None:
            high = HIGH_WATER if low is None else 4 * low
        if low is None:
            low = high // 4
        if not high >= low >= 0:
            raise ValueError(f"high ({high!r}) must be >= low ({low!r}) must be >= 0")
        self._high, self._low = high, low
        self.drained()

    def drained(self) -> None:
        """The send buffer changed its length."""
        if self._outgoing is None or self._lost:
            return
        size = self._out.buffered
        if size > self._high and not self._closing and not self._writing_paused:
            self._writing_paused = True
            self._protocol.pause_writing()
        elif size <= self._low and self._writing_paused:
            self._writing_paused = False
            self._protocol.resume_writing()
        if self._closing and not size:
            self._finish(None)
