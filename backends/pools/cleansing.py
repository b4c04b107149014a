"""The daily cleansing: what has expired or was revoked leaves the pools, with events and an archive in the audit log.

A root that goes takes nothing with it: chains below it fail when they are asked for, and an operator decides.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from asn1crypto.x509 import Certificate  # type: ignore[import-untyped]

from backends.pools.cascade import ContractRemoval, drop_contracts, plain
from backends.pools.contract_data import SCHEMAS, answer_of
from backends.pools.contract_rows import OwnRevocations, no_own_certificates
from backends.pools.editions import ISO2
from backends.pools.events import WAITING, EventKind
from backends.pools.provisioning_pool import withdraw
from backends.pools.root_pool import Root, RootType, of_types, remove
from backends.pools.trust import RevocationCheck
from backends.refusals import Refusal, Refused
from backends.store.audit import record
from backends.store.database import Database
from backends.store.locks import lock
from backends.store.schema import CONTRACTS, DELIVERIES, EVENTS, PROVISIONING, RECEIVED_EVENTS, SIGNED_CONTRACTS
from ports.clock import Clock
from ports.errors import PlugbenchError
from v2g.certificates import load
from v2g.exi.codec import decode
from v2g.exi.errors import ExiError

EVERY_S = 86400
FIRST_AFTER_S = 300  # a server that has just started has better things to do
BATCH = 50
PAUSE_S = 0.01  # after every batch and every chain that is asked about: requests go first
ACTOR = "cleansing"
RECEIVED_KEPT_S = 7 * 86400
EVENTS_KEPT_S = 90 * 86400
_AWAITED = sa.select(DELIVERIES.c.event)
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
        *,
        own_revocations: OwnRevocations = no_own_certificates,
    ) -> None:
        """on_change: called when something went, so that its events are sent.

        own_revocations: what the PKI in the same database says of its certificates.
        """
        self._database = database
        self._clock = clock
        self._revocation = revocation
        self._removal = removal
        self._on_change = on_change
        self._own_revocations = own_revocations
        self._pause_s = 0.0

    async def run(self) -> None:
        """Soon and then every day, until cancelled."""
        await self._clock.sleep(FIRST_AFTER_S)
        self._pause_s = PAUSE_S
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
        await self._database.write(lambda connection: forget(connection, now))
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
            rows, chains, known = await self._batch(after, _vehicle_chain)
            roots = await self._all_roots()
            for row, chain, revoked in zip(rows, chains, known, strict=True):
                if row.valid_to < self._now() or await self._revoked(chain, roots, revoked):
                    gone += await self._withdraw(row.pcid_key)
            if len(rows) < BATCH:
                return gone
            last = rows[-1].pcid_key

    async def _contracts(self) -> int:
        """Signed variants that have expired or were revoked; a contract goes with its last one."""
        now, gone, last = self._now(), 0, ("", "", "")
        columns = SIGNED_CONTRACTS.c
        key = (columns.emaid_key, columns.namespace, columns.cps_root_id)
        while True:
            after = sa.select(SIGNED_CONTRACTS).where(sa.tuple_(*key) > last).order_by(*key).limit(BATCH)
            rows, chains, known = await self._batch(after, _contract_chain)
            roots = await self._all_roots()
            for row, chain, revoked in zip(rows, chains, known, strict=True):
                if row.valid_to < now or await self._revoked(chain, roots, revoked):
                    gone += await self._drop_variant(row, now)
            if len(rows) < BATCH:
                return gone
            last = (rows[-1].emaid_key, rows[-1].namespace, rows[-1].cps_root_id)

    async def _drop_variant(self, row: Any, now: int) -> int:
        same = SIGNED_CONTRACTS.c.emaid_key == row.emaid_key
        this = (
            same
            & (SIGNED_CONTRACTS.c.namespace == row.namespace)
            & (SIGNED_CONTRACTS.c.cps_root_id == row.cps_root_id)
            & (SIGNED_CONTRACTS.c.contract_certificate == row.contract_certificate)  # not renewed meanwhile
        )

        def work(connection: sa.Connection) -> int:
            lock(connection, f"emaid:{row.emaid_key}")
            if connection.execute(sa.select(SIGNED_CONTRACTS.c.stored).where(this)).one_or_none() is None:
                return 0
            others = sa.select(sa.func.count()).select_from(SIGNED_CONTRACTS).where(same, sa.not_(this))
            where = CONTRACTS.c.emaid_key == row.emaid_key
            if not connection.execute(others).scalar_one():
                return len(drop_contracts(connection, where, at=now, actor=ACTOR, operation="contract.cleanse"))
            connection.execute(SIGNED_CONTRACTS.delete().where(this))
            subject, before = row.emaid_key, plain(row)
            record(connection, at=now, actor=ACTOR, operation="contract.cleanse", subject=subject, before=before)
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

    async def _revoked(self, chain: Sequence[bytes], roots: Sequence[Certificate], known: bool | None) -> bool:
        """known: what our own PKI says. Only a clear answer counts: an unreachable responder removes nothing."""
        if known is not None:
            return known
        path = _path([load(chain[0]), *map(_sub_ca, chain[1:])], roots)
        await self._pause()
        try:
            await self._revocation(path, "")
        except Refused as refused:
            return refused.reason is Refusal.CERTIFICATE_REVOKED
        return False

    async def _all_roots(self) -> Sequence[Certificate]:
        roots = await self._database.read(lambda connection: of_types(connection, tuple(RootType)))
        return [root.x509 for root in roots]

    async def _batch(
        self, query: sa.Select[Any], chain_of: Callable[[Any], list[bytes]]
    ) -> tuple[Sequence[Any], list[list[bytes]], list[bool | None]]:
        """Rows, their chains, and whether one of a chain was revoked; None = not all of it is of our own PKI."""
        now = self._now()

        def work(connection: sa.Connection) -> tuple[Sequence[Any], list[list[bytes]], list[bool | None]]:
            rows = connection.execute(query).all()
            chains = [chain_of(row) for row in rows]
            prints = [[hashlib.sha256(octets).hexdigest() for octets in chain] for chain in chains]
            own = self._own_revocations(connection, list({one for chain in prints for one in chain}))
            known = [
                any((moment := own[one]) is not None and moment <= now for one in chain)
                if own.keys() >= set(chain)
                else None
                for chain in prints
            ]
            return rows, chains, known

        await self._pause()
        return await self._database.read(work)

    async def _pause(self) -> None:
        """There may be very many."""
        if self._pause_s:
            await self._clock.sleep(self._pause_s)
        else:
            await asyncio.sleep(0)

    def _now(self) -> int:
        return int(self._clock.now().timestamp())


@lru_cache(maxsize=256)
def _sub_ca(octets: bytes) -> Certificate:
    return load(octets)


def forget(connection: sa.Connection, at: int) -> None:
    """Remove events that everybody has got, or will never get, and old notes of our receivers."""
    connection.execute(RECEIVED_EVENTS.delete().where(RECEIVED_EVENTS.c.at < at - RECEIVED_KEPT_S))
    old = sa.select(EVENTS.c.sequence).where(EVENTS.c.created < at - EVENTS_KEPT_S)
    connection.execute(DELIVERIES.delete().where(DELIVERIES.c.event.in_(old), DELIVERIES.c.state != WAITING))
    connection.execute(EVENTS.delete().where(EVENTS.c.sequence.in_(old), EVENTS.c.sequence.not_in(_AWAITED)))


def _path(chain: Sequence[Certificate], roots: Sequence[Certificate]) -> list[Certificate]:
    """From the leaf, which is the first, to the root as far as it is known; chains come in any order."""
    path, rest = [chain[0]], [*chain[1:], *roots]
    while issuer := next((one for one in rest if one.subject == path[-1].issuer), None):
        path.append(issuer)
        rest.remove(issuer)
    return path


def _vehicle_chain(row: Any) -> list[bytes]:
    return [octets for octets in (row.certificate, row.sub_ca_2, row.sub_ca_1) if octets is not None]


def _contract_chain(row: Any) -> list[bytes]:
    """The certificates of a signed variant, leaf first; the leaf alone when its message cannot be read any more."""
    try:
        body = answer_of(decode(SCHEMAS[row.namespace], row.message))
        iso2 = row.namespace == ISO2
        chain = body.ContractSignatureCertChain if iso2 else body.SignedInstallationData.ContractCertificateChain
    except (ExiError, AttributeError):
        LOG.exception("contract %s cannot be read", row.emaid_key)
        return [row.contract_certificate]
    return [chain.Certificate, *(chain.SubCertificates.Certificate if chain.SubCertificates else ())]
