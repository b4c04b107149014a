"""The pools of a fleet: one store, served in each process, with faults drawn for each station, and outages.

Each station reaches them under a path of its own, so that they know whose request fails: the pools themselves know one
client, the CPO of all stations.
"""

from __future__ import annotations

from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from backend_client.opcp import Credentials, OpcpClient
from backends.bring_up import AUDIENCE, Plan, brought_up
from backends.faults import FaultKind, FaultMix
from hil_rigs.fleet.plan import Faults
from hil_rigs.virtual_clock import VirtualClock
from hil_rigs.wiring.pools import EDITION
from ports.trace import TraceEvent, Tracer

PORT = 8080  # of the network in memory
URL = f"http://127.0.0.1:{PORT}"
FOLDER = "pools"
DATABASE = "pools.db"
OF_STATION = "/stations/"  # what a station asks is below this and its name
CPO, CPO_SECRET = "cpo", "cpo.secret"
CONTRACT_PATH = "/v1/ccp/signedContractData"
UNAVAILABLE = b'{"errorMessages":["The pools are busy."]}'


def pools_plan(folder: Path) -> Plan:
    """What is brought up in the folder of a fleet, again and again: what is missing is made the first time."""
    return Plan(folder / FOLDER, port=PORT, allow_loopback=True, presets=(EDITION,))


def pools_client(name: str, folder: Path, clock: VirtualClock) -> OpcpClient:
    """The way of a station to the pools. folder: of the fleet."""
    credentials = Credentials(CPO, folder / FOLDER / CPO_SECRET, AUDIENCE)
    return OpcpClient(f"{URL}{OF_STATION}{name}", credentials, clock)


class FleetPools:
    """The pools' server in one process. All that they know is in the database: `stop` and `start` are a restart.

    hit: how often which fault was done. handed_out: contracts, by station, also those whose acknowledgement was lost.
    """

    def __init__(self, shares: Faults, folder: Path, clock: VirtualClock, tracer: Tracer) -> None:
        """folder: of the fleet. tracer: takes every request, with its station."""
        self.hit: Counter[str] = Counter()
        self.handed_out: Counter[str] = Counter()
        self._shares = {FaultKind.ERROR: shares.errors, FaultKind.LOST_ACK: shares.lost_acks}
        self._folder = folder
        self._clock = clock
        self._tracer = tracer
        self._faults: dict[str, FaultMix] = {}
        self._running: AsyncExitStack | None = None

    async def start(self) -> None:
        """Listen. Raises RigError, StoreError."""
        self._running = AsyncExitStack()
        await self._running.enter_async_context(brought_up(pools_plan(self._folder), self._clock, before=self.before))

    async def stop(self) -> None:
        """End every connection and listen no more; harmless when stopped."""
        running, self._running = self._running, None
        if running is not None:
            await running.aclose()

    def before(self, app: Any) -> Any:
        """The application with the faults before it (ASGI). What no station asks has none."""

        async def front(scope: dict[str, Any], receive: Any, send: Any) -> None:
            station, _, rest = scope.get("path", "").removeprefix(OF_STATION).partition("/")
            if scope["type"] == "http" and scope["path"].startswith(OF_STATION):
                await self._answer(app, scope, receive, send, station, f"/{rest}")
            else:
                await app(scope, receive, send)

        return front

    async def _answer(self, app: Any, scope: dict[str, Any], receive: Any, send: Any, station: str, path: str) -> None:
        """Do what is drawn for this request of a station. path: as the pools know it."""
        fault, status = self._draw(station), 503

        async def passing(message: dict[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            if fault is not FaultKind.LOST_ACK:
                await send(message)

        if fault is FaultKind.ERROR:
            headers = [(b"content-type", b"application/json"), (b"content-length", str(len(UNAVAILABLE)).encode())]
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": UNAVAILABLE})
        else:
            await app({**scope, "path": path, "raw_path": path.encode()}, receive, passing)
            self.handed_out[station] += path == CONTRACT_PATH and status == 200
        data = {"station": station, "path": path, "status": status, "fault": fault.value}
        self._tracer(TraceEvent(self._clock.monotonic(), "backend", "fleet.pools", "pools", data))
        if fault is FaultKind.LOST_ACK:
            while (await receive())["type"] != "http.disconnect":
                continue

    def _draw(self, station: str) -> FaultKind:
        mix = self._faults.get(station)
        if mix is None:
            mix = self._faults[station] = FaultMix(self._shares, self._clock.fork_random(f"{station} pools"))
        fault = mix().kind
        if fault is FaultKind.ERROR:
            self.hit["pool errors"] += 1
        elif fault is FaultKind.LOST_ACK:
            self.hit["lost pool answers"] += 1
        return fault
