"""The V2G ends of a fleet's stations that talk: a multicast group for each cable, with or without Plug & Charge."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv6Address
from pathlib import Path

from backend_client.opcp import OpcpClient
from backend_client.opcp_contracts import OpcpContracts
from firmware_sim.vehicle.certificate_store import CertificateStore
from firmware_sim.vehicle.communication import Communication
from firmware_sim.vehicle.evcc_setup import EvccSetup
from firmware_sim.vehicle.simulated import SimulatedVehicle
from gateway.secc.setup import SeccSetup
from hil_rigs.fleet.contracts import CERTIFICATES, emaid_of, vehicle_folder
from hil_rigs.fleet.plan import FleetPlan
from hil_rigs.virtual_clock import VirtualClock
from ports.trace import Tracer
from v2g.link.interfaces import Interface, in_memory
from v2g.link.sdp_client import TlsWish
from v2g.link.sdp_server import TlsPolicy
from v2g.link.tls_settings import Chain, StationTls, VehicleTls, read_certificates
from v2g.session.evcc import EvccSettings

CARD, CONTRACT = "ExternalPayment", "Contract"
V2G_ROOT, MO_ROOT = "v2g-root.pem", "mo-root.pem"


def secc_setup(
    number: int, name: str, folder: Path, pools: OpcpClient | None, clock: VirtualClock, tracer: Tracer
) -> SeccSetup:
    """Station's end. folder: of the fleet. pools: where contracts come from; None: cards only, and no TLS."""
    link = _end(number, f"fe80::5e:{number + 1:x}", f"{name}.secc")
    random = clock.fork_random(f"{name} secc").randbytes
    setup = SeccSetup(link=link, protocols=("iso2",), random=random)
    if pools is None:
        return setup
    certificates = folder / CERTIFICATES
    chain = Chain(certificates / "secc.chain.pem", certificates / "secc.key", None, certificates / V2G_ROOT)
    return replace(
        setup,
        payments=(CONTRACT, CARD),
        tls_policy=TlsPolicy.REQUIRED,
        tls=StationTls((chain,)),
        contract_roots=tuple(root for file in (MO_ROOT, V2G_ROOT) for root in read_certificates(certificates / file)),
        contract_source=OpcpContracts("pools", pools, clock, tracer),
    )


def make_evcc(
    plan: FleetPlan,
    number: int,
    name: str,
    folder: Path,
    vehicle: SimulatedVehicle,
    clock: VirtualClock,
    tracer: Tracer,
) -> Communication:
    """Vehicle's end, still to be started. folder: of the fleet. Raises RigError for certificates of no use."""
    link = _end(number, f"fe80::e0:{number + 1:x}", f"{name}.evcc")
    setup = EvccSetup(link=link, machine=EvccSettings(status=plan.iso15118.loop_s))
    if plan.has_contracts:
        setup = replace(
            setup,
            payment=CONTRACT,
            fallback=False,  # a driver who means to charge by contract tries again; see `driver`
            tls_wish=TlsWish.REQUIRED,
            tls=VehicleTls((folder / CERTIFICATES / V2G_ROOT,)),
            store=CertificateStore(vehicle_folder(folder, name)),
            emaid=emaid_of(number),
        )
    return Communication(vehicle, setup, clock, tracer)


def _end(number: int, address: str, name: str) -> Interface:
    """ff02::1 would reach the other stations, too."""
    return replace(in_memory(address, name), group=IPv6Address(f"ff02::1:{number + 1:x}"))
