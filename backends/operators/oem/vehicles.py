"""Vehicles of a manufacturer: their provisioning certificates are enrolled for a key of theirs and published."""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from backend_client.opcp import OpcpClient
from backends.operators.cpo.enrolment import PoolEnroller
from backends.operators.oem.tables import CONTRACTS, VEHICLES
from backends.pki.csr import RequestRefused, read_request
from backends.pools.identifiers import pcid_key
from backends.store.database import Database
from ports.clock import Clock
from ports.errors import PeerError


class VehicleRefused(PeerError):
    """status: HTTP."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True, slots=True)
class Vehicle:
    """One of ours. certificate: DER of the one that is published, b"" when none is."""

    pcid: str
    namespace: str
    certificate: bytes


class Vehicles:
    """All of them."""

    def __init__(self, database: Database, clock: Clock, pools: OpcpClient, edition: str) -> None:
        """pools: as the role OEM. edition: of EST."""
        self._database = database
        self._clock = clock
        self._pools = pools
        self._enrol = PoolEnroller(pools, edition, "oem")

    async def add(self, pcid: str, namespace: str) -> str:
        """A new vehicle; its bearer token, which is told once. Raises Refused (no PCID), VehicleRefused (exists)."""
        key, token, at = pcid_key(pcid), secrets.token_urlsafe(32), int(self._clock.now().timestamp())
        row = {"pcid_key": key, "pcid": pcid, "token_hash": _hash(token), "namespace": namespace, "updated": at}

        def work(connection: sa.Connection) -> None:
            if connection.execute(sa.select(VEHICLES.c.pcid).where(VEHICLES.c.pcid_key == key)).first():
                raise VehicleRefused(409, f"vehicle {pcid} exists")
            connection.execute(VEHICLES.insert().values(**row, certificate=None))

        await self._database.write(work)
        return token

    async def of_token(self, pcid: str, token: str) -> Vehicle:
        """The vehicle that shows this token. Raises VehicleRefused: 401 for a wrong token, whatever the PCID."""
        query = sa.select(VEHICLES).where(VEHICLES.c.token_hash == _hash(token))
        row = await self._database.look_up(lambda connection: connection.execute(query).one_or_none())
        if row is None or row.pcid_key != pcid.upper():
            raise VehicleRefused(401, "the token is not that of the vehicle")
        return Vehicle(row.pcid, row.namespace, row.certificate or b"")

    async def all(self) -> Sequence[Vehicle]:
        """Every vehicle."""
        rows = await self._database.read(lambda connection: connection.execute(sa.select(VEHICLES)).all())
        return [Vehicle(row.pcid, row.namespace, row.certificate or b"") for row in rows]

    async def provision(self, vehicle: Vehicle, request: str) -> tuple[bytes, ...]:
        """Enrol a key of the vehicle and publish the certificate; the chain, leaf first. A second time is a new key.

        request: PKCS#10, DER in base64. With a new key the pool drops the contracts of the old one. Raises
        VehicleRefused (no request for this vehicle), OpcpError, RigError.
        """
        der = _request(request, vehicle.pcid)
        chain = await self._enrol(der, vehicle.pcid)
        if len(chain) < 3:
            raise PeerError(f"EST gave a chain of {len(chain)} certificates, not leaf and two sub-CAs", chain[0])
        await self._pools.publish_vehicle(chain[0], chain[2], chain[1], namespace=vehicle.namespace)
        at, mine = int(self._clock.now().timestamp()), VEHICLES.c.pcid_key == vehicle.pcid.upper()
        change = VEHICLES.update().where(mine).values(certificate=chain[0], updated=at)
        await self._database.write(lambda connection: connection.execute(change))
        return chain

    async def withdraw(self, pcid: str) -> None:
        """Take the vehicle and its contracts back from the pools, and forget it. Raises OpcpError, RigError."""
        key = pcid.upper()
        if await self._pools.has_vehicle(pcid):
            await self._pools.delete_vehicle(pcid)

        def work(connection: sa.Connection) -> None:
            connection.execute(CONTRACTS.delete().where(CONTRACTS.c.pcid_key == key))
            connection.execute(VEHICLES.delete().where(VEHICLES.c.pcid_key == key))

        await self._database.write(work)


def _request(text: str, pcid: str) -> bytes:
    try:
        der = base64.b64decode("".join(text.split()), validate=True)
        request = read_request(der)
    except (binascii.Error, ValueError, RequestRefused) as error:
        raise VehicleRefused(400, f"no certificate request: {error}") from None
    if request.attribute("common_name").upper() != pcid.upper():
        raise VehicleRefused(403, "the certificate request is for another vehicle")
    return der


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
