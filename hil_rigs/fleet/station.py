"""One station of a fleet: the real controller, journal, forwarder and OCPP link around a simulated plant and meter."""

from __future__ import annotations

import os
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from pathlib import Path

from backend_client.credential import Credential
from backend_client.ocpp.link import OcppLink, open_ocpp
from backend_client.ocpp.settings import OcppSettings
from backend_client.opcp import OpcpClient
from firmware_sim.charger.settings import ChargerSettings
from firmware_sim.circuit import Circuit
from firmware_sim.vehicle.communication import Communication
from firmware_sim.vehicle.settings import VehicleSettings
from gateway.authorisation import IdToken, ListEntry, LocalList
from gateway.controller import Controller
from gateway.forwarder import Forwarder
from gateway.journal import Journal
from gateway.journal_file import RESERVE_BYTES, reserve_path
from gateway.journal_store import JournalStore
from gateway.policy import ConnectorSetup, GatewayIdentity, OcspPolicy, Policy
from gateway.secc.setup import SeccSetup
from hil_rigs.fleet.contracts import emaid_of
from hil_rigs.fleet.csms import URL, card_of
from hil_rigs.fleet.direct_bus import DirectBus
from hil_rigs.fleet.plan import FleetPlan
from hil_rigs.fleet.pools import pools_client
from hil_rigs.fleet.v2g import make_evcc, secc_setup
from hil_rigs.serial_line import MemoryLine
from hil_rigs.virtual_clock import VirtualClock
from hsm.file_signer import FileSigner, make_key_file
from meters.bus import Bus
from meters.modbus_meter import ModbusMeter
from meters.model import MeterModel, load_model
from meters.rtu_master import RtuMaster
from meters.simulated import SimulatedMeter
from ocmf.curves import CURVES
from ocmf.terms import IdType
from ports.trace import Tracer

CONNECTOR = "1"
VEHICLE = "ev"
MAX_A = 16.0
BATTERY_WH = 180_000  # at 90 % efficiency the largest EAmount of ISO 15118-2, 200 kWh
# a thousand logs of 16 MiB and caches of 2 MiB would fill the memory that they lie in; cache_size: KiB when negative
PRAGMAS = {"wal_autocheckpoint": 32, "cache_size": -64}
RECONNECT_MOST_S = 600.0  # between two attempts in an outage; nobody answers them, and each costs a connection
_MODELS: dict[str, MeterModel] = {}


def name_of(number: int) -> str:
    """Identity of station 0, 1, ... at the CSMS, and serial number of its gateway."""
    return f"FLEET-{number:05}"


def meter_of(number: int) -> str:
    """Serial number of its meter."""
    return f"{20_000_000 + number}"


@dataclass(slots=True)
class Station:
    """A station that is up. card: known to its local list. evcc: of a vehicle that talks, None otherwise.

    pools: its way to contracts, None where there are none.
    """

    name: str
    plant: Circuit
    simulated: SimulatedMeter
    controller: Controller
    journal: Journal
    forwarder: Forwarder
    link: OcppLink
    card: IdToken
    evcc: Communication | None
    bus: Bus
    pools: OpcpClient | None

    @property
    def waiting(self) -> int:
        """Signed records that the CSMS has not answered for good."""
        return sum(self.forwarder.waiting().values())

    async def close(self) -> None:
        """Raises an ExceptionGroup of what failed unexpectedly since the start."""
        if self.evcc is not None:
            await self.evcc.close()
        try:
            await self.controller.close()
        finally:
            await self.bus.close()
            await self.plant.close()
            if self.pools is not None:
                await self.pools.close()


async def open_station(
    plan: FleetPlan, number: int, folder: Path, password: Path, clock: VirtualClock, tracer: Tracer
) -> tuple[Station, str]:
    """Put a station up; also its public key (DER in hex). folder: for journal, OCPP state and key. Raises RigError."""
    name, digital = name_of(number), number < plan.iso15118.stations
    own = folder / name
    own.mkdir(mode=0o700)
    plant = _plant(plan, clock, tracer)
    plant.start()
    simulated = SimulatedMeter(_model(), plant.point(CONNECTOR), serial=meter_of(number), label=f"{name} meter")
    bus = _bus(plan, simulated, clock, tracer)
    meter = ModbusMeter(f"{name} meter", _model(), bus, clock, settings=_model().settings, tracer=tracer)
    make_key_file(own / "key.pem", CURVES["secp256r1"])
    signer = FileSigner(own / "key.pem", name)
    journal = await _journal(own / "journal.db", signer, clock, tracer)
    settings = OcppSettings(
        url=URL,
        identity=name,
        state_file=own / "ocpp.db",
        name="csms",
        password=Credential(password),
        heartbeat_s=plan.heartbeat_s,
        ping_s=plan.ping_s,
        reconnect_most_s=RECONNECT_MOST_S,
    )
    link = open_ocpp(settings, clock, tracer=tracer, random=clock.fork_random(f"{name} link"))
    random = clock.fork_random(f"{name} forwarder")
    forwarder = Forwarder(journal, {"csms": link}, clock, random=random, tracer=tracer)
    card = IdToken(card_of(number))
    known = [card]
    pools: OpcpClient | None = None
    if digital and plan.has_contracts:
        pools = pools_client(name, folder, clock)
        known.append(IdToken(emaid_of(number), IdType.EMAID))
    secc = secc_setup(number, name, folder, pools, clock, tracer) if digital else None
    controller = Controller(
        GatewayIdentity(identification="Plugbench", serial=name, version="fleet", boot_id=clock.boot_id),
        [_connector(plan, number, plant, meter, secc)],
        journal,
        forwarder,
        LocalList(ListEntry(token=one) for one in known),
        clock,
        authorisers=[link],
        tracer=tracer,
    )
    await controller.start()
    link.attach(controller)
    await link.start()
    evcc = make_evcc(plan, number, name, folder, plant.vehicles[VEHICLE], clock, tracer) if digital else None
    if evcc is not None:
        evcc.start()
    identity = await signer.identity()
    station = Station(name, plant, simulated, controller, journal, forwarder, link, card, evcc, bus, pools)
    return station, identity.public_key.hex()


def _plant(plan: FleetPlan, clock: VirtualClock, tracer: Tracer) -> Circuit:
    plant = Circuit(clock, seed=plan.seed, tracer=tracer)
    plant.add_connector(CONNECTOR, ChargerSettings(max_a=MAX_A, phases=3))
    plant.add_vehicle(VEHICLE, VehicleSettings(capacity_wh=BATTERY_WH, max_a=MAX_A))
    return plant


def _model() -> MeterModel:
    if not _MODELS:
        _MODELS["sdm630"] = load_model("eastron_sdm630")
    return _MODELS["sdm630"]


def _bus(plan: FleetPlan, simulated: SimulatedMeter, clock: VirtualClock, tracer: Tracer) -> Bus:
    if plan.meters == "direct":
        return DirectBus(simulated)
    settings = _model().settings
    line = MemoryLine(settings, [simulated], time=clock.monotonic, name=simulated.label)
    return RtuMaster(line.port(settings, simulated.label), tracer)


async def _journal(path: Path, signer: FileSigner, clock: VirtualClock, tracer: Tracer) -> Journal:
    with reserve_path(path).open("wb") as reserve:  # room that is only claimed: a thousand times 1 MiB is too much
        os.truncate(reserve.fileno(), RESERVE_BYTES)
    open_store = partial(JournalStore.open, pragmas=PRAGMAS)
    return await Journal.open(path, signer, clock, tracer=tracer, open_store=open_store)


def _connector(
    plan: FleetPlan, number: int, plant: Circuit, meter: ModbusMeter, secc: SeccSetup | None
) -> ConnectorSetup:
    return ConnectorSetup(
        control=plant.connectors[CONNECTOR].charger,
        meter=meter,
        point_id=f"DE*PLB*E{number:06}",
        offered_a=MAX_A,
        max_power_kw=Decimal(14),
        secc=secc,
        policy=Policy(sample_s=plan.reading_interval_s, poll_s=plan.live_interval_s, ocsp=OcspPolicy.OFF),
    )
