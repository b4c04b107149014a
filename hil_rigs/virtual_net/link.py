"""How the way to a host behaves, and how TCP gets through."""

from __future__ import annotations

import random
from dataclasses import dataclass

RETRANSMIT_FIRST_S = 0.2  # Linux TCP_RTO_MIN
RETRANSMIT_LONGEST_S = 120.0  # Linux TCP_RTO_MAX
RETRANSMIT_GIVE_UP_S = 924.6  # Linux tcp_retries2 = 15, as in its documentation
CONNECT_FIRST_S = 1.0  # RFC 6298, initial RTO
CONNECT_GIVE_UP_S = 127.0  # Linux tcp_syn_retries = 6, as in its documentation


@dataclass(slots=True)
class Link:
    """The way to a host or to one of its ports, in both directions; may be changed at any time.

    up: False swallows everything (a pulled cable: senders notice by timeouts only).
    refuse: answer connection attempts with a reset (a firewall that rejects).
    latency_s: of one direction. loss: probability that a segment or datagram is lost; TCP sends it again, later.
    segment: most octets that arrive at once over TCP; None joins and splits nothing.
    """

    up: bool = True
    refuse: bool = False
    latency_s: float = 0.0
    loss: float = 0.0
    segment: int | None = None

    def passes(self, source: random.Random) -> bool:
        """Whether one segment gets through now."""
        return self.up and not (self.loss and source.random() < self.loss)


def retransmit_wait(attempt: int, first_s: float = RETRANSMIT_FIRST_S) -> float:
    """Seconds between attempt number `attempt` (from 0) and the next one."""
    return float(min(first_s * 2 ** min(attempt, 30), RETRANSMIT_LONGEST_S))
