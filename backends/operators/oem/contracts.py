"""Contracts of the manufacturer's vehicles: announced by webhooks, fetched from the pool, handed to the vehicle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from backend_client.opcp import OpcpClient
from backends.operators.oem.tables import CONTRACTS, VEHICLES
from backends.store.database import Database
from backends.webhook_receiver import ReceivedEvent, WebhookRefused
from ports.clock import Clock
from ports.errors import PeerError

CREATED, UPDATED, DELETED = "oem.contract.created", "oem.contract.updated", "oem.contract.deleted"
EVENTS = (CREATED, UPDATED, DELETED)
MAX_EMAID = 36


class NoSuchContractError(PeerError):
    """The vehicle has no such contract."""


@dataclass(frozen=True, slots=True)
class VehicleContract:
    """message: what the vehicle installs (EXI); b"" until it was fetched."""

    emaid: str
    namespace: str
    is_default: bool
    message: bytes
    delivered: bool


def note(connection: sa.Connection, event: ReceivedEvent, at: int) -> None:
    """What a webhook tells; of vehicles that are ours, everything else is left alone. Raises WebhookRefused."""
    payload = event.body.get("payload")
    found = payload if isinstance(payload, dict) else {}
    emaid, pcid = (str(found.get(name, "")) for name in ("emaid", "pcid"))
    if event.kind not in EVENTS:
        return
    if not (0 < len(emaid) <= MAX_EMAID and pcid):
        raise WebhookRefused(f"webhook {event.event_id} names no contract or no vehicle")
    namespace = str(event.body.get("xsdMsgDefNamespace", ""))[:128]
    row = connection.execute(sa.select(VEHICLES).where(VEHICLES.c.pcid_key == pcid.upper())).one_or_none()
    if row is None:
        return
    if event.kind == DELETED:
        mine = (CONTRACTS.c.pcid_key == pcid.upper()) & (CONTRACTS.c.emaid == emaid)
        connection.execute(CONTRACTS.delete().where(mine))
    else:
        announce(connection, pcid, emaid, namespace or row.namespace, at)


def announce(connection: sa.Connection, pcid: str, emaid: str, namespace: str, at: int) -> None:
    """The pool has a contract, or a newer one: what was fetched before is worth nothing."""
    mine = (CONTRACTS.c.pcid_key == pcid.upper()) & (CONTRACTS.c.emaid == emaid)
    changed = connection.execute(
        CONTRACTS.update()
        .where(mine)
        .values(message=None, delivered=None, namespace=namespace, changes=CONTRACTS.c.changes + 1, updated=at)
    )
    if not changed.rowcount:
        first = connection.execute(sa.select(CONTRACTS.c.emaid).where(CONTRACTS.c.pcid_key == pcid.upper())).first()
        row = {"pcid_key": pcid.upper(), "emaid": emaid, "namespace": namespace, "is_default": first is None}
        connection.execute(CONTRACTS.insert().values(**row, message=None, delivered=None, changes=1, updated=at))


class Contracts:
    """Of all vehicles."""

    def __init__(self, database: Database, clock: Clock, pools: OpcpClient) -> None:
        """pools: as the role OEM."""
        self._database = database
        self._clock = clock
        self._pools = pools

    async def of(self, pcid: str) -> Sequence[VehicleContract]:
        """The contracts of a vehicle, the default first."""
        query = (
            sa.select(CONTRACTS)
            .where(CONTRACTS.c.pcid_key == pcid.upper())
            .order_by(CONTRACTS.c.is_default.desc(), CONTRACTS.c.emaid)
        )
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return [
            VehicleContract(row.emaid, row.namespace, row.is_default, row.message or b"", row.delivered is not None)
            for row in rows
        ]

    async def fetch(self, pcid: str, emaid: str) -> VehicleContract:
        """A contract with its message, from the pool when it is not here.

        Raises NoSuchContractError, OpcpError, RigError.
        """
        mine = (CONTRACTS.c.pcid_key == pcid.upper()) & (CONTRACTS.c.emaid == emaid)
        query = sa.select(CONTRACTS).where(mine)
        row = await self._database.read(lambda connection: connection.execute(query).one_or_none())
        if row is None:
            raise NoSuchContractError(f"vehicle {pcid} has no contract {emaid[:MAX_EMAID]}")
        message = row.message
        if message is None:
            provided = await self._pools.provide_contract(emaid, pcid, namespace=row.namespace)
            message = provided.message
            # a change that was announced meanwhile wins: this message is kept only if it is still the newest
            keep = CONTRACTS.update().where(mine, CONTRACTS.c.changes == row.changes).values(message=message)
            await self._database.write(lambda connection: connection.execute(keep))
        return VehicleContract(row.emaid, row.namespace, row.is_default, message, row.delivered is not None)

    async def fetch_missing(self) -> int:
        """Fetch everything that was announced; how many came. Errors are left for the next time."""
        query = sa.select(CONTRACTS.c.pcid_key, CONTRACTS.c.emaid).where(CONTRACTS.c.message.is_(None))
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        came = 0
        for row in rows:
            try:
                await self.fetch(row.pcid_key, row.emaid)
                came += 1
            except PeerError:
                continue
        return came

    async def delivered(self, pcid: str, emaid: str) -> None:
        """The vehicle has it."""
        mine = (CONTRACTS.c.pcid_key == pcid.upper()) & (CONTRACTS.c.emaid == emaid)
        change = CONTRACTS.update().where(mine).values(delivered=int(self._clock.now().timestamp()))
        await self._database.write(lambda connection: connection.execute(change))

    async def set_default(self, pcid: str, emaid: str) -> None:
        """The contract that the vehicle gets when it asks at a station.

        Raises NoSuchContractError, OpcpError, RigError.
        """
        if emaid not in [one.emaid for one in await self.of(pcid)]:
            raise NoSuchContractError(f"vehicle {pcid} has no contract {emaid[:MAX_EMAID]}")
        await self._pools.set_default_contract(pcid, emaid)
        mine = CONTRACTS.c.pcid_key == pcid.upper()
        change = CONTRACTS.update().where(mine).values(is_default=CONTRACTS.c.emaid == emaid)
        await self._database.write(lambda connection: connection.execute(change))

    async def sync(self, pcid: str, namespace: str) -> None:
        """Make the list that of the pool: what webhooks have missed. Raises OpcpError, RigError."""
        listed = {one.emaid: one for one in await self._pools.contracts_of(pcid, namespace=namespace)}
        at = int(self._clock.now().timestamp())

        def work(connection: sa.Connection) -> None:
            mine = CONTRACTS.c.pcid_key == pcid.upper()
            known = set(connection.scalars(sa.select(CONTRACTS.c.emaid).where(mine)))
            connection.execute(CONTRACTS.delete().where(mine, CONTRACTS.c.emaid.not_in(list(listed))))
            for emaid, one in listed.items():
                if emaid not in known:
                    announce(connection, pcid, emaid, namespace, at)
                change = CONTRACTS.update().where(mine, CONTRACTS.c.emaid == emaid)
                connection.execute(change.values(is_default=one.default_contract))

        await self._database.write(work)
