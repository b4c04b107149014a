"""A whole station and a vehicle in virtual time: plant, gateway with SECC, EVCC, and everything that they report."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

from cryptography.hazmat.primitives.asymmetric import ec

from firmware_sim.charger.settings import ChargerSettings
from firmware_sim.circuit import Circuit, MeasuringPoint
from firmware_sim.vehicle.communication import Communication
from firmware_sim.vehicle.evcc_setup import EvccSetup
from firmware_sim.vehicle.settings import VehicleSettings
from firmware_sim.vehicle.transitions import Phase
from firmware_sim.vehicle.wish import Seconds, Wish
from gateway.authorisation import IdToken, ListEntry, LocalList
from gateway.controller import Controller
from gateway.forwarder import Forwarder
from gateway.journal import Journal
from gateway.policy import ConnectorSetup, GatewayIdentity, Policy
from gateway.secc.setup import SeccSetup
from gateway.transaction import State
from hil_rigs.virtual_clock import VirtualClock, run_virtual
from ocmf.keys import decode_public_key
from ocmf.terms import IdType
from ocmf.transaction import judge_transaction
from ocmf.verify import verify_record
from ports.clock import Clock
from ports.dc_supply import DcRating
from ports.meter import MeterIdentity, Reading
from ports.trace import TraceEvent
from tests.gateway.doubles import KeySigner
from tests.gateway.point import ListBackend
from tests.v2g.session.pki import EMAID
from v2g.link.interfaces import in_memory

T = TypeVar("T")
START = datetime(2026, 11, 20, 8, tzinfo=UTC)
CARD = IdToken("04 A2 B3 C4")
RATING = DcRating(max_voltage_v=500.0, min_voltage_v=150.0, max_current_a=125.0, max_power_w=50_000.0)
STATION, VEHICLE = in_memory("fe80::5e", "station"), in_memory("fe80::e0", "vehicle")


class PlantMeter:
    """A meter with whole Wh at a measuring point of the plant."""

    label = "meter"

    def __init__(self, clock: Clock, point: MeasuringPoint) -> None:
        self._clock = clock
        self._point = point

    async def identify(self) -> MeterIdentity:
        return MeterIdentity("Maker", "Model", "METER1", "1.0")

    async def read_energy(self) -> Reading:
        wh = 1_000_000 + self._point.electrical().energy_import_wh
        value = wh.quantize(Decimal(1), "ROUND_DOWN") / 1000
        return Reading("energy", value, "kWh", "", self._clock.now(), self._clock.status(), self._clock.monotonic())

    async def read(self, names: tuple[str, ...] = ()) -> dict[str, Reading]:
        return {"energy": await self.read_energy()}

    async def close(self) -> None:
        return None


class Bench:
    """One connector and one vehicle. evcc: None for a vehicle that cannot talk."""

    def __init__(
        self,
        clock: VirtualClock,
        folder: Path,
        *,
        dc: bool = False,
        secc: dict[str, Any] | None = None,
        evcc: dict[str, Any] | None = None,
        talks: bool = True,
        policy: Policy | None = None,
        vehicle: VehicleSettings | None = None,
        controller: dict[str, Any] | None = None,
        cards: LocalList | None = None,
        signer_curve: ec.EllipticCurve | None = None,
    ) -> None:
        """secc, evcc, controller: arguments beside the usual ones. cards: the local list."""
        self.clock = clock
        self.folder = folder
        self.dc = dc
        self.trace: list[TraceEvent] = []
        self.plant = Circuit(clock, tracer=self.trace.append)
        settings = ChargerSettings(max_a=32, tethered=dc)
        self.outlet = self.plant.add_connector("c1", settings, dc=RATING if dc else None)
        self.vehicle = self.plant.add_vehicle("ev", vehicle or VehicleSettings(max_a=16))
        self.point = self.plant.point("c1")
        self.signer = KeySigner(None if signer_curve is None else ec.generate_private_key(signer_curve))
        self.backend = ListBackend()
        self.arguments = controller or {}
        self.cards = cards or LocalList([ListEntry(token=CARD), ListEntry(token=IdToken(EMAID, IdType.EMAID))])
        random = clock.fork_random("secc").randbytes
        protocols = ("iso2", "din") if dc else ("iso2",)
        setup = SeccSetup(link=STATION, protocols=protocols, dc=self.outlet.dc, random=random)
        self.setup = ConnectorSetup(
            control=self.outlet.charger,
            meter=PlantMeter(clock, self.point),
            point_id="DE*PLB*E0001",
            current_type="DC" if dc else "AC",
            offered_a=125.0 if dc else 16.0,
            max_power_kw=Decimal(60),
            policy=policy or Policy(sample_s=60.0),
            secc=replace(setup, **(secc or {})),
        )
        self.evcc: Communication | None = None
        if talks:
            own = EvccSetup(link=VEHICLE, dc=dc, protocols=("iso2",))
            self.evcc = Communication(self.vehicle, replace(own, **(evcc or {})), clock, self.trace.append)

    async def __aenter__(self) -> Bench:
        self.plant.start()
        journal = await Journal.open(self.folder / "journal.db", self.signer, self.clock)
        forwarder = Forwarder(journal, {"cpo": self.backend}, self.clock, random=self.clock.fork_random("forwarder"))
        identity = GatewayIdentity(identification="plugbench", serial="GW1", version="0.1", boot_id=self.clock.boot_id)
        self.journal = journal
        self.controller = Controller(
            identity,
            [self.setup],
            journal,
            forwarder,
            self.cards,
            self.clock,
            tracer=self.trace.append,
            **self.arguments,
        )
        await self.controller.start()
        self.secc = self.controller.seccs["c1"]
        self.connector = self.controller.by_name["c1"]
        if self.evcc is not None:
            self.evcc.start()
        return self

    async def __aexit__(self, *_error: object) -> None:
        if self.evcc is not None:
            await self.evcc.close()
        await self.controller.close()
        await self.plant.close()

    # what a driver does

    async def plug(self, wish: Wish | None = None) -> None:
        self.vehicle.want(wish or Seconds(60))
        self.vehicle.plug_in(self.outlet)
        await self.state(State.PLUGGED, State.LOCKING)

    async def card(self) -> None:
        await self.controller.authorise("c1", CARD)

    async def unplug(self) -> None:
        self.vehicle.unplug()
        await self.state(State.AVAILABLE)
        await self.clock.sleep(0.1)

    async def charging(self, within: float = 60.0) -> None:
        await self.soon(self.vehicle.until(Phase.CHARGING), within)

    async def state(self, *states: State, within: float = 60.0) -> State:
        return await self.soon(self.controller.wait_for("c1", *states), within)

    async def soon(self, work: Awaitable[T], within: float = 60.0) -> T:
        async with asyncio.timeout(within):
            return await work

    async def session(self, wish: Wish | None = None) -> None:
        """From the plug to the signed end; the plug stays in."""
        await self.plug(wish)
        await self.card()
        await self.charging()
        assert self.evcc is not None
        await self.soon(self.evcc.idle(), 7200)
        await self.state(State.PLUGGED)

    # what happened

    def messages(self, role: str = "SECC") -> list[str]:
        """Messages that one side saw, both directions, in order."""
        return [
            str(e.data["message"]) for e in self.trace if e.kind in ("v2g.rx", "v2g.tx") and e.data.get("role") == role
        ]

    def codes(self, name: str) -> list[str]:
        """Response codes of the station's answers of one name."""
        found = [e for e in self.trace if e.kind == "v2g.tx" and e.data.get("message") == name]
        return [find(e.data["decoded"], "ResponseCode") for e in found]

    def told(self, kind: str) -> list[TraceEvent]:
        return [event for event in self.trace if event.kind == kind]

    def modes(self) -> list[str]:
        return [str(event.data["mode"]) for event in self.told("secc.mode")]

    def outcomes(self) -> list[str]:
        """Of the station's sessions."""
        return [str(e.data["outcome"]) for e in self.told("secc.session") if e.data["outcome"] != "begun"]

    def at(self, kind: str, **data: object) -> float:
        """Time of the last event like this."""
        return next(e.at for e in reversed(self.told(kind)) if data.items() <= dict(e.data).items())

    async def records(self) -> list[tuple[str, str, str]]:
        """(transaction, context, TX) of the records at the backend."""
        import json

        return [
            (r.transaction_id, r.context, json.loads(r.ocmf.split("|")[1])["RD"][0]["TX"]) for r in self.backend.records
        ]

    def verified_kwh(self) -> dict[str, Decimal | None]:
        """Energy of each transaction, every record verified with the public key alone."""
        key = decode_public_key(bytes.fromhex(self.backend.records[0].public_key))
        found: dict[str, Decimal | None] = {}
        for name in dict.fromkeys(r.transaction_id for r in self.backend.records):
            own = [r for r in self.backend.records if r.transaction_id == name]
            contexts = [r.context if "Transaction" in r.context else "" for r in own]
            verdict = judge_transaction([verify_record(r.ocmf, key) for r in own], contexts=contexts)
            assert verdict.status.name == "OK", verdict
            found[name] = verdict.energy_kwh
        return found


def find(decoded: Any, name: str) -> Any:
    if isinstance(decoded, dict):
        for key, value in decoded.items():
            if key == name:
                return value
            if (found := find(value, name)) is not None:
                return found
    return None


def on_bench(main: Callable[[Bench], Awaitable[T]], start: datetime = START, **settings: Any) -> T:
    """Run a test on a bench in virtual time; what it did stays readable."""

    async def run(clock: VirtualClock) -> T:
        with tempfile.TemporaryDirectory() as folder:
            async with Bench(clock, Path(folder), **settings) as bench:
                return await main(bench)

    return run_virtual(run, start=start)
