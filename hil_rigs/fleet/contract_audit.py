"""What pools and vehicles say of contracts after a fleet has run: each vehicle has the one that was ordered for it."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import sqlalchemy as sa

from backends.store.schema import CONTRACT_CERTIFICATES, CONTRACTS
from firmware_sim.vehicle.certificate_store import CertificateStore
from hil_rigs.fleet.audit import Audit
from hil_rigs.fleet.contracts import emaid_of, pcid_of, vehicle_folder
from hil_rigs.fleet.pools import DATABASE, FOLDER


def audit_contracts(
    found: Audit, stations: list[str], folder: Path, handed_out: Mapping[str, int], installed: Mapping[str, int]
) -> None:
    """Compare the pools' database with the vehicles' stores, and count into `found`.

    stations: whose vehicles want a contract. folder: of the fleet. handed_out, installed: how often the pools and the
    vehicles did so, by station. Raises RigError, sqlalchemy's errors when the files are not those of a fleet.
    """
    ordered = _ordered(folder)
    for number, station in enumerate(stations):
        given, taken, at_pools = handed_out.get(station, 0), installed.get(station, 0), ordered.pop(pcid_of(number), [])
        in_vehicle = [
            (one.emaid, hashlib.sha256(one.credentials.certificates[0]).hexdigest())
            for one in CertificateStore(vehicle_folder(folder, station)).contracts
        ]
        found.handed_out += given
        found.contracts += taken == 1 and len(in_vehicle) == 1
        twice = max(0, taken - 1, len(in_vehicle) - 1) + max(0, len(at_pools) - 1)
        found.doubled += twice
        if twice:
            found.problems.append(
                f"{station}: its vehicle installed {taken} contracts and has {len(in_vehicle)},"
                f" the pools made {len(at_pools)}"
            )
        if not in_vehicle:
            found.problems.append(f"{station}: its vehicle has no contract; the pools handed out {given}")
        elif in_vehicle != at_pools or in_vehicle[0][0] != emaid_of(number):
            found.problems.append(
                f"{station}: its vehicle has {in_vehicle[0][0]}, which is not what the pools have for it"
            )
        if given < taken:
            found.problems.append(f"{station}: the pools handed out {given} contracts, its vehicle installed {taken}")
    found.problems += [f"the pools have a contract for {pcid}, a vehicle that is none of the fleet" for pcid in ordered]


def _ordered(folder: Path) -> dict[str, list[tuple[str, str]]]:
    """By PCID: EMAID and fingerprint of every contract certificate that the pools have ever had for it."""
    engine = sa.create_engine(f"sqlite:///{folder / FOLDER / DATABASE}")
    query = sa.select(CONTRACTS.c.pcid, CONTRACTS.c.emaid, CONTRACT_CERTIFICATES.c.fingerprint).join(
        CONTRACT_CERTIFICATES, CONTRACT_CERTIFICATES.c.emaid_key == CONTRACTS.c.emaid_key
    )
    contracts: dict[str, list[tuple[str, str]]] = defaultdict(list)
    try:
        with engine.connect() as connection:
            for row in connection.execute(query):
                contracts[row.pcid].append((row.emaid, row.fingerprint))
    finally:
        engine.dispose()
    return contracts
