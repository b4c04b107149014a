"""What one peer may ask of us: the limits that keep a babbling vehicle from harming the others."""

from __future__ import annotations

from dataclasses import dataclass

from ports.clock import Clock
from v2g.v2gtp import DEFAULT_LENGTH_LIMIT


@dataclass(frozen=True, slots=True)
class LinkLimits:
    """Limits of one link; what breaks one is reported and ends that connection, or (SDP) is left unanswered.

    payload_octets: of one V2GTP frame. frames_per_second: of one connection, counted over whole seconds.
    connections: at once, all vehicles together. sdp_per_second: requests answered, all vehicles together.
    """

    payload_octets: int = DEFAULT_LENGTH_LIMIT
    frames_per_second: int = 10_000
    connections: int = 256
    sdp_per_second: int = 1000


LIMITS = LinkLimits()


class Rate:
    """Counts events in each whole second of a clock."""

    def __init__(self, clock: Clock, per_second: int) -> None:
        self.per_second = per_second
        self._clock = clock
        self._second, self._count = 0, 0

    def exceeded(self) -> bool:
        """One more event: whether that is one too many in this second."""
        second = int(self._clock.monotonic())
        if second != self._second:
            self._second, self._count = second, 0
        self._count += 1
        return self._count > self.per_second
