"""What is there before a fleet begins: one PKI, certificates of stations and vehicles, and a contract ordered for each.

It is made once, by the process that starts the others, and written where all of them read it.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from backend_client.opcp import Credentials, OpcpClient
from backends.bring_up import Running, brought_up
from backends.pki.authorities import CertificateAuthorities, Order
from backends.pki.export import export_plain, newest_of_realm
from firmware_sim.vehicle.certificate_store import CertificateStore
from hil_rigs.fleet.plan import FleetPlan
from hil_rigs.fleet.pools import CPO, CPO_SECRET, FOLDER, URL, pools_plan
from hil_rigs.virtual_clock import VirtualClock
from hil_rigs.wiring.pools import EDITION
from hil_rigs.wiring.secret_file import write_secret
from ports.clock import Clock
from ports.errors import RigError

CERTIFICATES = "certificates"  # folder: what the stations show and trust
VEHICLES = "vehicles"  # folder: of each vehicle its certificate store
OEM, MO = "oem", "mo"  # clients of the pools
ACTOR = "fleet"
CONTRACT_LIFE = timedelta(days=365)  # longer than any fleet


def emaid_of(number: int) -> str:
    """Contract of the vehicle at station 0, 1, ..."""
    return f"DEPLBC{number + 1:08}"


def pcid_of(number: int) -> str:
    """Name of its provisioning certificate."""
    return f"PLBFLEET{number + 1:09}"


def vehicle_folder(folder: Path, station: str) -> Path:
    """Where the vehicle of a station keeps its certificates. folder: of the fleet."""
    return folder / VEHICLES / station


async def prepare_contracts(plan: FleetPlan, stations: list[str], folder: Path, clock: VirtualClock) -> None:
    """Make all of it. stations: names of those whose vehicles want a contract. Raises PeerError, RigError."""
    async with brought_up(pools_plan(folder), clock) as running:
        authorities = running.services.authorities
        if authorities is None:
            raise RigError("the pools of a fleet have their own PKI")
        found = await newest_of_realm(authorities, EDITION)
        export_plain({kind: found[kind] for kind in ("v2g-root", "mo-root")}, folder / CERTIFICATES)
        export_plain({"secc": found["secc"]}, folder / CERTIFICATES, authorities.keys)
        write_secret(folder / FOLDER / CPO_SECRET, _secret(running, CPO))
        async with _client(running, OEM, folder, clock) as oem, _client(running, MO, folder, clock) as mo:
            for number, station in enumerate(stations):
                leaf, *sub_cas = await _provision(authorities, number, vehicle_folder(folder, station), found)
                # PCP names the issuer of the leaf last: sub-CA 1 is below the root
                await oem.publish_vehicle(leaf, *reversed(sub_cas))
                ends = plan.start + CONTRACT_LIFE
                await mo.generate_contract(emaid_of(number), pcid_of(number), plan.start, ends)


async def _provision(
    authorities: CertificateAuthorities, number: int, folder: Path, realm: dict[str, Any]
) -> tuple[bytes, ...]:
    """A vehicle as it leaves its factory, without a contract: its provisioning certificate and sub-CAs, DER."""
    issued = await authorities.issue(
        Order(realm=EDITION, kind="provisioning", common_name=pcid_of(number)), actor=ACTOR
    )
    chain = tuple(one.dump() for one in (issued.certificate, *issued.sub_cas))
    store = CertificateStore(folder)
    store.add_root(realm["v2g-root"].certificate)
    store.set_provisioning(chain, authorities.keys.load(issued.stored.key_reference).key)
    return chain


def _client(running: Running, who: str, folder: Path, clock: Clock) -> OpcpClient:
    path = folder / FOLDER / f"{who}.secret"
    write_secret(path, _secret(running, who))
    return OpcpClient(URL, Credentials(who, path, running.audience), clock)


def _secret(running: Running, who: str) -> str:
    return next(one.client_secret for one in running.clients if one.client_id == who)
