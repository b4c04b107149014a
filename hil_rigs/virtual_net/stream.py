"""One direction of a TCP connection: send buffer, window, loss, order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hil_rigs.virtual_net.link import RETRANSMIT_GIVE_UP_S, retransmit_wait

if TYPE_CHECKING:
    from hil_rigs.virtual_net.network import VirtualNet

WINDOW = 65536
"""Octets that may be on the way or unread at the receiver."""


@dataclass(slots=True, eq=False)
class _Segment:
    octets: bytes  # b"" is the end of the stream
    sent: float
    arrived: bool = False


class Stream:
    """Octets from one end to the other. The ends are told by callbacks:

    deliver(octets): at the receiver, b"" is the end. drained(): at the sender, its buffer got shorter.
    timed_out(): at the sender, nothing was acknowledged for too long.
    """

    def __init__(
        self,
        net: VirtualNet,
        server: tuple[str, int],
        deliver: Callable[[bytes], None],
        drained: Callable[[], None],
        timed_out: Callable[[], None],
    ) -> None:
        self._net = net
        self._server = server
        self._deliver = deliver
        self._drained = drained
        self._timed_out = timed_out
        self._buffer: deque[bytes] = deque()
        self.buffered = 0
        self._unread = 0
        self._line: deque[_Segment] = deque()
        self._dead = False
        self._ended = False

    @property
    def latency_s(self) -> float:
        """Of the link now."""
        return self._net.link_for(*self._server).latency_s

    def write(self, octets: bytes) -> None:
        """Queue octets; b"" queues the end, once."""
        if self._dead or self._ended:
            return
        self._buffer.append(octets)
        self.buffered += len(octets)
        self._pump()

    def discard(self) -> None:
        """Drop what has not left the sender."""
        self._buffer.clear()
        self.buffered = 0

    def cut(self) -> None:
        """Nothing moves any more in this direction."""
        self._dead = True
        self.discard()
        self._line.clear()

    def was_read(self, count: int) -> None:
        """The receiver took octets out of its buffer: the window opens, one latency later at the sender."""
        self._unread -= count
        if self._buffer:
            self._net.after(self.latency_s, self._pump)

    def _pump(self) -> None:
        while self._buffer and not (self._dead or self._ended):
            octets = self._buffer[0]
            limit = self._net.link_for(*self._server).segment
            room = min(WINDOW - self._unread, limit or WINDOW)
            if octets and room <= 0:
                break
            self._buffer.popleft()
            if len(octets) > room:
                self._buffer.appendleft(octets[room:])
                octets = octets[:room]
            self._ended = not octets
            self.buffered -= len(octets)
            self._unread += len(octets)
            segment = _Segment(octets, self._net.time())
            self._line.append(segment)
            self._attempt(segment, 0)
        self._drained()

    def _attempt(self, segment: _Segment, number: int) -> None:
        if self._dead:
            return
        link = self._net.link_for(*self._server)
        if link.passes(self._net.random):
            self._net.after(link.latency_s, self._arrive, segment, number)
        else:
            self._again(segment, number)

    def _again(self, segment: _Segment, number: int) -> None:
        wait = retransmit_wait(number)
        if self._net.time() + wait - segment.sent > RETRANSMIT_GIVE_UP_S:
            self.cut()
            self._timed_out()
        else:
            self._net.after(wait, self._attempt, segment, number + 1)

    def _arrive(self, segment: _Segment, number: int) -> None:
        if self._dead:
            return
        if not self._net.link_for(*self._server).up:  # cut while it was on the way
            self._again(segment, number)
            return
        segment.arrived = True
        while self._line and self._line[0].arrived:
            octets = self._line.popleft().octets
            pieces = self._net.fault("net.tcp", octets) if octets else [octets]
            self._unread += sum(map(len, pieces)) - len(octets)
            for piece in pieces:
                self._deliver(piece)
