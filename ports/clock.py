"""One clock for everything: durations from a boot-time clock, stamps from civil time."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime
from enum import StrEnum
from typing import Protocol


class TimeStatus(StrEnum):
    """How far a civil time may be trusted; the letters are those of OCMF's TM field (OCMF 1.4.1 table 19)."""

    UNKNOWN = "U"
    INFORMATIVE = "I"
    SYNCHRONISED = "S"
    RELATIVE = "R"


class Cancellable(Protocol):
    """What `Clock.watchdog` returns."""

    def cancel(self) -> None:
        """Stop it; harmless when it has fired or was cancelled before."""


class Clock(Protocol):
    """The only source of time. Real or virtual; nobody else asks the operating system."""

    @property
    def is_virtual(self) -> bool:
        """Whether protocol time is simulated."""

    def monotonic(self) -> float:
        """Seconds since boot (suspend included), never set, never backwards; for every duration and age."""

    def now(self) -> datetime:
        """Civil time with its zone; for stamps only."""

    def status(self) -> TimeStatus:
        """How far `now()` may be trusted at this moment."""

    async def sleep(self, seconds: float) -> None:
        """Wait in protocol time."""

    def hold(self) -> AbstractContextManager[None]:
        """While entered, virtual time stands still: something outside the event loop is working for us."""

    def watchdog(self, seconds: float, on_expiry: Callable[[], object]) -> Cancellable:
        """Call `on_expiry` after so many *real* seconds, also while virtual time is held."""
