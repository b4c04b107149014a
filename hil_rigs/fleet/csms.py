"""The CSMS of a fleet: one CPO on one database, with faults drawn from the seed, and outages."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from random import Random

from backends.guarded_http import LOOPBACK
from backends.operators.cpo.authorisation import LocalList
from backends.operators.cpo.cpo import RunningCpo, serve_cpo
from backends.operators.cpo.faults import NO_FAULT, CsmsFault, CsmsFaultKind
from backends.operators.cpo.settings import CpoSettings, Listener
from backends.operators.cpo.tables import prepare
from backends.store.database import Database
from hil_rigs.fleet.contracts import emaid_of
from hil_rigs.fleet.plan import Faults, FleetPlan
from hil_rigs.virtual_clock import VirtualClock
from ports.authorisation import AuthorisationStatus
from ports.trace import Tracer

PORT = 9000  # of the network in memory
URL = f"ws://127.0.0.1:{PORT}/"
DATABASE = "csms.db"
ERROR = CsmsFault(CsmsFaultKind.CALL_ERROR)
LOST_ACK = CsmsFault(CsmsFaultKind.LOST_ACK)


def card_of(number: int) -> str:
    """UID of the card of station 0, 1, ..."""
    return f"04{number:012X}"


class DrawnFaults:
    """`CsmsFaults` at random; each station draws from its own source. hit: how often what was done."""

    def __init__(self, shares: Faults, clock: VirtualClock) -> None:
        self._shares = shares
        self._clock = clock
        self._random: dict[str, Random] = {}
        self.hit: Counter[str] = Counter()

    def call(self, station: str, action: str) -> CsmsFault:  # noqa: ARG002 - the signature of the hook
        """What to do with this call."""
        drawn = self._draw(station)
        if drawn < self._shares.errors:
            self.hit["call errors"] += 1
            return ERROR
        if drawn < self._shares.errors + self._shares.lost_acks:
            self.hit["lost acks"] += 1
            return LOST_ACK
        return NO_FAULT

    def refuses_connection(self, station: str) -> bool:
        """Whether this connection gets 503."""
        refused = self._draw(station) < self._shares.errors
        self.hit["refused connections"] += refused
        return refused

    def _draw(self, station: str) -> float:
        source = self._random.get(station)
        if source is None:
            source = self._random[station] = self._clock.fork_random(f"{station} faults")
        return source.random()


def make_database(folder: Path, clock: VirtualClock) -> Database:
    """The CPO's database in a folder, made where it is missing. Raises StoreError."""
    return Database(f"sqlite:///{folder / DATABASE}", clock, prepare)


class FleetCsms:
    """The end of OCPP in one process. All that it knows is in the database: `stop` and `start` are a restart."""

    def __init__(self, plan: FleetPlan, database: Database, clock: VirtualClock, tracer: Tracer) -> None:
        self.faults = DrawnFaults(plan.faults, clock)
        self._plan = plan
        self._database = database
        self._clock = clock
        self._tracer = tracer
        known = [card_of(number) for number in range(plan.stations)]
        if plan.has_contracts:
            known += [emaid_of(number) for number in range(plan.iso15118.stations)]
        self._known = dict.fromkeys(known, AuthorisationStatus.ACCEPTED)
        self._running: RunningCpo | None = None

    async def start(self) -> None:
        """Listen. Raises RigError, StoreError."""
        settings = CpoSettings(
            name="csms",
            strangers=True,  # a slow password hash for every station and every restart would measure nothing else
            listeners=(Listener(port=PORT),),
            heartbeat_s=self._plan.heartbeat_s,
            ping_s=self._plan.ping_s,
            networks=LOOPBACK,
        )
        self._running = await serve_cpo(
            settings,
            self._database,
            self._clock,
            authorisers=[LocalList(self._known, "drivers")],
            faults=self.faults,
            tracer=self._tracer,
            random=self._clock.fork_random("csms"),
        )

    async def stop(self) -> None:
        """End every connection and listen no more; harmless when stopped."""
        running, self._running = self._running, None
        if running is not None:
            await running.close()

    async def register_key(self, gateway: str, meter: str, public_key: str) -> None:
        """What is done when a station is put up. Raises StoreError."""
        assert self._running is not None  # noqa: S101 - stations are put up while it runs
        await self._running.csms.transactions.register_key(gateway, meter, public_key)
