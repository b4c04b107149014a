"""What happens long before a vehicle plugs in: its maker publishes it, its mobility operator has a contract made."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from backend_client.opcp import OpcpClient
from backends.pki.export import as_pem, write
from firmware_sim.vehicle.certificate_store import read_private_key
from hil_rigs.plug_and_charge_checks import AUTO
from hil_rigs.resources import MoResource, OemResource, VehicleResource
from hil_rigs.rig import Rig
from hil_rigs.wiring.pools import Pools
from hil_rigs.wiring.run_pki import UPDATE_DUE, RunPki
from hil_rigs.wiring.vehicle_maker import provision
from ports.clock import Clock
from ports.errors import RigError
from ports.trace import TraceEvent, Tracer
from v2g.certificates import load, public_key
from v2g.contract_key import ISO2, SealedKey, agreement, open_key
from v2g.exi.codec import decode
from v2g.link.tls_settings import read_certificates

if TYPE_CHECKING:  # imported where it is served
    from backends.operators.oem.serve import RunningOem

CONTRACT_LIFE = timedelta(days=365)


async def order_contracts(
    rig: Rig, pools: Pools, makers: Mapping[str, RunningOem], pki: RunPki, clock: Clock, tracer: Tracer
) -> None:
    """Publish and order for every vehicle that wants a contract, over HTTP. Raises PeerError, RigError."""
    oem = next((name for name, one in rig.resources.items() if isinstance(one, OemResource) and one.pools), None)
    mo = next((name for name, one in rig.resources.items() if isinstance(one, MoResource) and one.pools), None)

    def trace(kind: str, source: str, **data: object) -> None:
        tracer(TraceEvent(clock.monotonic(), "backend", kind, source, data))

    for name, vehicle in rig.resources.items():
        if not isinstance(vehicle, VehicleResource) or vehicle.auth != "pnc" or vehicle.contract == "preinstalled":
            continue
        folder = pki.of_vehicle(name, vehicle)
        if folder is None:
            raise RigError(f"{name}: it has no certificates")
        maker = makers.get(oem or "")
        if maker is not None and oem is not None and vehicle.pki == AUTO and not vehicle.bad_provisioning:
            await provision(maker, vehicle, folder)
            trace("oem.published", oem, pcid=vehicle.pcid)
        elif oem is not None:
            leaf, *sub_cas = (one.dump() for one in read_certificates(folder / "provisioning.chain.pem"))
            # PCP names the issuer of the leaf last: sub-CA 1 is below the root
            await pools.clients[oem].publish_vehicle(leaf, *reversed(sub_cas))
            trace("oem.published", oem, pcid=vehicle.pcid)
        if mo is None:
            continue
        now = clock.now()
        if vehicle.contract == "update_due" and oem is not None:  # it has an older one, which its maker has put there
            await pools.clients[mo].generate_contract(vehicle.emaid, vehicle.pcid, now, now + UPDATE_DUE)
            await _put_into(folder, vehicle, pools.clients[oem])
            trace("oem.installed", oem, emaid=vehicle.emaid, pcid=vehicle.pcid)
        await pools.clients[mo].generate_contract(vehicle.emaid, vehicle.pcid, now, now + CONTRACT_LIFE)
        trace("mo.ordered", mo, emaid=vehicle.emaid, pcid=vehicle.pcid)


async def _put_into(folder: Path, vehicle: VehicleResource, client: OpcpClient) -> None:
    """The vehicle's maker fetches its contract and writes it where the vehicle has its files."""
    provided = await client.provide_contract(vehicle.emaid, vehicle.pcid)
    message: Any = decode("iso2", provided.message)
    answer = message.Body.BodyElement
    chain = answer.ContractSignatureCertChain
    certificates = [load(chain.Certificate), *(load(one) for one in chain.SubCertificates.Certificate)]
    sealed = SealedKey(answer.ContractSignatureEncryptedPrivateKey.value, answer.DHpublickey.value)
    own = read_private_key(folder / "provisioning.key")
    owner: Any = public_key(certificates[0])
    key: Any = open_key(ISO2, sealed, agreement(own), owner)
    write(folder / "contract.chain.pem", as_pem(certificates))
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    write(folder / "contract.key", pem, 0o600)
