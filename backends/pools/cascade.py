"""Contracts that go, alone or with their vehicle: revoked first if our MO CA issued them, then removed and told of."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, Protocol, TypeVar

import sqlalchemy as sa

from backends.pools.certificates import curve_of
from backends.pools.editions import ISO2
from backends.pools.events import EventKind, contract_body, emit
from backends.refusals import Refusal, Refused
from backends.store.audit import record
from backends.store.database import Database
from backends.store.locks import lock
from backends.store.schema import CONTRACT_CERTIFICATES, CONTRACTS, ROOTS, SIGNED_CONTRACTS
from ports.errors import LocalError
from v2g.certificates import load

T = TypeVar("T")
ATTEMPTS = 5


class RevokeContracts(Protocol):
    """The MO CA: revokes contract certificates that it issued."""

    async def __call__(self, certificates: Collection[bytes], actor: str, /) -> None:
        """Revoke all of these (DER); one that is revoked already is no error. Whatever it raises means: not done."""


async def no_mo_ca(certificates: Collection[bytes], _actor: str, /) -> None:
    """Where there is no MO CA, nobody issued a certificate. Raises LocalError when somebody did."""
    if certificates:
        raise LocalError(f"{len(certificates)} contract certificates are to be revoked, but there is no MO CA here")


class _IssuedMeanwhile(Exception):
    """Another certificate came between revoking and removing."""


class ContractRemoval:
    """Removes contracts so that no valid certificate of our own stays behind."""

    def __init__(self, database: Database, revoke: RevokeContracts = no_mo_ca) -> None:
        self._database = database
        self._revoke = revoke

    async def run(
        self,
        where: sa.ColumnElement[bool],
        work: Callable[[sa.Connection], T],
        *,
        subject: str,
        actor: str,
        skip_revocation: bool = False,
    ) -> T:
        """Revoke what our MO CA issued for the contracts of `where`, then do `work` in a transaction.

        subject: lock held meanwhile, see `backends.store.locks`. Raises Refused (REVOCATION_FAILED): all is kept then.
        """
        revoked: frozenset[bytes] = frozenset()

        def guarded(connection: sa.Connection) -> T:
            lock(connection, subject)
            if not skip_revocation and not revoked.issuperset(_issued(connection, where)):
                raise _IssuedMeanwhile
            return work(connection)

        for _ in range(ATTEMPTS):
            if not skip_revocation:
                revoked = await self._revoked(where, actor)
            try:
                return await self._database.write(guarded)
            except _IssuedMeanwhile:
                continue
        raise Refused(Refusal.REVOCATION_FAILED, "new certificates are issued faster than they can be revoked")

    async def _revoked(self, where: sa.ColumnElement[bool], actor: str) -> frozenset[bytes]:
        issued = frozenset(await self._database.read(lambda connection: _issued(connection, where)))
        if issued:
            try:
                await self._revoke(issued, actor)
            except Exception as error:
                raise Refused(Refusal.REVOCATION_FAILED, str(error)[:300]) from error
        return issued


def _issued(connection: sa.Connection, where: sa.ColumnElement[bool]) -> list[bytes]:
    columns = sa.select(CONTRACT_CERTIFICATES.c.certificate).join(CONTRACTS)
    return list(connection.scalars(columns.where(where, CONTRACT_CERTIFICATES.c.issued_here)))


def drop_contracts(
    connection: sa.Connection,
    where: sa.ColumnElement[bool],
    *,
    at: int,
    actor: str,
    operation: str,
    vehicle_event: EventKind | None = None,
) -> Sequence[str]:
    """Remove the chosen contracts with all signed variants, tell the OEM, archive them; returns their EMAIDs.

    vehicle_event: what happened to the vehicle, told to the MO of each contract. Another contract of the vehicle does
    not become its default.
    """
    rows = connection.execute(sa.select(CONTRACTS).where(where).order_by(CONTRACTS.c.emaid_key)).all()
    for row in rows:
        variants = connection.execute(
            sa.select(SIGNED_CONTRACTS, ROOTS.c.fingerprint.label("cps_root_fingerprint"))
            .outerjoin(ROOTS, ROOTS.c.id == SIGNED_CONTRACTS.c.cps_root_id)
            .where(SIGNED_CONTRACTS.c.emaid_key == row.emaid_key)
            .order_by(SIGNED_CONTRACTS.c.namespace, SIGNED_CONTRACTS.c.cps_root_id)
        ).all()
        for namespace, body in contract_bodies(row, variants).items():
            for kind in (vehicle_event, EventKind.CONTRACT_DELETED):
                if kind is not None:
                    emit(connection, kind, at=at, namespace=namespace, body=body, pcid=row.pcid, emaid=row.emaid)
        before = {**plain(row), "signed": [plain(variant) for variant in variants]}
        record(connection, at=at, actor=actor, operation=operation, subject=row.emaid_key, before=before)
        connection.execute(CONTRACTS.delete().where(CONTRACTS.c.emaid_key == row.emaid_key))
    return [row.emaid for row in rows]


def contract_bodies(contract: Any, variants: Sequence[Any]) -> dict[str, dict[str, object]]:
    """Event bodies of a contract by namespace, one for each edition that it is signed for; never none.

    contract: row of CONTRACTS. variants: rows of SIGNED_CONTRACTS with `cps_root_fingerprint`.
    """
    bodies: dict[str, dict[str, object]] = {}
    for variant in variants:
        body = contract_body(
            emaid=contract.emaid,
            pcid=contract.pcid,
            certificate=variant.contract_certificate,
            cps_root_fingerprint=variant.cps_root_fingerprint or "",
            cps_root_name=variant.cps_root_name,
            curve=curve_of(load(variant.contract_certificate)),
        )
        bodies.setdefault(variant.namespace, body)
    return bodies or {ISO2: contract_body(emaid=contract.emaid, pcid=contract.pcid)}


def plain(row: Any) -> dict[str, object]:
    """A row as the audit log takes it: octets as hex."""
    return {name: value.hex() if isinstance(value, bytes) else value for name, value in row._asdict().items()}
