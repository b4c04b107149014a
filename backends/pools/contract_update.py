"""Updates (CertificateUpdateReq, ISO 15118-2): for the contract certificate that a vehicle shows it gets a successor.

The successor's key travels sealed for the key of the certificate shown. Stored contract data are sealed for the
provisioning certificate and their private key is gone, so they cannot be answered with: the MO CA makes a successor,
which ends when the contract as ordered ends, and which also becomes what the vehicle can install. MOs with a PKI of
their own have the only copy of their keys; their vehicles install.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

import sqlalchemy as sa
from asn1crypto.x509 import Certificate  # type: ignore[import-untyped]

from backends.pools.certificates import Chain, check_validity, curve_of, fingerprint_of, read_certificate, seconds
from backends.pools.contract_data import SignedContractData, check_curve
from backends.pools.contract_pool import CONTRACT, Delivery, request_certificate
from backends.pools.contract_rows import Target, find, store
from backends.pools.editions import ISO2
from backends.pools.events import EventKind, contract_body, emit
from backends.pools.identifiers import emaid_key, normalised_emaid
from backends.pools.installation import InstallationRequest, answer, knows_root, verify_request
from backends.pools.provisioning_service import CONTRACT_ROOTS, ContractOrder, ProvisioningService, UsableSigner
from backends.pools.root_pool import Root, of_types
from backends.pools.trust import Trust
from backends.refusals import Refusal, Refused
from backends.store.database import Database
from backends.store.locks import lock
from backends.store.schema import (
    CONTRACT_CERTIFICATES,
    CONTRACT_UPDATES,
    PROVISIONING,
    ROOTS,
    SIGNED_CONTRACTS,
)
from ports.clock import Clock
from v2g.certificate_profiles import Role
from v2g.certificates import common_name, describe

OPERATION = "contract.update"


class _AnsweredMeanwhile(Exception):
    """The same request came twice at once. given: the answer of the other one."""

    def __init__(self, given: Any) -> None:
        super().__init__()
        self.given = given


@dataclass(frozen=True, slots=True)
class _Known:
    """What the pools have. contract, vehicle: rows. ends: of the contract as ordered. answers: given already."""

    contract: Any
    vehicle: Any
    ends: datetime
    answers: list[Any]


class ContractUpdates:
    """Answers requests for updates."""

    def __init__(self, database: Database, clock: Clock, trust: Trust, service: ProvisioningService) -> None:
        self._database = database
        self._clock = clock
        self._trust = trust
        self._service = service

    async def request(self, request: InstallationRequest, actor: str) -> Delivery:
        """The successor, made now or for an earlier request with the same certificate. actor: who forwards.

        Raises Refused: REQUEST_FORMAT, REQUEST_SIGNATURE, EMAID_FORMAT, EMAID_MISMATCH, validity, CHAIN, revocation,
        CONTRACT_UNKNOWN, NOT_RENEWED_HERE, NO_COMMON_ROOT, MO_CA, in this order.
        """
        leaf, key = request_certificate(request.certificate, CONTRACT)
        verify_request(request, key)
        emaid = normalised_emaid(request.update_of)
        if emaid_key(common_name(leaf)) != emaid_key(emaid):
            raise Refused(Refusal.EMAID_MISMATCH, f"the certificate says {common_name(leaf)}", received=emaid)
        await self._check_chain(leaf, request)
        known = await self._database.look_up(
            lambda connection: _look_up(connection, emaid_key(emaid), fingerprint_of(leaf), self._now())
        )
        for one in known.answers:
            if knows_root(request.roots, int(one.serial, 16), one.distinguished_name):
                return await self._deliver(known, one, request)
        signer = await self._signer(request)
        try:
            given = await self._make(leaf, known, signer, actor)
        except _AnsweredMeanwhile as other:
            given = other.given
        return await self._deliver(known, given, request)

    async def _check_chain(self, leaf: Certificate, request: InstallationRequest) -> None:
        subs = [read_certificate(octets, CONTRACT) for octets in request.sub_cas]
        check_validity([leaf], self._clock.now(), CONTRACT)
        for one, issuer in pairwise((leaf, *subs)):  # CertificateUpdate_007 of ISO 15118-4
            if one.issuer != issuer.subject:
                text = f"{describe(one.subject)} is followed by {describe(issuer.subject)}, which did not issue it"
                raise Refused(Refusal.CHAIN, text, field=CONTRACT)
        check_curve(leaf, ISO2, CONTRACT)
        roots = await self._database.look_up(lambda connection: of_types(connection, CONTRACT_ROOTS))
        chain = Chain(leaf, tuple(subs), Role.CONTRACT, CONTRACT)
        await self._trust.check(chain, [root.x509 for root in roots])

    async def _signer(self, request: InstallationRequest) -> UsableSigner:
        usable = [one for one in await self._service.signers() if one.signer.namespace == ISO2]
        for one in usable:
            if knows_root(request.roots, int(one.root.serial, 16), one.root.distinguished_name):
                return one
        names = ", ".join(one.root.distinguished_name for one in usable) or "no root"
        raise Refused(Refusal.NO_COMMON_ROOT, f"updates are signed below {names}; the vehicle lists none of these")

    async def _make(self, leaf: Certificate, known: _Known, signer: UsableSigner, actor: str) -> Any:
        """Issue, sign twice, store; returns the row of the answer."""
        contract, vehicle = known.contract, known.vehicle
        order = ContractOrder(contract.emaid, contract.pcid, ISO2, None, known.ends)
        async with self._service.new_contract(order, vehicle, actor, leaf.public_key.dump()) as (install, update):
            installable = await self._service.signed(install, signer)
            answered = await self._service.signed(update, signer, update=True)
            row = {
                "emaid_key": contract.emaid_key,
                "replaced": fingerprint_of(leaf),
                "cps_root_id": signer.root.id,
                "certificate": install.leaf.dump(),
                "message": answered.message,
                "valid_to": min(seconds(one.not_valid_after) for one in (*answered.contract, *answered.cps)),
            }
            target = Target(contract.pcid_key, contract.pcid, contract.owner, True, vehicle.public_key_hash)
            return await self._database.write(
                lambda connection: _keep(connection, row, installable, signer.root, target, self._now(), actor)
            )

    async def _deliver(self, known: _Known, given: Any, request: InstallationRequest) -> Delivery:
        def tell(connection: sa.Connection) -> None:
            body = contract_body(
                emaid=known.contract.emaid,
                pcid=known.contract.pcid,
                certificate=given.certificate,
                cps_root_fingerprint=given.fingerprint,
                cps_root_name=given.distinguished_name,
                curve=curve_of(read_certificate(given.certificate, CONTRACT)),
            )
            pcid, emaid = known.contract.pcid, known.contract.emaid
            kind = EventKind.CONTRACT_DELIVERED
            emit(connection, kind, at=self._now(), namespace=ISO2, body=body, pcid=pcid, emaid=emaid)

        await self._database.write(tell)
        message = answer(given.message, ISO2, request.session_id, self._now())
        return Delivery(message, known.contract.emaid, ISO2, given.cps_root_id)

    def _now(self) -> int:
        return int(self._clock.now().timestamp())


def _look_up(connection: sa.Connection, key: str, fingerprint: str, at: int) -> _Known:
    """Raises Refused (CONTRACT_UNKNOWN, NOT_RENEWED_HERE, VEHICLE_UNKNOWN)."""
    contract = find(connection, key)
    of_contract = CONTRACT_CERTIFICATES.c.emaid_key == key
    shown = sa.select(CONTRACT_CERTIFICATES.c.issued_here).where(
        of_contract, CONTRACT_CERTIFICATES.c.fingerprint == fingerprint
    )
    newest = connection.execute(
        sa.select(CONTRACT_CERTIFICATES)
        .join(SIGNED_CONTRACTS, SIGNED_CONTRACTS.c.contract_certificate == CONTRACT_CERTIFICATES.c.certificate)
        .where(of_contract, SIGNED_CONTRACTS.c.emaid_key == key, SIGNED_CONTRACTS.c.namespace == ISO2)
        .order_by(SIGNED_CONTRACTS.c.stored.desc())
        .limit(1)
    ).one_or_none()
    if not connection.execute(shown).scalar_one_or_none() or newest is None or not newest.issued_here:
        raise Refused(Refusal.NOT_RENEWED_HERE, "the MO CA has issued neither or only one of them", received=key)
    ends = read_certificate(newest.certificate, CONTRACT).not_valid_after
    if seconds(ends) <= at:
        raise Refused(Refusal.NOT_RENEWED_HERE, f"the contract as ordered ended {ends:%Y-%m-%dT%H:%M:%SZ}")
    vehicle = connection.execute(
        sa.select(PROVISIONING).where(PROVISIONING.c.pcid_key == contract.pcid_key)
    ).one_or_none()
    if vehicle is None:
        raise Refused(Refusal.VEHICLE_UNKNOWN, received=contract.pcid)
    return _Known(contract, vehicle, ends, _answers(connection, key, fingerprint, at))


def _answers(connection: sa.Connection, key: str, fingerprint: str, at: int) -> list[Any]:
    """Given for this certificate and valid, with `serial`, `fingerprint` and `distinguished_name` of the CPS's root."""
    columns = CONTRACT_UPDATES.c
    query = (
        sa.select(CONTRACT_UPDATES, ROOTS.c.serial, ROOTS.c.fingerprint, ROOTS.c.distinguished_name)
        .join(ROOTS, ROOTS.c.id == columns.cps_root_id)
        .where(columns.emaid_key == key, columns.replaced == fingerprint, columns.valid_to >= at)
    )
    return list(connection.execute(query).all())


def _keep(
    connection: sa.Connection,
    row: dict[str, Any],
    installable: SignedContractData,
    root: Root,
    target: Target,
    at: int,
    actor: str,
) -> Any:
    """Store the successor and the answer, unless the same was asked at once. Raises _AnsweredMeanwhile, Refused."""
    key, replaced = row["emaid_key"], row["replaced"]
    lock(connection, f"emaid:{key}")
    for one in _look_up(connection, key, replaced, at).answers:
        if one.cps_root_id == root.id:
            raise _AnsweredMeanwhile(one)
    store(connection, installable, root, target, at=at, actor=actor, operation=OPERATION)
    connection.execute(CONTRACT_UPDATES.insert().values(row))
    return next(one for one in _answers(connection, key, replaced, at) if one.cps_root_id == root.id)
