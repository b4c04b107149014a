"""Test doubles that many tests share."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta

from ports.clock import Cancellable, TimeStatus


class ManualClock:
    """A clock that stands still until a test moves it; counts how often it was held."""

    is_virtual = True

    def __init__(self, now: datetime = datetime(2026, 1, 1, 12, tzinfo=UTC)) -> None:
        self.civil = now
        self.boot = 1000.0
        self.holds = 0
        self.time_status = TimeStatus.SYNCHRONISED

    def advance(self, seconds: float) -> None:
        """Move both times on."""
        self.civil += timedelta(seconds=seconds)
        self.boot += seconds

    def monotonic(self) -> float:
        return self.boot

    def now(self) -> datetime:
        return self.civil

    def status(self) -> TimeStatus:
        return self.time_status

    async def sleep(self, seconds: float) -> None:
        self.advance(seconds)
        await asyncio.sleep(0)

    def hold(self) -> AbstractContextManager[None]:
        self.holds += 1
        return contextlib.nullcontext()

    def watchdog(self, seconds: float, on_expiry: Callable[[], object]) -> Cancellable:
        return asyncio.get_running_loop().call_later(seconds, on_expiry)


class HeldClock(ManualClock):
    """One for a server that runs on its own: who sleeps does not move it, and waits in real time."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
