"""TCP reassembly of a capture: segments in any order and more than once in, octets in order out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from v2g.packets import ACK, SYN, Endpoint, Segment

MOST_WAITING = 1024  # segments behind a hole; more than any window holds: the capture has lost what is missing


@dataclass(frozen=True, slots=True)
class Chunk:
    """Octets that follow the chunk before. missing: octets between the two that the capture does not have.

    number, time: of the segment that brought them.
    """

    number: int
    time: float
    octets: bytes = field(repr=False)
    missing: int = 0


class Direction:
    """One direction of one connection. The first copy of an octet wins."""

    def __init__(self) -> None:
        self.started_with_syn = False
        self._next: int | None = None
        self._waiting: dict[int, Segment] = {}

    def add(self, segment: Segment) -> list[Chunk]:
        """The chunks that this segment completes, in order."""
        if segment.flags & SYN:
            self._next = _wrap(segment.sequence + 1)
            self.started_with_syn = True
            return []
        if not segment.payload:
            return []
        if self._next is None:
            self._next = segment.sequence
        self._remember(segment)
        return self._take(fill_gaps=len(self._waiting) > MOST_WAITING)

    def finish(self) -> list[Chunk]:
        """What still waits behind octets that never came."""
        return self._take(fill_gaps=True)

    def _remember(self, segment: Segment) -> None:
        known = self._waiting.get(segment.sequence)
        if known is None or len(known.payload) < len(segment.payload):
            self._waiting[segment.sequence] = segment

    def _take(self, *, fill_gaps: bool) -> list[Chunk]:
        chunks = []
        while self._waiting and self._next is not None:
            position = self._next
            nearest = min(self._waiting, key=lambda sequence: _distance(position, sequence))
            ahead = _distance(position, nearest)
            if ahead > 0 and not fill_gaps:
                break
            segment = self._waiting.pop(nearest)
            octets = segment.payload[max(0, -ahead) :]
            if octets:
                chunks.append(Chunk(segment.number, segment.time, octets, max(0, ahead)))
                self._next = _wrap(segment.sequence + len(segment.payload))
        return chunks


class Connection:
    """Both directions of one connection."""

    def __init__(self, number: int, first: Segment) -> None:
        self.number = number
        self.first_number = first.number
        self.directions = {first.source: Direction(), first.target: Direction()}
        self.chunks: dict[Endpoint, list[Chunk]] = {first.source: [], first.target: []}
        self.client: Endpoint | None = None
        self.first_sender: Endpoint | None = None
        self._initial: dict[Endpoint, int] = {}

    def is_reopened_by(self, segment: Segment) -> bool:
        """Whether a SYN starts another connection between the same ports."""
        known = self._initial.get(segment.source)
        return bool(segment.flags & SYN) and not segment.flags & ACK and known not in (None, segment.sequence)

    def add(self, segment: Segment) -> None:
        """Take a segment of either direction."""
        if segment.flags & SYN:
            self._initial.setdefault(segment.source, segment.sequence)
            self.client = segment.target if segment.flags & ACK else segment.source
            if self.directions[segment.source].started_with_syn:
                return  # a repeated SYN must not rewind the stream
        if segment.payload and self.first_sender is None:
            self.first_sender = segment.source
        self.chunks[segment.source] += self.directions[segment.source].add(segment)

    def finish(self) -> None:
        """No more segments come."""
        for end, direction in self.directions.items():
            self.chunks[end] += direction.finish()


def connections_of(segments: Iterable[Segment]) -> list[Connection]:
    """Every TCP connection of a capture, in order of its first segment, numbered from 0 as Wireshark does."""
    found: list[Connection] = []
    current: dict[frozenset[Endpoint], Connection] = {}
    for segment in segments:
        ends = frozenset((segment.source, segment.target))
        connection = current.get(ends)
        if connection is None or connection.is_reopened_by(segment):
            connection = current[ends] = Connection(len(found), segment)
            found.append(connection)
        connection.add(segment)
    for connection in found:
        connection.finish()
    return found


def _wrap(sequence: int) -> int:
    return sequence & 0xFFFFFFFF


def _distance(start: int, end: int) -> int:
    """How far `end` is ahead of `start` on the circle of sequence numbers; negative = behind."""
    return (end - start + 0x80000000 & 0xFFFFFFFF) - 0x80000000
