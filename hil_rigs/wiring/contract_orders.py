"""What happens long before a vehicle plugs in: its maker publishes it, its mobility operator has a contract made."""

from __future__ import annotations

from datetime import timedelta

from hil_rigs.resources import MoResource, OemResource, VehicleResource
from hil_rigs.rig import Rig
from hil_rigs.wiring.pools import Pools
from hil_rigs.wiring.run_pki import RunPki
from ports.clock import Clock
from ports.errors import RigError
from ports.trace import TraceEvent, Tracer
from v2g.link.tls_settings import read_certificates

CONTRACT_LIFE = timedelta(days=365)


async def order_contracts(rig: Rig, pools: Pools, pki: RunPki, clock: Clock, tracer: Tracer) -> None:
    """Publish and order for every vehicle that wants a contract, over HTTP. Raises OpcpError, RigError."""
    oem = next((name for name, one in rig.resources.items() if isinstance(one, OemResource) and one.pools), None)
    mo = next((name for name, one in rig.resources.items() if isinstance(one, MoResource) and one.pools), None)
    for name, vehicle in rig.resources.items():
        if not isinstance(vehicle, VehicleResource) or vehicle.auth != "pnc" or vehicle.contract == "preinstalled":
            continue
        if oem is not None:
            folder = pki.of_vehicle(name, vehicle)
            if folder is None:
                raise RigError(f"{name}: no certificates to publish")
            leaf, *sub_cas = (one.dump() for one in read_certificates(folder / "provisioning.chain.pem"))
            # PCP names the issuer of the leaf last: sub-CA 1 is below the root
            await pools.clients[oem].publish_vehicle(leaf, *reversed(sub_cas))
            tracer(TraceEvent(clock.monotonic(), "backend", "oem.published", oem, {"pcid": vehicle.pcid}))
        if mo is not None:
            now = clock.now()
            await pools.clients[mo].generate_contract(vehicle.emaid, vehicle.pcid, now, now + CONTRACT_LIFE)
            data = {"emaid": vehicle.emaid, "pcid": vehicle.pcid}
            tracer(TraceEvent(clock.monotonic(), "backend", "mo.ordered", mo, data))
