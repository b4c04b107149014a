"""The V2G ends of a rig: the SECC of a connector, the EVCC of a vehicle, and the cable's link between them.

In virtual time a link is a multicast group of the network in memory, one for each connector; in real time it is the
loopback with an SDP port for each connector (no root, no interface), or two interfaces of this machine, one for each
end, with multicast and the port of the standard.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from ipaddress import IPv6Address
from pathlib import Path

from firmware_sim.circuit import Circuit
from firmware_sim.vehicle.certificate_store import CertificateStore
from firmware_sim.vehicle.communication import Communication
from firmware_sim.vehicle.evcc_setup import EvccSetup, read_contract_files
from gateway.controller import Controller
from gateway.secc.setup import SeccSetup
from hil_rigs.resources import ChargerResource, VehicleResource
from hil_rigs.rig import Connector, Rig, Session
from hil_rigs.virtual_clock import VirtualClock
from hil_rigs.wiring.network_namespace import CommunicationThere, NetworkNamespace, Within
from hil_rigs.wiring.run_pki import STAPLE, RunPki
from ports.clock import Clock
from ports.contracts import ContractSource
from ports.faults import FaultHook, no_fault
from ports.trace import TraceEvent, Tracer
from v2g import sdp
from v2g.link.interfaces import LOOPBACK, Interface, in_memory, ready_interface
from v2g.link.recording import Recording
from v2g.link.sdp_client import TlsWish
from v2g.link.sdp_server import TlsPolicy
from v2g.link.tls_settings import Chain, StationTls, VehicleTls, read_certificates
from v2g.session.faults import FaultPlan

PAYMENTS = {"eim": "ExternalPayment", "pnc": "Contract"}


@dataclass(slots=True)
class Link:
    """The link of one connector. station, vehicle: its ends; None where each vehicle has an interface of its own.

    faults: of the session that is on, by side. recording: every octet of the station's end, for Wireshark.
    """

    connector: str
    station: Interface
    vehicle: Interface | None
    sdp_port: int
    recording: Recording
    faults: dict[str, FaultHook] = field(default_factory=dict)

    def hook(self, side: str) -> Callable[[], FaultHook]:
        """What breaks messages of one side now."""
        return lambda: self.faults.get(side, no_fault)

    def break_as(self, session: Session) -> None:
        """The faults of a session, counted from now."""
        wanted = {"station": session.station_faults, "vehicle": session.vehicle_faults}
        self.faults = {side: FaultPlan(faults) for side, faults in wanted.items() if faults}


async def build_links(rig: Rig, private: Path, clock: Clock) -> dict[str, Link]:
    """One link for each connector that talks, by its id. Raises RigError for interfaces that cannot be used."""
    since = clock.now().timestamp() - clock.monotonic()
    links = {}
    for number, connector in enumerate(rig.gateway.connectors, 1):
        if connector.secc is None:
            continue
        station_name, vehicle_name = f"{connector.id}.secc", f"{connector.id}.evcc"
        vehicle: Interface | None = None
        if connector.secc.interface is not None:
            station = replace(await ready_interface(connector.secc.interface, clock), name=station_name)
            port = sdp.UDP_PORT
        elif clock.is_virtual:
            group = IPv6Address(f"ff02::1:{number:x}")  # ff02::1 would reach the other connectors too
            station = replace(in_memory(f"fe80::5e:{number:x}", station_name), group=group)
            vehicle = replace(in_memory(f"fe80::e0:{number:x}", vehicle_name), group=group)
            port = sdp.UDP_PORT
        else:
            station = replace(LOOPBACK, name=station_name)
            vehicle = replace(LOOPBACK, name=vehicle_name)
            port = 0
        recording = Recording(since, private / f"{number}.keys")
        links[connector.id] = Link(connector.id, station, vehicle, port, recording)
    return links


def tracer_of(links: dict[str, Link], tracer: Tracer) -> Tracer:
    """Also shows each recording the SDP of its link."""
    by_name = {link.station.name: link.recording for link in links.values()}

    def trace(event: TraceEvent) -> None:
        tracer(event)
        if (recording := by_name.get(event.source)) is not None:
            recording.trace(event)

    return trace if links else tracer


def secc_setup(
    rig: Rig,
    connector: Connector,
    link: Link,
    plant: Circuit,
    pki: RunPki,
    source: ContractSource | None,
    clock: Clock,
) -> SeccSetup:
    """The SECC of a connector. source: of contracts. Raises RigError for unusable files."""
    said, board = connector.secc, rig.resources[connector.board]
    if said is None or not isinstance(board, ChargerResource):
        raise AssertionError(connector.id)
    tls = roots = None
    folder = pki.of_station(connector)
    if folder is not None:
        staple = folder / STAPLE if said.staple else None
        chain = Chain(folder / "secc.chain.pem", folder / "secc.key", None, folder / "v2g-root.pem", staple)
        tls = StationTls((chain,), key_log=link.recording.key_log)
        files = [folder / name for name in ("mo-root.pem", "v2g-root.pem") if (folder / name).is_file()]
        roots = tuple(root for file in files for root in read_certificates(file))
    random = clock.fork_random(f"secc {connector.id}").randbytes if isinstance(clock, VirtualClock) else os.urandom
    return SeccSetup(
        link=link.station,
        sdp_port=link.sdp_port,
        protocols=tuple(said.protocols) if board.energy == "dc" else ("iso2",),
        payments=tuple(PAYMENTS[one] for one in said.auth),
        tls_policy=TlsPolicy(said.tls),
        tls=tls if said.tls != "off" else None,
        contract_roots=roots,
        contract_source=source,
        phases=board.phases,
        nominal_v=board.voltage_v,
        dc=plant.connectors[connector.id].dc,
        communication_s=said.communication_s,
        session_id_octets=said.session_id_octets,
        random=random,
        record=link.recording,
        hook=link.hook("station"),
    )


async def build_vehicles(
    rig: Rig, links: dict[str, Link], plant: Circuit, pki: RunPki, private: Path, clock: Clock, tracer: Tracer
) -> dict[str, Communication]:
    """The EVCC of each vehicle that talks, still to be started. private: for what they keep. Raises RigError."""
    if not links:
        return {}
    vehicles: dict[str, Communication] = {}
    for number, (name, one) in enumerate(rig.resources.items()):
        if not isinstance(one, VehicleResource) or one.protocol == "none":
            continue
        namespace = NetworkNamespace(one.netns) if one.netns is not None else None
        link = LOOPBACK  # the session says where, see `lead_to`
        if one.interface is not None:
            looking = ready_interface(one.interface, clock)
            found = await (looking if namespace is None else Within(looking, namespace))
            link = replace(found, name=f"{name}.evcc")
        setup = _evcc(one, link, pki.of_vehicle(name, one), private / f"vehicle-{number}")
        plugged = plant.vehicles[name]
        vehicles[name] = (
            Communication(plugged, setup, clock, tracer)
            if namespace is None
            else CommunicationThere(plugged, setup, clock, tracer, namespace)
        )
    return vehicles


def lead_to(vehicle: Communication, link: Link, controller: Controller) -> None:
    """The cable of this connector is plugged into the vehicle."""
    station = controller.seccs[link.connector].station
    port = station.sdp_port if station is not None else sdp.UDP_PORT
    end = vehicle.setup.link if link.vehicle is None else link.vehicle
    vehicle.setup = replace(vehicle.setup, link=end, sdp_port=lambda: port, hook=link.hook("vehicle"))


def _evcc(one: VehicleResource, link: Interface, folder: Path | None, private: Path) -> EvccSetup:
    """private: where the vehicle keeps what it gets."""
    contract, store = None, CertificateStore(private)
    if folder is not None and one.auth == "pnc":
        has_one = one.contract != "none"
        store.import_pki(folder, contract=has_one and not one.bad_contract)
        if has_one and one.bad_contract:  # shown all the same, where a good vehicle would not
            chain = folder / "contract.chain.pem"  # one that is its own issuer has none
            contract = read_contract_files(
                chain if chain.exists() else folder / "contract.pem", folder / "contract.key"
            )
    return EvccSetup(
        link=link,
        evcc_id=bytes.fromhex(one.evcc_id.replace(":", "")),
        protocols=(one.protocol,),
        payment=PAYMENTS[one.auth],
        fallback=one.fallback,
        dc=one.energy == "dc",
        departure_s=one.departure_s,
        tls_wish=TlsWish.REQUIRED if one.tls else TlsWish.OFF,
        tls=VehicleTls((folder / "v2g-root.pem",), require_staple=one.staple)
        if one.tls and folder is not None
        else None,
        store=store,
        emaid=one.emaid,
        contract=contract,
    )
