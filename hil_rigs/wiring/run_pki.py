"""Certificates and keys of a rig: folders as `plugbench pki export` writes them, or those that the run makes.

What the run makes comes from the PKI of its embedded pools, where it has some: one V2G root for station, CPS and
vehicle.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from backends.pki.authorities import CertificateAuthorities, Issued, Order
from backends.pki.build_realm import build_realm
from backends.pki.export import export_plain, newest_of_realm, write
from backends.pki.folder import Settings, create_folder, open_folder
from backends.pki.ocsp_responder import OcspResponder
from backends.pki.revocation import ocsp_request
from hil_rigs.plug_and_charge_checks import AUTO
from hil_rigs.resources import VehicleResource
from hil_rigs.rig import Connector, Rig
from hil_rigs.wiring.pools import EDITION, Pools
from ports.clock import Clock

STAPLE = "secc.ocsp"
STAPLE_S = 7 * 86400  # no rig runs longer
UPDATE_DUE = timedelta(days=10)  # what is left of a contract that its vehicle wants renewed
_DEFAULTS = {"contract": "DEPLBC00000001", "provisioning": "PLBPROVCERT000001"}  # of the preset


@dataclass(frozen=True, slots=True)
class RunPki:
    """common: the run's own folder. own: of those with certificates of their own, by ("vehicle" or "secc", name)."""

    common: Path
    own: Mapping[tuple[str, str], Path] = field(default_factory=dict)

    def of_vehicle(self, name: str, resource: VehicleResource) -> Path | None:
        """Where a vehicle's certificates are; None: it has none."""
        return self._folder(resource.pki, ("vehicle", name))

    def of_station(self, connector: Connector) -> Path | None:
        """Where a connector's SECC certificates are."""
        return None if connector.secc is None else self._folder(connector.secc.pki, ("secc", connector.id))

    def _folder(self, named: str | None, who: tuple[str, str]) -> Path | None:
        if named is None:
            return None
        return self.own.get(who, self.common) if named == AUTO else Path(named)


async def prepare_pki(rig: Rig, private: Path, clock: Clock, pools: Pools) -> RunPki:
    """Make what something of the rig calls `pki: auto`. Raises RigError, CertificateError."""
    folder = private / "certs"
    seccs = [connector.secc for connector in rig.gateway.connectors if connector.secc is not None]
    vehicles = [one for one in rig.resources.values() if isinstance(one, VehicleResource)]
    if AUTO not in {*(secc.pki for secc in seccs), *(vehicle.pki for vehicle in vehicles)}:
        return RunPki(folder)
    if pools.own is not None and pools.own.services.authorities is not None:
        return await _export(rig, pools.own.services.authorities, EDITION, folder)
    create_folder(private / "pki", Settings())
    async with open_folder(private / "pki", clock) as authorities:
        await build_realm(authorities, EDITION, EDITION, actor="rig")
        return await _export(rig, authorities, EDITION, folder)


async def _export(rig: Rig, authorities: CertificateAuthorities, realm: str, folder: Path) -> RunPki:
    common = await newest_of_realm(authorities, realm)
    export_plain(common, folder, authorities.keys)
    own: dict[tuple[str, str], Path] = {}

    async def take(who: tuple[str, str], orders: list[Order]) -> None:
        if not orders:
            return
        issued = {order.kind: await authorities.issue(order, actor="rig") for order in orders}
        own[who] = folder / f"own-{len(own)}"
        everything: dict[str, Issued] = {**common, **issued}
        export_plain(everything, own[who], authorities.keys)

    for name, resource in rig.resources.items():
        if isinstance(resource, VehicleResource) and resource.pki == AUTO:
            await take(("vehicle", name), _vehicle_orders(resource, authorities, realm))
    for connector in rig.gateway.connectors:
        if connector.secc is not None and connector.secc.bad_certificate:
            bad = connector.secc.bad_certificate
            await take(("secc", connector.id), [Order(realm=realm, kind="secc", bad=bad)])
    if any(one.secc is not None and one.secc.staple for one in rig.gateway.connectors):
        secc = common["secc"]
        responder = OcspResponder(authorities, STAPLE_S)
        answer = await responder.answer(ocsp_request(secc.certificate, secc.sub_cas[0]))
        write(folder / STAPLE, answer.der)
    return RunPki(folder, own)


def _vehicle_orders(vehicle: VehicleResource, authorities: CertificateAuthorities, realm: str) -> list[Order]:
    """What the certificates that everybody shares do not fit for."""
    orders = []
    wants_a_contract = vehicle.auth == "pnc" and vehicle.contract != "preinstalled"  # its maker may certify it anew
    if vehicle.pcid != _DEFAULTS["provisioning"] or vehicle.bad_provisioning or wants_a_contract:
        orders.append(Order(realm=realm, kind="provisioning", common_name=vehicle.pcid, bad=vehicle.bad_provisioning))
    ends = authorities.clock.now() + UPDATE_DUE if vehicle.contract == "update_due" else None
    if vehicle.emaid != _DEFAULTS["contract"] or vehicle.bad_contract or ends is not None:
        # a name that is wrong on purpose comes from the variant
        orders.append(
            Order(realm=realm, kind="contract", common_name=vehicle.emaid, valid_to=ends, bad=vehicle.bad_contract)
        )
    return orders


def write_public(pki: RunPki, folder: Path) -> None:
    """What others need to check signatures of the run: certificates/roots.pem and sub-cas.pem."""
    for name, pattern in (("roots.pem", "*-root.pem"), ("sub-cas.pem", "*-sub?.pem")):
        files = sorted(pki.common.glob(pattern))
        if files:
            write(folder / "certificates" / name, b"".join(path.read_bytes() for path in files))
