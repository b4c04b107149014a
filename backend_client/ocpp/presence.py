"""How a station presents itself to its CSMS: boot, statuses, heartbeats, security events, and what may be triggered."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial
from typing import Any

from backend_client.ocpp.connection import PostponedCallError
from backend_client.ocpp.dialect import BootAnswer, Dialect
from backend_client.ocpp.record_facts import rfc3339
from backend_client.ocpp.requests import Later
from backend_client.ocpp.variables import Variables
from ports.clock import Clock
from ports.errors import PeerError
from ports.station import ConnectorNews, Station, StationIdentity

UNNAMED = StationIdentity("Plugbench", "Plugbench", "", "")
LEAST_BOOT_S = 10.0  # pause between two BootNotifications when the CSMS names none
MAX_SECURITY_EVENTS = 100  # kept while away; the oldest are dropped first


class Presence:
    """`uplink.Manners` of a station."""

    def __init__(self, clock: Clock, variables: Variables, dialect: Dialect, trace: Callable[..., None]) -> None:
        self.station: Station | None = None
        self._clock = clock
        self._variables = variables
        self._dialect = dialect
        self._trace = trace
        self._boot_reason = "PowerUp"  # "" = the CSMS has accepted us
        self._boot_at = 0.0
        self._boot_now = asyncio.Event()
        self._told: dict[int, dict[str, Any]] = {}
        self._news: dict[int, ConnectorNews] = {}
        self._something = asyncio.Event()  # news or security events wait
        self._security_events: list[tuple[str, str, str]] = []

    # what has happened

    def heard(self, news: ConnectorNews) -> None:
        """Listener of the station."""
        self._news[news.number] = news
        self._something.set()

    def report_security_event(self, kind: str, detail: str) -> None:
        """Told as soon as the CSMS is there."""
        self._security_events.append((kind, self._now, detail))
        del self._security_events[:-MAX_SECURITY_EVENTS]
        self._something.set()

    def wake(self) -> None:
        """A variable has changed, such as the interval of heartbeats."""
        self._something.set()

    def forget(self) -> None:
        """Boot again on the next connection."""
        self._boot_reason = "Unknown"

    def distrust(self, why: str) -> None:
        """The certificate of the CSMS was not good."""
        self.report_security_event("InvalidCsmsCertificate", why)

    # what is said

    async def greet(self) -> None:
        """BootNotification until it is accepted, then what holds at the connectors."""
        if self._boot_reason:
            await self._boot()
        self._told = {}
        whole = self._dialect.station_status()
        if whole is not None:
            await self._politely(self._dialect.notify(whole, self._now))
        self._news = {news.number: news for news in (self.station.connectors() if self.station else ())}
        await self._tell()

    async def stay(self) -> None:
        """Heartbeats and news."""
        beat_at = self._clock.monotonic()
        while True:
            await self._tell()
            if self._clock.monotonic() >= beat_at + self._heartbeat_s:
                beat_at = self._clock.monotonic()
                await self._politely(self._heartbeat())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, beat_at + self._heartbeat_s - self._clock.monotonic())):
                    await self._something.wait()

    def triggers(self) -> dict[str, Callable[[int | None], Later]]:
        """What TriggerMessage can make it say; by connector number, None for all."""
        return {
            "BootNotification": lambda _: self._boot_again,
            "Heartbeat": lambda _: self._heartbeat,
            "StatusNotification": lambda number: partial(self._tell_status, number),
        }

    async def _boot(self) -> None:
        """Until the CSMS accepts; nothing else is sent before."""
        while True:
            self._boot_now.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, self._boot_at - self._clock.monotonic())):
                    await self._boot_now.wait()
            answer = await self._notify_boot(self._boot_reason)
            if answer.status == "Accepted":
                self._boot_reason = ""
                return
            pause = answer.interval_s or LEAST_BOOT_S
            self._boot_at = self._clock.monotonic() + pause
            self._trace("ocpp.not_accepted", status=answer.status, again_in_s=pause)

    async def _notify_boot(self, reason: str) -> BootAnswer:
        identity = self.station.identity if self.station is not None else UNNAMED
        answer = await self._dialect.boot(identity, reason)
        self._compare_clocks(answer.current_time)
        if answer.status == "Accepted" and answer.interval_s > 0:
            await self._variables.set_heartbeat(answer.interval_s)
        return answer

    async def _boot_again(self) -> None:
        if self._boot_reason:
            self._boot_now.set()
        else:
            await self._notify_boot("Triggered")

    async def _heartbeat(self) -> None:
        self._compare_clocks(await self._dialect.heartbeat())

    async def _tell(self) -> None:
        self._something.clear()
        while self._news:
            number = next(iter(self._news))
            status = self._dialect.connector_status(self._news.pop(number))
            if self._told.get(number) != status:
                self._told[number] = status
                await self._politely(self._dialect.notify(status, self._now))
        while self._security_events:
            event = self._security_events[0]
            await self._politely(self._dialect.security_event(*event))
            if self._security_events[:1] == [event]:
                del self._security_events[0]

    async def _tell_status(self, number: int | None) -> None:
        for news in self.station.connectors() if self.station is not None else ():
            if number in {None, news.number}:
                await self._dialect.notify(self._dialect.connector_status(news), self._now)

    async def _politely(self, message: Awaitable[None]) -> None:
        """A refused notification changes nothing; a missing answer ends the connection."""
        try:
            await message
        except (PeerError, PostponedCallError) as error:
            self._trace("ocpp.trouble", why=str(error))

    @property
    def _heartbeat_s(self) -> float:
        return self._variables.heartbeat_s or float("inf")

    @property
    def _now(self) -> str:
        return rfc3339(self._clock.now())

    def _compare_clocks(self, text: str) -> None:
        try:
            offset = (datetime.fromisoformat(text) - self._clock.now()).total_seconds()
        except (ValueError, TypeError, OverflowError):
            self._trace("ocpp.trouble", why=f"currentTime {text[:40]!r} is no time with a zone")
        else:
            self._trace("ocpp.clock", csms_ahead_s=round(offset, 3))
