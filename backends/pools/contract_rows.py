"""Contracts in the database: plain functions over a connection."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from backends.access import PROVIDER_LENGTH
from backends.pools.cascade import contract_bodies
from backends.pools.certificates import seconds
from backends.pools.contract_data import SignedContractData
from backends.pools.editions import ISO20
from backends.pools.events import ENABLED, EventKind, emit
from backends.pools.identifiers import emaid_key
from backends.pools.root_pool import Root
from backends.refusals import Refusal, Refused
from backends.store.audit import record
from backends.store.locks import lock
from backends.store.schema import (
    CONTRACT_CERTIFICATES,
    CONTRACT_UPDATES,
    CONTRACTS,
    PROVISIONING,
    ROOTS,
    SIGNED_CONTRACTS,
    WEBHOOK_ENDPOINTS,
)


@dataclass(frozen=True, slots=True)
class Target:
    """Whose contract it becomes. pcid: as the caller writes it; issued_here: by our own MO CA.

    vehicle_key: hash of the key that the vehicle must still have in the PCP; "" = nobody has looked there.
    """

    pcid_key: str
    pcid: str
    owner: str
    issued_here: bool
    vehicle_key: str = ""


@dataclass(frozen=True, slots=True)
class Contract:
    """What was stored. created: it is new."""

    emaid: str
    pcid: str
    created: bool


@dataclass(frozen=True, slots=True)
class Signed:
    """One signed variant of a contract. serial, fingerprint: of the CPS's V2G root, empty when that root is gone."""

    emaid_key: str
    emaid: str
    pcid_key: str
    pcid: str
    is_default: bool
    namespace: str
    cps_root_id: str
    cps_root_name: str
    contract_certificate: bytes
    message: bytes
    serial: int | None
    fingerprint: str

    @property
    def curve(self) -> str:
        """Of the contract's key, as far as the edition says."""
        return "secp521r1" if self.namespace == ISO20 else "secp256r1"


@dataclass(frozen=True, slots=True)
class ForVehicle:
    """All that an installation request needs.

    vehicle: its row, None when it is unknown: certificates (DER), `public_key_hash`, `root` (DER) of the root pool or
    None. listening: provider ids with an endpoint for deliveries. revoked: of those certificates of its chain that
    our own PKI issued, when each was revoked, None = it was not.
    """

    vehicle: Any
    signed: Sequence[Signed] = ()
    listening: frozenset[str] = frozenset()
    revoked: Sequence[int | None] = ()


OwnRevocations = Callable[[sa.Connection, Sequence[str]], Mapping[str, int | None]]
"""When certificates (SHA-256, hex) were revoked, None = not; those of other PKIs are left out."""


def no_own_certificates(_connection: sa.Connection, _fingerprints: Sequence[str]) -> Mapping[str, int | None]:
    """Where there is no PKI in the database."""
    return {}


_VEHICLE = (
    sa.select(
        PROVISIONING.c.certificate,
        PROVISIONING.c.sub_ca_2,
        PROVISIONING.c.sub_ca_1,
        PROVISIONING.c.public_key_hash,
        ROOTS.c.certificate.label("root"),
        sa.exists().where(WEBHOOK_ENDPOINTS.c.status == ENABLED).label("anyone_listens"),
    )
    .outerjoin(ROOTS, ROOTS.c.id == PROVISIONING.c.root_id)
    .where(PROVISIONING.c.pcid_key == sa.bindparam("pcid"))
)
_SIGNED = (
    sa.select(
        CONTRACTS.c.emaid_key,
        CONTRACTS.c.emaid,
        CONTRACTS.c.pcid_key,
        CONTRACTS.c.pcid,
        CONTRACTS.c.is_default,
        SIGNED_CONTRACTS.c.namespace,
        SIGNED_CONTRACTS.c.cps_root_id,
        SIGNED_CONTRACTS.c.cps_root_name,
        SIGNED_CONTRACTS.c.contract_certificate,
        SIGNED_CONTRACTS.c.message,
        ROOTS.c.serial,
        ROOTS.c.fingerprint,
    )
    .join(SIGNED_CONTRACTS, SIGNED_CONTRACTS.c.emaid_key == CONTRACTS.c.emaid_key)
    .outerjoin(ROOTS, ROOTS.c.id == SIGNED_CONTRACTS.c.cps_root_id)
    .where(SIGNED_CONTRACTS.c.namespace == sa.bindparam("namespace"))
    .order_by(CONTRACTS.c.is_default.desc(), CONTRACTS.c.sequence, SIGNED_CONTRACTS.c.stored.desc())
)
_VALID = _SIGNED.where(CONTRACTS.c.pcid_key == sa.bindparam("pcid"), SIGNED_CONTRACTS.c.valid_to >= sa.bindparam("at"))
_LISTENING = sa.select(WEBHOOK_ENDPOINTS.c.provider_ids, WEBHOOK_ENDPOINTS.c.enabled_events).where(
    WEBHOOK_ENDPOINTS.c.status == ENABLED
)


def for_vehicle(
    connection: sa.Connection, pcid: str, namespace: str, at: int, own_revocations: OwnRevocations
) -> ForVehicle:
    """The vehicle, its valid signed contracts (the default first), and who wants to hear of a delivery."""
    vehicle = connection.execute(_VEHICLE, {"pcid": pcid}).one_or_none()
    if vehicle is None:
        return ForVehicle(None)
    signed = [_signed(row) for row in connection.execute(_VALID, {"pcid": pcid, "namespace": namespace, "at": at})]
    listening = frozenset(
        provider
        for row in (connection.execute(_LISTENING) if vehicle.anyone_listens else ())
        if EventKind.CONTRACT_DELIVERED in row.enabled_events
        for provider in row.provider_ids
    )
    chain = (vehicle.certificate, vehicle.sub_ca_2, vehicle.sub_ca_1)
    prints = [hashlib.sha256(octets).hexdigest() for octets in chain if octets is not None]
    return ForVehicle(vehicle, signed, listening, list(own_revocations(connection, prints).values()))


def signed_of(connection: sa.Connection, where: sa.ColumnElement[bool], namespace: str) -> list[Signed]:
    """Signed variants of the chosen contracts, also expired ones that nobody has removed yet."""
    return [_signed(row) for row in connection.execute(_SIGNED.where(where), {"namespace": namespace})]


def _signed(row: Any) -> Signed:
    serial = None if row.serial is None else int(row.serial, 16)
    return Signed(**{**row._asdict(), "serial": serial, "fingerprint": row.fingerprint or ""})


def find(connection: sa.Connection, key: str) -> Any:
    """The row of a contract. Raises Refused (CONTRACT_UNKNOWN)."""
    row = connection.execute(sa.select(CONTRACTS).where(CONTRACTS.c.emaid_key == key)).one_or_none()
    if row is None:
        raise Refused(Refusal.CONTRACT_UNKNOWN, received=key)
    return row


def require_free(connection: sa.Connection, key: str, vehicle: str) -> Any:
    """The row of the contract, None when there is none yet. Raises Refused when it belongs to another vehicle."""
    row = connection.execute(sa.select(CONTRACTS).where(CONTRACTS.c.emaid_key == key)).one_or_none()
    if row is not None and row.pcid_key != vehicle:
        raise Refused(Refusal.CONTRACT_OF_ANOTHER_VEHICLE, received=key)
    return row


def store(
    connection: sa.Connection,
    data: SignedContractData,
    root: Root,
    target: Target,
    *,
    at: int,
    actor: str,
    operation: str,
) -> Contract:
    """Add or renew one signed variant, with audit entry and event. The first contract of a vehicle is its default."""
    key = emaid_key(data.emaid)
    for subject in sorted((f"emaid:{key}", f"pcid:{target.pcid_key}")):
        lock(connection, subject)
    if target.vehicle_key:
        columns = sa.select(PROVISIONING.c.public_key_hash).where(PROVISIONING.c.pcid_key == target.pcid_key)
        if connection.execute(columns).scalar_one_or_none() != target.vehicle_key:
            raise Refused(Refusal.VEHICLE_NOT_PROVISIONED, "the vehicle went or has a new key", received=target.pcid)
    known = require_free(connection, key, target.pcid_key)
    if known is None:
        of_vehicle = CONTRACTS.c.pcid_key == target.pcid_key
        number, last = connection.execute(
            sa.select(sa.func.count(), sa.func.max(CONTRACTS.c.sequence)).where(of_vehicle)
        ).one()
        connection.execute(
            CONTRACTS.insert().values(
                emaid_key=key,
                emaid=data.emaid,
                pcid_key=target.pcid_key,
                pcid=target.pcid,
                provider_id=key[:PROVIDER_LENGTH],
                is_default=not number,
                created=at,
                sequence=(last or 0) + 1,
                owner=target.owner,
            )
        )
    _add_certificate(connection, key, data.contract[0].dump(), target.issued_here)
    variant = {"emaid_key": key, "namespace": data.namespace, "cps_root_id": root.id}
    same = sa.and_(*(SIGNED_CONTRACTS.c[name] == value for name, value in variant.items()))
    before = connection.execute(sa.select(SIGNED_CONTRACTS).where(same)).one_or_none()
    connection.execute(SIGNED_CONTRACTS.delete().where(same))
    values = variant | {
        "message": data.message,
        "xml": data.xml,
        "contract_certificate": data.contract[0].dump(),
        "cps_root_name": root.distinguished_name,
        "valid_to": min(seconds(one.not_valid_after) for one in (*data.contract, *data.cps)),
        "stored": at,
    }
    connection.execute(SIGNED_CONTRACTS.insert().values(values))
    contract = find(connection, key)
    after = connection.execute(
        sa.select(SIGNED_CONTRACTS, sa.literal(root.fingerprint).label("cps_root_fingerprint")).where(same)
    ).one()
    kind = EventKind.CONTRACT_UPDATED if known is not None else EventKind.CONTRACT_CREATED
    body = contract_bodies(contract, [after])[data.namespace]
    emit(connection, kind, at=at, namespace=data.namespace, body=body, pcid=contract.pcid, emaid=contract.emaid)
    record(
        connection,
        at=at,
        actor=actor,
        operation=operation,
        subject=key,
        before=None if before is None else _shown(contract, before),
        after=_shown(contract, after),
    )
    return Contract(contract.emaid, contract.pcid, known is None)


def _add_certificate(connection: sa.Connection, key: str, certificate: bytes, issued_here: bool) -> None:
    """Note a certificate of a contract; a new one overtakes the answers to updates so far."""
    columns = CONTRACT_CERTIFICATES.c
    row = {"emaid_key": key, "fingerprint": hashlib.sha256(certificate).hexdigest()}
    same = (columns.emaid_key == key) & (columns.fingerprint == row["fingerprint"])
    if connection.execute(sa.select(columns.fingerprint).where(same)).one_or_none() is None:
        values = row | {"certificate": certificate, "issued_here": issued_here}
        connection.execute(CONTRACT_CERTIFICATES.insert().values(values))
        connection.execute(CONTRACT_UPDATES.delete().where(CONTRACT_UPDATES.c.emaid_key == key))


def _shown(contract: Any, variant: Any) -> dict[str, object]:
    return {
        "emaid": contract.emaid,
        "pcid": contract.pcid,
        "is_default": contract.is_default,
        "namespace": variant.namespace,
        "cps_root_id": variant.cps_root_id,
        "certificate": variant.contract_certificate.hex(),
        "message": variant.message.hex(),
        "valid_to": variant.valid_to,
    }


def set_default(connection: sa.Connection, vehicle: str, key: str, *, at: int, actor: str) -> None:
    """Raises Refused (CONTRACT_UNKNOWN_TO_VEHICLE)."""
    lock(connection, f"pcid:{vehicle}")
    of_vehicle = CONTRACTS.c.pcid_key == vehicle
    found = {row.emaid_key: row.is_default for row in connection.execute(sa.select(CONTRACTS).where(of_vehicle))}
    if key not in found:
        raise Refused(Refusal.CONTRACT_UNKNOWN_TO_VEHICLE, received=key)
    if found[key]:
        return
    connection.execute(CONTRACTS.update().where(of_vehicle).values(is_default=CONTRACTS.c.emaid_key == key))
    before = next((one for one, is_default in found.items() if is_default), None)
    record(
        connection,
        at=at,
        actor=actor,
        operation="contract.set_default",
        subject=vehicle,
        before={"default": before},
        after={"default": key},
    )


def names_root(root: Root, wanted: str) -> bool:
    """Whether `wanted` (id or SHA-256 fingerprint, any case, colons allowed) is this root."""
    return wanted.replace(":", "").lower() in (root.id, root.fingerprint)


def fits_root(signed: Signed, wanted: str) -> bool:
    """Whether a variant is signed below the wanted root; "" = any."""
    return not wanted or wanted.replace(":", "").lower() in (signed.cps_root_id, signed.fingerprint)
