"""The vehicle maker of a rig: an embedded one is served by the run, certifies its vehicles and publishes them."""

from __future__ import annotations

import base64
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from backends.pki.export import as_pem, write
from backends.store.database import Database
from firmware_sim.vehicle.certificate_store import read_private_key
from hil_rigs.resources import OemResource, VehicleResource
from hil_rigs.resources.url import EMBEDDED
from hil_rigs.rig import Rig
from hil_rigs.wiring.pools import Pools
from ports.clock import Clock
from ports.errors import PeerError
from ports.trace import Tracer
from v2g.certificates import load

if TYPE_CHECKING:  # imported where it is served
    from backends.operators.oem.serve import RunningOem


async def build_makers(
    rig: Rig, pools: Pools, folder: Path, clock: Clock, tracer: Tracer, stack: AsyncExitStack
) -> dict[str, RunningOem]:
    """Serve the embedded ones that work with pools, by resource name. folder: for databases.

    Raises RigError, PeerError.
    """
    makers: dict[str, RunningOem] = {}
    for name, resource in rig.resources.items():
        if not isinstance(resource, OemResource) or resource.url != EMBEDDED or resource.pools not in pools.embedded:
            continue
        from backends.operators.oem import tables
        from backends.operators.oem.serve import serve_oem
        from backends.operators.oem.settings import OemSettings

        database = Database(f"sqlite:///{folder / f'{name}.db'}", clock, tables.prepare)
        stack.push_async_callback(database.close)
        makers[name] = await serve_oem(OemSettings(name=name), database, clock, pools.clients[name], tracer)
        stack.push_async_callback(makers[name].close)
    return makers


async def provision(maker: RunningOem, vehicle: VehicleResource, folder: Path) -> None:
    """As in the factory: the vehicle shows its key, the maker has it certified and publishes the certificate.

    folder: of the vehicle; its provisioning.key stays, certificate and chain are written anew. Raises PeerError.
    """
    token = await maker.add_vehicle(vehicle.pcid)
    name = x509.load_pem_x509_certificate((folder / "provisioning.pem").read_bytes()).subject
    key: Any = read_private_key(folder / "provisioning.key")
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    message = {"request": base64.b64encode(request.public_bytes(Encoding.DER)).decode()}
    url = f"{maker.url}/v1/vehicles/{vehicle.pcid}/certificate"
    async with httpx.AsyncClient(trust_env=False, verify=False, timeout=None) as client:  # noqa: S113, S501 - plain HTTP
        answer = await client.put(url, json=message, headers={"Authorization": f"Bearer {token}"})
    if answer.status_code != httpx.codes.OK:
        raise PeerError(f"{url} answered {answer.status_code}: {answer.text[:300]}", answer.content[:2000])
    chain = [load(base64.b64decode(one)) for one in answer.json()["certificates"]]
    write(folder / "provisioning.pem", as_pem(chain[:1]))
    write(folder / "provisioning.chain.pem", as_pem(chain))
