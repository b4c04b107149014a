"""The daily cleansing: what has expired or was revoked leaves the pools, with events and an archive in the audit log.

A root that goes takes nothing with it: chains below it fail when they are asked for, and an operator decides.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from backends.pools.cascade import ContractRemoval, drop_contracts, plain
from backends.pools.events import EventKind
from backends.pools.provisioning_pool import withdraw
from backends.pools.refusals import Refusal, Refused
from backends.pools.root_pool import Root, RootType, of_types, remove
from backends.pools.trust import RevocationCheck
from backends.store.audit import record
from backends.store.database import Database
from backends.store.locks import lock
from backends.store.schema import CONTRACTS, PROVISIONING, RECEIVED_EVENTS, SIGNED_CONTRACTS
from ports.clock import Clock
from ports.errors import PlugbenchError
from v2g.certificates import load

EVERY_S = 86400
BATCH = 500
ACTOR = "cleansing"
RECEIVED_KEPT_S = 7 * 86400
LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Cleansed:
    """How many went."""

    roots: int = 0
    vehicles: int = 0
    contracts: int = 0


class Cleansing:
    """Looks through all pools."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        revocation: RevocationCheck,
        removal: ContractRemoval,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        """on_change: called when something went, so that its events are sent."""
        self._database = database
        self._clock = clock
        self._revocation = revocation
        self._removal = removal
        self._on_change = on_change

    async def run(self) -> None:
        """Once now and then every day, until cancelled."""
        while True:
            try:
                await self.cleanse()
            except PlugbenchError:
                LOG.exception("cleansing comes again tomorrow")
            await self._clock.sleep(EVERY_S)

    async def cleanse(self) -> Cleansed:
        """Once. Of several servers on one database each may do it: what is gone is gone."""
        done = Cleansed(await self._roots(), await self._vehicles(), await self._contracts())
        now = self._now()
        old = RECEIVED_EVENTS.c.at < now - RECEIVED_KEPT_S
        await self._database.write(lambda connection: connection.execute(RECEIVED_EVENTS.delete().where(old)).rowcount)
        if done != Cleansed():
            self._on_change()
        return done

    async def _roots(self) -> int:
        now, gone = self._now(), 0
        for root in await self._database.read(lambda connection: of_types(connection, tuple(RootType))):
            if root.valid_to >= now:
                continue

            def work(connection: sa.Connection, root: Root = root) -> bool:
                return remove(connection, root, EventKind.ROOT_EXPIRED, ACTOR, "root.cleanse", now)

            gone += await self._database.write(work)
        return gone

    async def _vehicles(self) -> int:
        gone, last = 0, ""
        columns = PROVISIONING.c
        while True:
            after = sa.select(PROVISIONING).where(columns.pcid_key > last).order_by(columns.pcid_key).limit(BATCH)
            rows = await self._rows(after)
            for row in rows:
                chain = [octets for octets in (row.certificate, row.sub_ca_2, row.sub_ca_1) if octets is not None]
                if row.valid_to < self._now() or await self._revoked(chain, row.root_id):
                    gone += await self._withdraw(row.pcid_key)
            if len(rows) < BATCH:
                return gone
            last = rows[-1].pcid_key

    async def _contracts(self) -> int:
        """Signed variants that have expired or were revoked; a contract goes with its last one."""
        now, gone = self._now(), 0
        expired = sa.select(SIGNED_CONTRACTS).where(SIGNED_CONTRACTS.c.valid_to < now).limit(BATCH)
        while rows := await self._rows(expired):
            for row in rows:
                gone += await self._drop_variant(row, now)
        return gone

    async def _drop_variant(self, row: Any, now: int) -> int:
        this = (
            (SIGNED_CONTRACTS.c.emaid_key == row.emaid_key)
            & (SIGNED_CONTRACTS.c.namespace == row.namespace)
            & (SIGNED_CONTRACTS.c.cps_root_id == row.cps_root_id)
            & (SIGNED_CONTRACTS.c.valid_to < now)
        )
        same = SIGNED_CONTRACTS.c.emaid_key == row.emaid_key

        def work(connection: sa.Connection) -> int:
            lock(connection, f"emaid:{row.emaid_key}")
            others = sa.select(sa.func.count()).select_from(SIGNED_CONTRACTS).where(same, sa.not_(this))
            if not connection.execute(others).scalar_one():
                dropped = drop_contracts(
                    connection,
                    CONTRACTS.c.emaid_key == row.emaid_key,
                    at=now,
                    actor=ACTOR,
                    operation="contract.cleanse",
                )
                return len(dropped)
            if connection.execute(SIGNED_CONTRACTS.delete().where(this)).rowcount:
                record(
                    connection,
                    at=now,
                    actor=ACTOR,
                    operation="contract.cleanse",
                    subject=row.emaid_key,
                    before=plain(row),
                )
            return 0

        return await self._database.write(work)

    async def _withdraw(self, key: str) -> int:
        """With its contracts; when one of them cannot be revoked, all stays until tomorrow."""
        now = self._now()

        def work(connection: sa.Connection) -> None:
            event = EventKind.VEHICLE_DELETED
            withdraw(connection, key, at=now, actor=ACTOR, operation="provisioning.cleanse", event=event)

        try:
            await self._removal.run(CONTRACTS.c.pcid_key == key, work, subject=f"pcid:{key}", actor=ACTOR)
        except Refused as refused:
            if refused.reason is not Refusal.VEHICLE_UNKNOWN:
                LOG.warning("vehicle %s stays: %s", key, refused)
            return 0
        return 1

    async def _revoked(self, chain: Sequence[bytes], root_id: str) -> bool:
        """Only a clear answer counts: an unreachable responder removes nothing."""
        roots = await self._database.read(lambda connection: of_types(connection, tuple(RootType)))
        root = next((one.x509 for one in roots if one.id == root_id), None)
        path = [load(octets) for octets in chain] + ([root] if root is not None else [])
        try:
            await self._revocation(path, "")
        except Refused as refused:
            return refused.reason is Refusal.CERTIFICATE_REVOKED
        return False

    async def _rows(self, query: sa.Select[Any]) -> Sequence[Any]:
        return await self._database.read(lambda connection: connection.execute(query).all())

    def _now(self) -> int:
        return int(self._clock.now().timestamp())
