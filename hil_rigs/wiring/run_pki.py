"""Certificates and keys of a rig: a folder as `plugbench pki export` writes it, or one that the run makes."""

from __future__ import annotations

from pathlib import Path

from backends.pki.build_realm import build_realm
from backends.pki.export import export_plain
from backends.pki.folder import Settings, create_folder, open_folder
from hil_rigs.resources import VehicleResource
from hil_rigs.rig import Rig
from ports.clock import Clock

AUTO = "auto"
PRESET = "iso2-strict"


async def prepare_pki(rig: Rig, private: Path, clock: Clock) -> Path:
    """Make the run's own PKI when something of the rig says `pki: auto`; its folder. Raises RigError."""
    folder = private / "pki" / "certs"
    seccs = [connector.secc for connector in rig.gateway.connectors if connector.secc is not None]
    vehicles = [one for one in rig.resources.values() if isinstance(one, VehicleResource)]
    if AUTO in {*(secc.pki for secc in seccs), *(vehicle.pki for vehicle in vehicles)}:
        create_folder(private / "pki", Settings())
        async with open_folder(private / "pki", clock) as authorities:
            issued = await build_realm(authorities, "rig", PRESET, actor="rig")
            export_plain(issued, folder, authorities.keys)
    return folder


def pki_folder(named: str, own: Path) -> Path:
    """The folder that a resource names. own: the run's."""
    return own if named == AUTO else Path(named)
