"""The root certificate pool (RCP): which roots the ecosystem trusts."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from enum import StrEnum
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from asn1crypto.x509 import Certificate  # type: ignore[import-untyped]

from backends.access import Principal
from backends.pools.certificates import (
    POOL,
    check_self_signature,
    check_validity,
    curve_of,
    fingerprint_of,
    read_certificate,
    seconds,
)
from backends.pools.editions import edition_of_curve
from backends.pools.events import EventKind, emit, root_body
from backends.refusals import Refusal, Refused
from backends.store.audit import record
from backends.store.database import Database
from backends.store.ids import new_id
from backends.store.locks import lock
from backends.store.schema import ROOTS
from ports.clock import Clock
from v2g.certificate_profiles import Role
from v2g.certificates import common_name, describe, load, problems_of

FIELD = "root certificate"


class RootType(StrEnum):
    """Whose root it is. PE: of a charge point operator's own environment."""

    MO = "MO"
    V2G = "V2G"
    OEM = "OEM"
    PE = "PE"


@dataclass(frozen=True, slots=True)
class Root:
    """A root of the pool.

    certificate: DER. fingerprint: SHA-256, hex. serial: lower-case hex of the integer. key_identifier: hex of the
    subject key identifier. valid_from, valid_to, added: UTC seconds since 1970.
    """

    id: str
    root_type: RootType
    certificate: bytes
    fingerprint: str
    distinguished_name: str
    serial: str
    key_identifier: str
    valid_from: int
    valid_to: int
    added: int

    @property
    def x509(self) -> Certificate:
        """Parsed."""
        return _parsed(self.certificate)


@lru_cache(maxsize=256)
def _parsed(octets: bytes) -> Certificate:
    return load(octets)


class RootPool:
    """Adds, removes and lists roots."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def _now(self) -> int:
        return int(self._clock.now().timestamp())

    async def put(self, octets: bytes, root_type: RootType, principal: Principal) -> Root:
        """Add a root; one that is there stays as it is. Raises Refused: format, validity, not a root."""
        certificate = read_certificate(octets, FIELD)
        at = self._clock.now()
        check_validity([certificate], at, FIELD)
        _check_is_root(certificate)
        now = self._now()
        unnamed = Root(
            id="",
            root_type=root_type,
            certificate=certificate.dump(),
            fingerprint=fingerprint_of(certificate),
            distinguished_name=describe(certificate.subject),
            serial=f"{certificate.serial_number:x}",
            key_identifier=(certificate.key_identifier or b"").hex(),
            valid_from=seconds(certificate.not_valid_before),
            valid_to=seconds(certificate.not_valid_after),
            added=now,
        )

        def work(connection: sa.Connection) -> Root:
            lock(connection, f"root:{unnamed.fingerprint}")
            same = (ROOTS.c.fingerprint == unnamed.fingerprint) & (ROOTS.c.root_type == root_type)
            if (row := connection.execute(sa.select(ROOTS).where(same)).one_or_none()) is not None:
                return root_of(row._asdict())
            root = replace(unnamed, id=new_id(connection))
            connection.execute(ROOTS.insert().values(asdict(root)))
            tell(connection, EventKind.ROOT_ADDED, root, now)
            note(connection, "root.put", principal.client_id, now, after=root)
            return root

        return await self._database.write(work)

    async def delete(self, root_id: str, principal: Principal) -> None:
        """Remove a root; chains below it are not touched. Raises Refused (ROOT_UNKNOWN)."""
        now = self._now()

        def work(connection: sa.Connection) -> None:
            root = find(connection, root_id)
            if not remove(connection, root, EventKind.ROOT_REVOKED, principal.client_id, "root.delete", now):
                raise Refused(Refusal.ROOT_UNKNOWN, received=root_id[:64])

        await self._database.write(work)

    async def get(self, root_id: str) -> Root:
        """One root. Raises Refused (ROOT_UNKNOWN), also for an expired one."""
        root = await self._database.look_up(lambda connection: find(connection, root_id))
        if root.valid_to < self._now():
            raise Refused(Refusal.ROOT_UNKNOWN, received=root_id[:64])
        return root

    async def list(self, root_type: RootType | None = None) -> Sequence[Root]:
        """All roots that have not expired, or those of one type."""
        types = tuple(RootType) if root_type is None else (root_type,)
        now = self._now()
        return [
            root
            for root in await self._database.look_up(lambda connection: of_types(connection, types))
            if root.valid_to >= now
        ]


def _check_is_root(certificate: Certificate) -> None:
    """Raises Refused."""
    check_self_signature(certificate, FIELD)
    if problems := problems_of(certificate, Role.PRIVATE_ROOT, POOL):
        raise Refused(Refusal.CERTIFICATE_PROFILE, "; ".join(problem.text for problem in problems), field=FIELD)


_OF_TYPES = (
    sa.select(ROOTS)
    .where(ROOTS.c.root_type.in_(sa.bindparam("types", expanding=True)), ROOTS.c.revoked.is_(None))
    .order_by(ROOTS.c.added)
)


def of_types(connection: sa.Connection, types: Collection[RootType]) -> list[Root]:
    """Roots of these types, expired ones too, in the order in which they were added."""
    rows = connection.execute(_OF_TYPES, {"types": [one.value for one in types]})
    return [root_of(row._asdict()) for row in rows]


def find(connection: sa.Connection, root_id: str) -> Root:
    """Raises Refused (ROOT_UNKNOWN)."""
    row = connection.execute(sa.select(ROOTS).where(ROOTS.c.id == root_id.lower())).one_or_none()
    if row is None:
        raise Refused(Refusal.ROOT_UNKNOWN, received=root_id[:64])
    return root_of(row._asdict())


def remove(connection: sa.Connection, root: Root, kind: EventKind, actor: str, operation: str, at: int) -> bool:
    """Remove with event and audit entry; nothing that was issued below it goes with it. False: it was gone before."""
    if not connection.execute(ROOTS.delete().where(ROOTS.c.id == root.id)).rowcount:
        return False
    tell(connection, kind, root, at)
    note(connection, operation, actor, at, before=root)
    return True


def tell(connection: sa.Connection, kind: EventKind, root: Root, at: int) -> None:
    """Emit an event about a root."""
    curve = curve_of(root.x509)
    body = root_body(
        root_id=root.id,
        distinguished_name=root.distinguished_name,
        common_name=common_name(root.x509),
        root_type=root.root_type.value,
        serial=root.serial,
        curve=curve,
        fingerprint=root.fingerprint,
    )
    emit(connection, kind, at=at, namespace=edition_of_curve(curve), body=body, subject=root.id)


def note(
    connection: sa.Connection,
    operation: str,
    actor: str,
    at: int,
    *,
    before: Root | None = None,
    after: Root | None = None,
) -> None:
    """Audit entry with the whole root: that is the archive."""
    subject = next(root.id for root in (before, after) if root is not None)
    record(
        connection,
        at=at,
        actor=actor,
        operation=operation,
        subject=subject,
        before=_plain(before),
        after=_plain(after),
    )


def _plain(root: Root | None) -> dict[str, Any] | None:
    return None if root is None else {**asdict(root), "certificate": root.certificate.hex()}


def root_of(row: Mapping[str, Any], prefix: str = "") -> Root:
    """A root from the columns of ROOTS, whose names may have a prefix."""
    values = {one.name: row[prefix + one.name] for one in fields(Root)}
    return Root(**{**values, "root_type": RootType(values["root_type"])})
