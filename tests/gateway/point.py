"""A charge point in memory for the gateway's tests: cable, contactor, vehicle and meter, with faults to switch on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from gateway.authorisation import IdToken, ListEntry, LocalList
from gateway.controller import Controller
from gateway.forwarder import Forwarder
from gateway.journal import Journal
from gateway.policy import ConnectorSetup, GatewayIdentity, Policy
from hil_rigs.virtual_clock import VirtualClock
from ocmf.terms import Level
from ports.backend import Ack, Backend, SignedRecord
from ports.charge_control import (
    ContactorChanged,
    ControlEvent,
    ControlFault,
    ControlStatus,
    FaultChanged,
    PilotChanged,
    PilotState,
)
from ports.clock import Clock
from ports.errors import PeerError, RigError
from ports.meter import MeterIdentity, Reading
from ports.trace import TraceEvent
from tests.gateway.doubles import KeySigner

START = datetime(2026, 3, 1, 8, tzinfo=UTC)
CARD = IdToken("04 A2 B3 C4")
OTHER_CARD = IdToken("04:A2:B3:C5")
BLOCKED_CARD = IdToken("04A2B3FF")
CARDS = LocalList(
    [
        ListEntry(token=CARD, level=Level.TRUSTED),
        ListEntry(token=OTHER_CARD),
        ListEntry(token=BLOCKED_CARD, blocked=True),
        ListEntry(token=IdToken("04A2B3AA"), valid_to=datetime(2026, 1, 1, tzinfo=UTC)),
    ]
)


class Cable:
    """`ChargeControl` with a vehicle that follows the offer. power_w flows while the contactor is closed in C."""

    def __init__(self, clock: Clock, connector: str = "c1") -> None:
        self._clock = clock
        self._name = connector
        self._events: asyncio.Queue[ControlEvent | None] = asyncio.Queue()
        self.pilot = PilotState.A
        self.offered = 0.0
        self.closed = False
        self.locked = False
        self.obeys_offer = True
        self.welded = False
        self.jammed = False
        self.silent = False
        self.switch_s = 0.02
        self.log: list[str] = []

    @property
    def connector(self) -> str:
        return self._name

    async def events(self) -> AsyncIterator[ControlEvent]:
        while (event := await self._events.get()) is not None:
            yield event

    def end_events(self) -> None:
        self._events.put_nowait(None)

    async def status(self) -> ControlStatus:
        self._answer()
        return ControlStatus(self.pilot, 100.0, self.closed, self.locked, 32, frozenset())

    def set_pilot(self, pilot: PilotState) -> None:
        if pilot is not self.pilot:
            self.pilot = pilot
            self.log.append(f"pilot {pilot}")
            self._events.put_nowait(PilotChanged(self._clock.monotonic(), self._name, pilot, self.offered > 0))

    def set_fault(self, fault: ControlFault, active: bool = True) -> None:
        self._events.put_nowait(FaultChanged(self._clock.monotonic(), self._name, fault, active))

    def plug(self) -> None:
        self.set_pilot(PilotState.C if self.offered else PilotState.B)

    def unplug(self) -> None:
        self.set_pilot(PilotState.A)

    async def offer_current(self, amperes: float) -> None:
        self._answer()
        self.offered = amperes
        self.log.append(f"offer {amperes:g}")
        if self.pilot is not PilotState.A and self.obeys_offer:
            self.set_pilot(PilotState.C if amperes else PilotState.B)

    async def offer_duty(self, per_cent: float) -> None:
        raise AssertionError("not used by the gateway yet")

    async def set_unavailable(self, unavailable: bool) -> None:
        raise AssertionError("not used by the gateway yet")

    async def set_contactor(self, closed: bool) -> None:
        self._answer()
        await self._clock.sleep(self.switch_s)
        if self.welded and not closed:
            raise PeerError("the auxiliary contact says closed")
        self.move_contactor(closed)

    def move_contactor(self, closed: bool) -> None:
        if closed is not self.closed:
            self.closed = closed
            self.log.append("closed" if closed else "opened")
            self._events.put_nowait(ContactorChanged(self._clock.monotonic(), self._name, closed))

    async def set_lock(self, locked: bool) -> None:
        self._answer()
        if self.jammed:
            raise PeerError("the lock is jammed")
        self.locked = locked
        self.log.append("locked" if locked else "unlocked")

    async def close(self) -> None:
        self.closed = False

    def _answer(self) -> None:
        if self.silent:
            raise RigError("the firmware does not answer")


class CableMeter:
    """A meter behind the cable: 3 decimals of a kWh. `spoil` changes what it answers."""

    def __init__(self, clock: Clock, cable: Cable, power_w: int = 11000, serial: str = "METER1") -> None:
        self._clock = clock
        self._cable = cable
        self.power_w = power_w
        self.serial = serial
        self.wh = Decimal(1_000_000)
        self._at = clock.monotonic()
        self.silent = False
        self.spoil: Callable[[Decimal], Decimal] = lambda value: value
        self.reads = 0

    @property
    def label(self) -> str:
        return "meter"

    def run(self) -> None:
        """Count up to now; the register is what has flown, whatever the records say."""
        now = self._clock.monotonic()
        if self._cable.closed and self._cable.pilot is PilotState.C:
            self.wh += Decimal(str(now - self._at)) * self.power_w / 3600
        self._at = now

    async def identify(self) -> MeterIdentity:
        self._answer()
        return MeterIdentity("Maker", "Model", self.serial, "1.0")

    async def read_energy(self) -> Reading:
        self._answer()
        self.run()
        self.reads += 1
        value = self.spoil((self.wh / 1000).quantize(Decimal("0.001"), "ROUND_DOWN"))
        return Reading(
            "energy", value, "kWh", "1-b:1.8.0", self._clock.now(), self._clock.status(), self._clock.monotonic()
        )

    async def read(self, names: tuple[str, ...] = ()) -> dict[str, Reading]:
        return {"energy": await self.read_energy()}

    async def close(self) -> None:
        return None

    def _answer(self) -> None:
        if self.silent:
            raise PeerError("no answer within 300 ms")


class ListBackend:
    """Keeps what it is given; `refuse` may raise for a record."""

    def __init__(self) -> None:
        self.records: list[SignedRecord] = []
        self.refuse: Callable[[SignedRecord], None] = lambda record: None

    async def deliver(self, record: SignedRecord) -> Ack:
        self.refuse(record)
        if record in self.records:
            return Ack.DUPLICATE
        self.records.append(record)
        return Ack.STORED

    async def close(self) -> None:
        return None


class Point:
    """A running gateway with one connector, in virtual time."""

    def __init__(self, clock: VirtualClock, folder: Path, policy: Policy | None = None) -> None:
        self.clock = clock
        self.folder = folder
        self.policy = policy or Policy(sample_s=60.0)
        self.signer = KeySigner()
        self.cable = Cable(clock)
        self.meter = CableMeter(clock, self.cable)
        self.backend = ListBackend()
        self.events: list[TraceEvent] = []
        self.boot_id = clock.boot_id
        self.min_free_bytes = 0
        self.setups: list[ConnectorSetup] = [self.setup()]
        self.open_journal: dict[str, object] = {}
        self.arguments: dict[str, object] = {}

    def setup(self) -> ConnectorSetup:
        return ConnectorSetup(control=self.cable, meter=self.meter, point_id="DE*PLG*E1", max_power_kw=Decimal(22))

    async def start(self) -> Controller:
        """Start the gateway; the journal is that of the run before."""
        self.journal = await Journal.open(
            self.folder / "journal.db",
            self.signer,
            self.clock,
            tracer=self.events.append,
            min_free_bytes=self.min_free_bytes,
            **self.open_journal,  # type: ignore[arg-type]
        )
        backends: dict[str, Backend] = {"cpo": self.backend}
        random = self.clock.fork_random("forwarder")
        self.forwarder = Forwarder(self.journal, backends, self.clock, random=random, tracer=self.events.append)
        identity = GatewayIdentity(identification="plugbench", serial="GW1", version="0.1", boot_id=self.boot_id)
        self.controller = Controller(
            identity,
            self.setups,
            self.journal,
            self.forwarder,
            CARDS,
            self.clock,
            policy=self.policy,
            tracer=self.events.append,
            **self.arguments,  # type: ignore[arg-type]
        )
        await self.controller.start()
        return self.controller

    async def crash(self) -> None:
        """The process dies: nothing is ended, nothing said goodbye; contactors fall open."""
        for one in self.controller.by_name.values():
            await one.close()
        await self.forwarder.close()
        await self.journal.close()
        self.meter.run()
        self.cable.closed = False
        self.cable.offered = 0
        self.events.clear()

    def told(self, kind: str) -> list[TraceEvent]:
        """The trace events of one kind."""
        return [event for event in self.events if event.kind == kind]
