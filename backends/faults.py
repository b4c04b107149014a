"""How a CPO backend misbehaves on purpose: one decision for every record that comes in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Protocol


class FaultKind(StrEnum):
    """What goes wrong."""

    NONE = "none"
    ERROR = "error"  # answered with a server error, without effect
    SLOW = "slow"  # takes effect and answers late
    LOST_ACK = "lost_ack"  # takes effect, but the sender gets a gateway time-out
    DUPLICATE = "duplicate"  # arrives twice


@dataclass(frozen=True, slots=True)
class BackendFault:
    """seconds: of a slow answer. status: of an error, 500 to 599."""

    kind: FaultKind = FaultKind.NONE
    seconds: float = 0.0
    status: int = 503


NO_FAULT = BackendFault()


class BackendFaults(Protocol):
    """The hook: asked once for every delivery."""

    def __call__(self) -> BackendFault:
        """What to do with this delivery."""


def no_backend_fault() -> BackendFault:
    """The hook of production."""
    return NO_FAULT


class FaultSwitch:
    """Faults switched by hand: `lasting` until changed, after those of `queue`, one per delivery."""

    def __init__(self, queue: Iterable[BackendFault] = (), lasting: BackendFault = NO_FAULT) -> None:
        self.queue = list(queue)
        self.lasting = lasting

    def __call__(self) -> BackendFault:
        """The next of the queue, or the lasting one."""
        return self.queue.pop(0) if self.queue else self.lasting


class FaultMix:
    """Faults at random, the same for the same seed: shares of all deliveries."""

    def __init__(self, shares: Mapping[FaultKind, float], random: Random, *, slow_s: float = 1.0) -> None:
        self._shares = shares
        self._random = random
        self._slow_s = slow_s

    def __call__(self) -> BackendFault:
        """Drawn for this delivery."""
        drawn = self._random.random()
        for kind, share in self._shares.items():
            if drawn < share:
                return BackendFault(kind, seconds=self._slow_s)
            drawn -= share
        return NO_FAULT
