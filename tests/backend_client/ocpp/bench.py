"""A CSMS, a station, and links between them."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random
from typing import Any

from backend_client.credential import Credential
from backend_client.ocpp.hooks import StationHooks
from backend_client.ocpp.link import NO_HOOKS, OcppLink, open_ocpp
from backend_client.ocpp.settings import OcppSettings, Version
from hil_rigs.real_clock import RealClock
from ports.trace import TraceEvent
from tests.backend_client.ocpp.csms import Csms
from tests.backend_client.ocpp.station import FakeStation


class Bench:
    """One CSMS, one station, and links between them."""

    def __init__(self, folder: Path, stack: AsyncExitStack) -> None:
        self.folder = folder
        self.station = FakeStation()
        self.trace: list[TraceEvent] = []
        self.csms = Csms()
        self._stack = stack
        self._traced = asyncio.Event()
        (folder / "password").write_text("correct horse")

    async def csms_of(self, version: str, **options: Any) -> Csms:
        self.csms = Csms(version)
        await self.csms.start(**options)
        self._stack.push_async_callback(self.csms.stop)
        return self.csms

    def settings(self, **changes: Any) -> OcppSettings:
        return OcppSettings(
            **{
                "url": self.csms.url,
                "identity": "GW1",
                "state_file": self.folder / "state.sqlite",
                "version": Version(self.csms.version),
                "password": Credential(file=self.folder / "password"),
                "resume_delay_s": 0.01,
                "reconnect_first_s": 0.01,
                "message_timeout_s": 5.0,
                **changes,
            }
        )

    async def link(self, hooks: StationHooks = NO_HOOKS, **changes: Any) -> OcppLink:
        link = open_ocpp(
            self.settings(**changes),
            RealClock(),
            station=self.station,
            hooks=hooks,
            tracer=self._take,
            random=Random(1),
        )
        self._stack.push_async_callback(link.close)
        await link.start()
        return link

    async def until(self, kind: str) -> TraceEvent:
        """The first trace event of a kind, when it has come."""
        while not self.kinds(kind):
            self._traced.clear()
            await self._traced.wait()
        return self.kinds(kind)[0]

    def _take(self, event: TraceEvent) -> None:
        self.trace.append(event)
        self._traced.set()

    def kinds(self, kind: str) -> list[TraceEvent]:
        return [event for event in self.trace if event.kind == kind]
