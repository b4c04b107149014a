"""The certificate provisioning service (CPS): signs contract data of MOs, or makes them with the MO CA."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import sqlalchemy as sa
from asn1crypto.x509 import Certificate  # type: ignore[import-untyped]

from backends.access import Principal, require_ownership
from backends.pools.certificates import Chain, curve_of, read_certificate
from backends.pools.contract_data import (
    ContractData,
    SignedContractData,
    SignOctets,
    check_curve,
    envelope_of,
    sign_contract_data,
)
from backends.pools.contract_key_worker import ContractKeyWorker
from backends.pools.contract_pool import ContractPool
from backends.pools.contract_rows import Target, names_root
from backends.pools.editions import ISO2, edition_of_curve
from backends.pools.identifiers import normalised_emaid, pcid_key
from backends.pools.root_pool import Root, RootType, of_types
from backends.pools.trust import Trust
from backends.refusals import Refusal, Refused
from backends.store.database import Database
from backends.store.schema import PROVISIONING
from ports.clock import Clock
from ports.errors import LocalError, PlugbenchError
from v2g.certificate_profiles import Role
from v2g.contract_key import ISO2 as ISO2_ENVELOPE
from v2g.contract_key import SECP521

CONTRACT_ROOTS = (RootType.MO, RootType.V2G)


@dataclass(frozen=True, slots=True)
class CpsSigner:
    """A certificate that signs contract data. sub_cas: issuer of the leaf first. sign: with its key."""

    leaf: Certificate
    sub_cas: tuple[Certificate, ...]
    sign: SignOctets

    @property
    def namespace(self) -> str:
        """The edition whose contract data it signs."""
        return edition_of_curve(curve_of(self.leaf))


@dataclass(frozen=True, slots=True)
class UsableSigner:
    """A signer whose chain holds now. root: the V2G root of the pool that it ends in."""

    signer: CpsSigner
    root: Root


@dataclass(frozen=True, slots=True)
class Signing:
    """What was signed, by whom. vehicle_key: hash of the vehicle's key in the PCP, "" when no vehicle was named."""

    data: SignedContractData
    signer: UsableSigner
    vehicle_key: str


class FindSigners(Protocol):
    """Where the signers are."""

    async def __call__(self) -> Sequence[CpsSigner]:
        """All of them, usable or not, the preferred first."""


class MoCa(Protocol):
    """Issues and revokes contract certificates for mobility operators without a PKI."""

    ski_octets: int

    async def issue(
        self, namespace: str, emaid: str, public_key: bytes, begins: datetime | None, ends: datetime, actor: str
    ) -> Sequence[Certificate]:
        """Leaf, Sub-CA 2, Sub-CA 1. public_key: DER SubjectPublicKeyInfo. begins: None = now, or a little before.

        Raises PlugbenchError.
        """

    async def revoke(self, certificate: Certificate, actor: str) -> None:
        """Revoke a leaf that is not needed. Raises PlugbenchError."""


async def no_signers() -> Sequence[CpsSigner]:
    """A service that cannot sign."""
    return ()


@dataclass(frozen=True, slots=True)
class ContractOrder:
    """What an MO without PKI wants. begins, ends: of the contract, with time zone; None begins now."""

    emaid: str
    pcid: str
    namespace: str
    begins: datetime | None
    ends: datetime


class ProvisioningService:
    """Signs, stores and generates contract data."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        trust: Trust,
        contracts: ContractPool,
        *,
        find_signers: FindSigners = no_signers,
        mo_ca: MoCa | None = None,
        max_answer: int = 0,
    ) -> None:
        """max_answer: base64 characters that stations take, 0 = as OCPP has it."""
        self._database = database
        self._clock = clock
        self._trust = trust
        self._contracts = contracts
        self._find_signers = find_signers
        self._mo_ca = mo_ca
        self._max_answer = max_answer
        self._keys = ContractKeyWorker(clock)

    async def signers(self) -> Sequence[UsableSigner]:
        """Those whose chain to a V2G root of the pool is valid and not revoked now."""
        usable = []
        for signer in await self._find_signers():
            try:
                root = await self._contracts.cps_root((signer.leaf, *signer.sub_cas))
            except Refused:
                continue
            usable.append(UsableSigner(signer, root))
        return usable

    async def sign(
        self, data: ContractData, *, pcid: str, cps_root: str, principal: Principal, operation: str = "contract.sign"
    ) -> Signing:
        """Sign; nothing is stored. pcid: "" = not said. cps_root: id or SHA-256 of the V2G root, "" = any.

        Raises Forbidden (EMAID of somebody else), Refused: identifiers, KEY_ENVELOPE, contract chain,
        VEHICLE_NOT_PROVISIONED, CONTRACT_OF_ANOTHER_VEHICLE, SIGNER_UNKNOWN, ANSWER_TOO_LARGE, in this order.
        """
        emaid = data.emaid
        if pcid:
            pcid_key(pcid)
        require_ownership(principal, operation, emaid=emaid)
        envelope_of(data.namespace, data.key)
        await self._check_chain(data)
        vehicle = await self._vehicle(pcid) if pcid else None
        if pcid:
            await self._contracts.require_free(emaid, pcid)
        signer = await self._signer(data.namespace, cps_root)
        signed = await self.signed(data, signer)
        return Signing(signed, signer, "" if vehicle is None else vehicle.public_key_hash)

    async def sign_and_store(
        self, data: ContractData, *, pcid: str, cps_root: str, principal: Principal, operation: str = "contract.sign"
    ) -> Signing:
        """Sign and put into the contract pool. Arguments and errors as `sign`."""
        done = await self.sign(data, pcid=pcid, cps_root=cps_root, principal=principal, operation=operation)
        target = Target(pcid_key(pcid), pcid, principal.client_id, issued_here=False, vehicle_key=done.vehicle_key)
        await self._contracts.store(done.data, done.signer.root, target, principal, operation)
        return done

    async def generate(self, order: ContractOrder, *, cps_root: str, principal: Principal) -> None:
        """Make a contract: key, certificate of the MO CA, signed data in the contract pool; a second time renews it.

        Raises Refused: identifiers, CONTRACT_ENDED, CONTRACT_PERIOD, VEHICLE_NOT_PROVISIONED,
        CONTRACT_OF_ANOTHER_VEHICLE, SIGNER_UNKNOWN, MO_CA, VEHICLE_KEY, contract chain; Forbidden.
        """
        emaid, _ = normalised_emaid(order.emaid), pcid_key(order.pcid)
        require_ownership(principal, "contract.generate", emaid=emaid)
        if order.ends <= self._clock.now():
            raise Refused(Refusal.CONTRACT_ENDED)
        if order.begins is not None and order.begins >= order.ends:
            raise Refused(Refusal.CONTRACT_PERIOD)
        vehicle = await self._vehicle(order.pcid)
        await self._contracts.require_free(emaid, order.pcid)
        signer = await self._signer(order.namespace, cps_root)
        async with self.new_contract(order, vehicle, principal.client_id) as (data,):
            signed = await self.signed(data, signer)
            target = Target(vehicle.pcid_key, order.pcid, principal.client_id, True, vehicle.public_key_hash)
            await self._contracts.store(signed, signer.root, target, principal, "contract.generate")

    @asynccontextmanager
    async def new_contract(
        self, order: ContractOrder, vehicle: Any, actor: str, *more: bytes
    ) -> AsyncIterator[Sequence[ContractData]]:
        """A key and a certificate of the MO CA, which is revoked when the body of the context fails.

        vehicle: row of the PCP. more: further keys of the vehicle (DER SubjectPublicKeyInfo). Yields the contract data
        for the provisioning certificate, then for those. Raises Refused: MO_CA, VEHICLE_KEY, contract chain.
        """
        if self._mo_ca is None:
            raise Refused(Refusal.MO_CA, "there is no MO CA here")
        envelope = ISO2_ENVELOPE if order.namespace == ISO2 else SECP521
        provisioning = read_certificate(vehicle.certificate, "vehicle")
        if envelope.curve is None or curve_of(provisioning) != envelope.curve.name:
            wanted = "secp256r1" if order.namespace == ISO2 else "secp521r1"
            text = f"it is {curve_of(provisioning)}, generated contracts are sealed for {wanted}"
            raise Refused(Refusal.VEHICLE_KEY, text, received=vehicle.pcid)
        recipients = (provisioning.public_key.dump(), *more)
        try:
            made = await self._keys.make(envelope, recipients, vehicle.pcid, self._mo_ca.ski_octets)
        except LocalError as error:
            raise Refused(Refusal.KEY_ENVELOPE, str(error)) from error
        emaid = normalised_emaid(order.emaid)
        try:
            leaf, *sub_cas = await self._mo_ca.issue(
                order.namespace, emaid, made.public_key, order.begins, order.ends, actor
            )
        except PlugbenchError as error:
            raise Refused(Refusal.MO_CA, str(error)[:300]) from error
        try:
            data = [ContractData(order.namespace, leaf, tuple(sub_cas), sealed) for sealed in made.sealed]
            await self._check_chain(data[0])
            yield data
        except Exception:
            await self._mo_ca.revoke(leaf, actor)  # nobody will ever use it
            raise

    async def signed(self, data: ContractData, signer: UsableSigner, *, update: bool = False) -> SignedContractData:
        """Signed by this signer. Raises Refused, see `sign_contract_data`."""
        cps = (signer.signer.leaf, *signer.signer.sub_cas)
        return await sign_contract_data(data, cps, signer.signer.sign, self._max_answer, update=update)

    async def close(self) -> None:
        """End the key worker; harmless when closed."""
        await self._keys.close()

    async def _check_chain(self, data: ContractData) -> None:
        check_curve(data.leaf, data.namespace, data.field)
        roots = await self._database.look_up(lambda connection: of_types(connection, CONTRACT_ROOTS))
        chain = Chain(data.leaf, data.sub_cas, Role.CONTRACT, data.field)
        await self._trust.check(chain, [root.x509 for root in roots])

    async def _vehicle(self, pcid: str) -> Any:
        """Its row. Raises Refused (VEHICLE_NOT_PROVISIONED)."""
        key = pcid_key(pcid)

        def work(connection: sa.Connection) -> Any:
            return connection.execute(sa.select(PROVISIONING).where(PROVISIONING.c.pcid_key == key)).one_or_none()

        row = await self._database.look_up(work)
        if row is None or row.valid_to < int(self._clock.now().timestamp()):
            raise Refused(Refusal.VEHICLE_NOT_PROVISIONED, received=pcid)
        return row

    async def _signer(self, namespace: str, cps_root: str) -> UsableSigner:
        for one in await self.signers():
            if one.signer.namespace == namespace and (not cps_root or names_root(one.root, cps_root)):
                return one
        raise Refused(Refusal.SIGNER_UNKNOWN, f"for {namespace}, root {cps_root[:80] or 'any'}")
