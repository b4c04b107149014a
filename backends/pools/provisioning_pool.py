"""The provisioning certificate pool (PCP): the certificate that every vehicle leaves its factory with."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from backends.access import Principal, require_ownership
from backends.pools.cascade import ContractRemoval, drop_contracts, plain
from backends.pools.certificates import Chain, chain_fingerprint, fingerprint_of, key_hash, read_certificate
from backends.pools.events import EventKind
from backends.pools.identifiers import pcid_key
from backends.pools.root_pool import Root, RootType, of_types, root_of
from backends.pools.trust import Trust
from backends.refusals import Refusal, Refused
from backends.store.audit import record
from backends.store.database import Database
from backends.store.schema import CONTRACTS, PROVISIONING, ROOTS
from ports.clock import Clock
from ports.trace import TraceEvent, Tracer, no_trace
from v2g.certificate_profiles import Role
from v2g.certificates import common_name

LEAF, SUB_CA_1, SUB_CA_2 = "provisioning certificate", "provisioning sub-CA 1", "provisioning sub-CA 2"
TRUSTED = (RootType.OEM, RootType.V2G)


@dataclass(frozen=True, slots=True)
class Offer:
    """What an OEM publishes; certificates are DER, key identifiers plain hex."""

    certificate: bytes
    sub_ca_1: bytes
    sub_ca_2: bytes | None
    namespace: str
    v2g_root_key_identifiers: tuple[str, ...] = ()
    previous_pcid: str | None = None


@dataclass(frozen=True, slots=True)
class Vehicle:
    """An entry of the pool, and the root that its chain ends in.

    pcid: as in the certificate. fingerprint: SHA-256 of the leaf, hex.
    """

    pcid: str
    certificate: bytes
    sub_ca_1: bytes
    sub_ca_2: bytes | None
    namespace: str
    v2g_root_key_identifiers: tuple[str, ...]
    previous_pcid: str
    root: Root
    fingerprint: str


class ProvisioningPool:
    """Publishes, shows and withdraws provisioning certificates."""

    def __init__(
        self, database: Database, clock: Clock, trust: Trust, removal: ContractRemoval, tracer: Tracer = no_trace
    ) -> None:
        """removal: of the contracts that go with a vehicle."""
        self._database = database
        self._clock = clock
        self._trust = trust
        self._removal = removal
        self._tracer = tracer

    def _now(self) -> int:
        return int(self._clock.now().timestamp())

    async def put(self, offer: Offer, principal: Principal) -> Vehicle:
        """Publish or replace. A new key drops the contracts of the vehicle.

        Raises Refused: format of each certificate, PCID, then Forbidden: WMI, then Refused: validity, role, chain,
        revocation.
        """
        leaf = read_certificate(offer.certificate, LEAF)
        sub_ca_2 = read_certificate(offer.sub_ca_2, SUB_CA_2) if offer.sub_ca_2 is not None else None
        sub_ca_1 = read_certificate(offer.sub_ca_1, SUB_CA_1)
        pcid = common_name(leaf)
        key = pcid_key(pcid)
        if offer.previous_pcid is not None:
            pcid_key(offer.previous_pcid)
        require_ownership(principal, "provisioning.put", pcid=pcid)
        sub_cas = (sub_ca_1,) if sub_ca_2 is None else (sub_ca_2, sub_ca_1)
        chain = Chain(leaf, sub_cas, Role.OEM_PROVISIONING, LEAF)
        roots = await self._database.read(lambda connection: of_types(connection, TRUSTED))
        root = await self._root_of(chain, roots)
        self._warn(pcid, leaf)
        row = {
            "pcid_key": key,
            "pcid": pcid,
            "certificate": leaf.dump(),
            "sub_ca_2": None if sub_ca_2 is None else sub_ca_2.dump(),
            "sub_ca_1": sub_ca_1.dump(),
            "namespace": offer.namespace,
            "root_id": root.id,
            "v2g_root_key_identifiers": list(offer.v2g_root_key_identifiers),
            "previous_pcid": offer.previous_pcid or "",
            "public_key_hash": key_hash(leaf),
            "valid_to": chain.valid_to,
            "owner": principal.client_id,
            "stored": self._now(),
        }
        await self._store(row, principal.client_id)
        return _vehicle(row, root)

    async def get(self, pcid: str, principal: Principal) -> Vehicle:
        """The entry, its chain and its revocation status checked now. Raises Refused, Forbidden."""
        row = await self._find(pcid, principal, "provisioning.get")
        chain = [octets for octets in (row.certificate, row.sub_ca_2, row.sub_ca_1) if octets is not None]
        if row.trusted_certificate is not None:
            root = root_of(row._asdict(), "trusted_")
            fingerprint = chain_fingerprint(Role.OEM_PROVISIONING, chain)
            if await self._trust.check_known(fingerprint, root.certificate, LEAF) is not None:
                return _vehicle(row._asdict(), root)
        leaf, *sub_cas = [read_certificate(octets, LEAF) for octets in chain]
        roots = await self._database.read(lambda connection: of_types(connection, TRUSTED))
        root = await self._root_of(Chain(leaf, tuple(sub_cas), Role.OEM_PROVISIONING, LEAF), roots)
        return _vehicle(row._asdict(), root)

    async def lookup(self, pcid: str, principal: Principal) -> None:
        """Whether the pool has the vehicle. Raises Refused (PCID_FORMAT, VEHICLE_UNKNOWN), Forbidden."""
        await self._find(pcid, principal, "provisioning.lookup")

    async def delete(self, pcid: str, principal: Principal, *, factory_reset: bool = False) -> None:
        """Withdraw a vehicle with all its contracts; those of our own MO CA are revoked first.

        Raises Refused (PCID_FORMAT, VEHICLE_UNKNOWN, REVOCATION_FAILED: nothing was changed then), Forbidden.
        """
        key = pcid_key(pcid)
        require_ownership(principal, "provisioning.delete", pcid=pcid)
        now = self._now()
        event = EventKind.VEHICLE_RESET if factory_reset else EventKind.VEHICLE_DELETED

        def work(connection: sa.Connection) -> None:
            withdraw(connection, key, at=now, actor=principal.client_id, operation="provisioning.delete", event=event)

        await self._database.read(lambda connection: _row(connection, key))
        where = CONTRACTS.c.pcid_key == key
        await self._removal.run(where, work, subject=f"pcid:{key}", actor=principal.client_id)

    async def _find(self, pcid: str, principal: Principal, operation: str) -> Any:
        key = pcid_key(pcid)
        require_ownership(principal, operation, pcid=pcid)
        row = await self._database.look_up(lambda connection: _row(connection, key))
        if row.valid_to < self._now():  # the daily cleansing has not come yet
            raise Refused(Refusal.VEHICLE_UNKNOWN, received=pcid)
        return row

    async def _root_of(self, chain: Chain, roots: Sequence[Root]) -> Root:
        path = await self._trust.check(chain, [root.x509 for root in roots])
        found = fingerprint_of(path[-1])
        return next(root for root in roots if root.fingerprint == found)

    async def _store(self, row: dict[str, Any], actor: str) -> None:
        key, stored = row["pcid_key"], False
        where = CONTRACTS.c.pcid_key == key
        while not stored:
            known = await self._database.read(lambda connection: _key_of(connection, key))
            rekeyed = known not in (None, row["public_key_hash"])

            def work(connection: sa.Connection, known: str | None = known, rekeyed: bool = rekeyed) -> bool:
                if _key_of(connection, key) != known:
                    return False  # somebody else was here meanwhile: look again
                if rekeyed:
                    drop_contracts(
                        connection,
                        where,
                        at=row["stored"],
                        actor=actor,
                        operation="contract.delete",
                        vehicle_event=EventKind.VEHICLE_UPDATED,
                    )
                _replace(connection, row, actor)
                return True

            stored = await self._removal.run(
                where, work, subject=f"pcid:{key}", actor=actor, skip_revocation=not rekeyed
            )

    def _warn(self, pcid: str, leaf: Any) -> None:
        usage = leaf.key_usage_value
        if usage is None or "key_agreement" not in usage.native:
            data = {"pcid": pcid, "warning": "the provisioning certificate does not allow keyAgreement"}
            self._tracer(TraceEvent(self._clock.monotonic(), "backend", "pool.warning", "pcp", data))


def _replace(connection: sa.Connection, row: dict[str, Any], actor: str) -> None:
    same = PROVISIONING.c.pcid_key == row["pcid_key"]
    before = connection.execute(sa.select(PROVISIONING).where(same)).one_or_none()
    connection.execute(PROVISIONING.delete().where(same))
    after = connection.execute(PROVISIONING.insert().values(row).returning(*PROVISIONING.c)).one()
    record(
        connection,
        at=row["stored"],
        actor=actor,
        operation="provisioning.put",
        subject=row["pcid_key"],
        before=None if before is None else plain(before),
        after=plain(after),
    )


def withdraw(connection: sa.Connection, key: str, *, at: int, actor: str, operation: str, event: EventKind) -> None:
    """Remove a vehicle and its contracts. Raises Refused (VEHICLE_UNKNOWN)."""
    before = _found(connection, sa.select(PROVISIONING).where(_THIS), key)
    drop_contracts(
        connection,
        CONTRACTS.c.pcid_key == key,
        at=at,
        actor=actor,
        operation="contract.delete",
        vehicle_event=event,
    )
    connection.execute(PROVISIONING.delete().where(PROVISIONING.c.pcid_key == key))
    record(connection, at=at, actor=actor, operation=operation, subject=key, before=plain(before))


# An entry with the root that it was published under, as far as that is still there
_THIS = PROVISIONING.c.pcid_key == sa.bindparam("key")
_WITH_ROOT = (
    sa.select(PROVISIONING, *(column.label(f"trusted_{column.name}") for column in ROOTS.c))
    .outerjoin(ROOTS, (ROOTS.c.id == PROVISIONING.c.root_id) & ROOTS.c.root_type.in_([one.value for one in TRUSTED]))
    .where(_THIS)
)


def _row(connection: sa.Connection, key: str) -> Any:
    return _found(connection, _WITH_ROOT, key)


def _found(connection: sa.Connection, columns: sa.Select[Any], key: str) -> Any:
    row = connection.execute(columns, {"key": key}).one_or_none()
    if row is None:
        raise Refused(Refusal.VEHICLE_UNKNOWN, received=key)
    return row


def _key_of(connection: sa.Connection, key: str) -> str | None:
    hashed = sa.select(PROVISIONING.c.public_key_hash).where(PROVISIONING.c.pcid_key == key)
    return connection.execute(hashed).scalar_one_or_none()


def _vehicle(row: Any, root: Root) -> Vehicle:
    return Vehicle(
        pcid=row["pcid"],
        certificate=row["certificate"],
        sub_ca_1=row["sub_ca_1"],
        sub_ca_2=row["sub_ca_2"],
        namespace=row["namespace"],
        v2g_root_key_identifiers=tuple(row["v2g_root_key_identifiers"]),
        previous_pcid=row["previous_pcid"],
        root=root,
        fingerprint=hashlib.sha256(row["certificate"]).hexdigest(),
    )
