"""The contract certificate pool (CCP): signed contract data of every vehicle, and the answers to their requests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import sqlalchemy as sa
from asn1crypto.x509 import Certificate  # type: ignore[import-untyped]

from backends.access import PROVIDER_LENGTH, Principal, Role, require_ownership
from backends.pools import contract_rows as rows
from backends.pools.cascade import ContractRemoval, drop_contracts
from backends.pools.certificates import Chain, check_validity, key_hash, read_certificate
from backends.pools.contract_data import (
    SignedContractData,
    check_curve,
    check_size,
    read_signed_contract_data,
    verify_signed,
)
from backends.pools.contract_rows import Contract, ForVehicle, OwnRevocations, Signed, Target
from backends.pools.editions import ISO20
from backends.pools.events import EventKind, contract_body, emit
from backends.pools.identifiers import emaid_key, pcid_key
from backends.pools.installation import InstallationRequest, answer, knows_root, verify_request
from backends.pools.root_pool import Root, RootType, of_types
from backends.pools.trust import Trust
from backends.refusals import Refusal, Refused
from backends.store.database import Database
from backends.store.schema import CONTRACTS
from ports.clock import Clock
from v2g.certificate_profiles import Role as CertificateRole
from v2g.certificates import CertificateError, common_name, public_key
from v2g.signature_suites import PublicKey

VEHICLE, CONTRACT, CPS = "vehicle", "contract certificate", "CPS certificate"
OEM_ROOTS, CPS_ROOTS = (RootType.OEM, RootType.V2G), (RootType.V2G,)
UNCONFIRMED = "unconfirmed: ISO 15118-20 contract data follow the text of the standard"
REMEMBERED = 256  # certificates; some 50 kB each


@dataclass(frozen=True, slots=True)
class Delivery:
    """An answer for a vehicle. message: EXI. note: what the receiver should know, "" normally."""

    message: bytes
    emaid: str
    namespace: str
    cps_root_id: str
    note: str = ""


class ContractPool:
    """Stores, finds, delivers and removes contracts."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        trust: Trust,
        removal: ContractRemoval,
        *,
        own_revocations: OwnRevocations = rows.no_own_certificates,
        strict: bool = False,
        max_answer: int = 0,
    ) -> None:
        """own_revocations: what the PKI in the same database says of its certificates.

        strict: of -20 requests, take only the algorithms of -20. max_answer: base64 characters, 0 = as OCPP has.
        """
        self._database = database
        self._clock = clock
        self._trust = trust
        self._removal = removal
        self._own_revocations = own_revocations
        self._strict = strict
        self._max_answer = max_answer

    def now(self) -> int:
        """UTC seconds since 1970."""
        return int(self._clock.now().timestamp())

    async def request(self, request: InstallationRequest) -> Sequence[Delivery]:
        """What the vehicle gets: one contract in -2, up to the number it asked for in -20, the default first.

        Raises Refused: REQUEST_FORMAT, REQUEST_SIGNATURE, validity, NOTHING_FOR_VEHICLE, chain, revocation,
        NO_COMMON_ROOT, in this order.
        """
        leaf, key = request_certificate(request.certificate, VEHICLE)
        verify_request(request, key, strict=self._strict)
        check_validity([leaf], self._clock.now(), VEHICLE)
        try:
            pcid = pcid_key(common_name(leaf))
        except Refused as error:
            raise Refused(Refusal.NOTHING_FOR_VEHICLE, str(error)) from error
        found = await self._database.look_up(
            lambda connection: rows.for_vehicle(connection, pcid, request.namespace, self.now(), self._own_revocations)
        )
        if found.vehicle is None:
            raise Refused(Refusal.NOTHING_FOR_VEHICLE, "the vehicle is not published", received=pcid)
        await self._check_vehicle(leaf, request, found)
        chosen = _chosen(found.signed, request)
        deliveries = [
            Delivery(
                answer(one.message, one.namespace, request.session_id, self.now(), len(chosen) - 1 - place),
                one.emaid,
                one.namespace,
                one.cps_root_id,
                UNCONFIRMED if one.namespace == ISO20 else "",
            )
            for place, one in enumerate(chosen)
        ]
        if told := [one for one in chosen if one.emaid[:PROVIDER_LENGTH] in found.listening]:
            await self._database.write(lambda connection: _tell_delivered(connection, told, self.now()))
        return deliveries

    async def _check_vehicle(self, leaf: Certificate, request: InstallationRequest, found: ForVehicle) -> None:
        """The published certificate was verified when it was published: what can change since is asked again."""
        vehicle = found.vehicle
        subs = tuple(
            _certificate(octets, VEHICLE) for octets in (vehicle.sub_ca_2, vehicle.sub_ca_1) if octets is not None
        )
        if vehicle.certificate == request.certificate and vehicle.root is not None:
            path = (leaf, *subs, _certificate(vehicle.root, VEHICLE))
            check_validity(path, self._clock.now(), VEHICLE)
            if any(moment is not None and moment <= self.now() for moment in found.revoked):
                raise Refused(Refusal.CERTIFICATE_REVOKED, "by the PKI of this ecosystem", field=VEHICLE)
            if len(found.revoked) < len(path) - 1:  # not all of them are of our own PKI
                await self._trust.revocation(path, VEHICLE)
            return
        subs = (*(_certificate(octets, VEHICLE) for octets in request.sub_cas), *subs)
        chain = Chain(leaf, subs, CertificateRole.OEM_PROVISIONING, VEHICLE)
        roots = await self._database.look_up(lambda connection: of_types(connection, OEM_ROOTS))
        await self._trust.check(chain, [one.x509 for one in roots])
        if key_hash(leaf) != vehicle.public_key_hash:
            raise Refused(Refusal.NOTHING_FOR_VEHICLE, "the contracts are sealed for the published key, not this one")

    async def put(
        self, xml: bytes, *, pcid: str, emaid: str, namespace: str, cps_root: str, principal: Principal
    ) -> Contract:
        """Take signed contract data of a CPS. cps_root: id or SHA-256, "" = whatever the signer's chain ends in.

        Raises Refused: identifiers, form, CONTRACT_EXPIRED, signature, CPS chain, CONTRACT_OF_ANOTHER_VEHICLE.
        """
        vehicle, wanted = pcid_key(pcid), emaid_key(emaid)
        data = read_signed_contract_data(xml, namespace, read_certificate)
        check_size(data.message, namespace, self._max_answer)
        if emaid_key(data.emaid) != wanted:
            raise Refused(Refusal.EMAID_MISMATCH, f"the contract certificate says {data.emaid}")
        at = self._clock.now()
        if at > data.contract[0].not_valid_after:
            raise Refused(Refusal.CONTRACT_EXPIRED, f"{data.contract[0].not_valid_after:%Y-%m-%dT%H:%M:%SZ}")
        check_validity(data.contract, at, CONTRACT)
        check_curve(data.contract[0], namespace, CONTRACT)
        verify_signed(data)
        root = await self.cps_root(data.cps)
        if cps_root and not rows.names_root(root, cps_root):
            raise Refused(Refusal.SIGNER_UNKNOWN, f"the signer's chain ends in {root.distinguished_name}")
        target = Target(pcid_key=vehicle, pcid=pcid, owner=principal.client_id, issued_here=False)
        return await self.store(data, root, target, principal, "contract.put")

    async def cps_root(self, cps: Sequence[Certificate]) -> Root:
        """The V2G root of the pool that a CPS chain ends in, checked now. Raises Refused."""
        roots = await self._database.look_up(lambda connection: of_types(connection, CPS_ROOTS))
        chain = Chain(cps[0], tuple(cps[1:]), CertificateRole.CPS, CPS)
        path = await self._trust.check(chain, [root.x509 for root in roots])
        return next(root for root in roots if root.certificate == path[-1].dump())

    async def store(
        self, data: SignedContractData, root: Root, target: Target, principal: Principal, operation: str
    ) -> Contract:
        """Keep a contract, new or renewed, with its event. Raises Refused (CONTRACT_OF_ANOTHER_VEHICLE)."""
        now = self.now()
        return await self._database.write(
            lambda connection: rows.store(
                connection, data, root, target, at=now, actor=principal.client_id, operation=operation
            )
        )

    async def require_free(self, emaid: str, pcid: str) -> None:
        """Raises Refused (CONTRACT_OF_ANOTHER_VEHICLE); `store` asks again within its transaction."""
        await self._database.look_up(lambda connection: rows.require_free(connection, emaid_key(emaid), pcid_key(pcid)))

    async def delete(self, emaid: str, principal: Principal, *, skip_revocation: bool = False) -> None:
        """Remove a contract; one of our own MO CA is revoked first, and kept when that fails.

        Raises Refused (EMAID_FORMAT, CONTRACT_UNKNOWN, REVOCATION_FAILED), Forbidden.
        """
        key = emaid_key(emaid)
        require_ownership(principal, "contract.delete", emaid=emaid)
        now = self.now()
        where = CONTRACTS.c.emaid_key == key

        def work(connection: sa.Connection) -> None:
            rows.find(connection, key)
            drop_contracts(connection, where, at=now, actor=principal.client_id, operation="contract.delete")

        await self._database.look_up(lambda connection: rows.find(connection, key))
        await self._removal.run(
            where, work, subject=f"emaid:{key}", actor=principal.client_id, skip_revocation=skip_revocation
        )

    async def provide(
        self, emaid: str, pcid: str, *, session_id: bytes, namespace: str, cps_root: str, principal: Principal
    ) -> Delivery:
        """A contract for the OEM, who checks its validity itself. Raises Refused (CONTRACT_UNKNOWN, ...), Forbidden."""
        vehicle, key = pcid_key(pcid), emaid_key(emaid)
        require_ownership(principal, "contract.provide", pcid=pcid)
        signed = await self._database.look_up(
            lambda connection: rows.signed_of(connection, CONTRACTS.c.emaid_key == key, namespace)
        )
        for one in signed:
            if one.pcid_key == vehicle and rows.fits_root(one, cps_root):
                message = answer(one.message, namespace, session_id, self.now())
                return Delivery(message, one.emaid, namespace, one.cps_root_id)
        raise Refused(Refusal.CONTRACT_UNKNOWN, received=emaid)

    async def set_default(self, pcid: str, emaid: str, principal: Principal) -> None:
        """Make a contract the one that the vehicle gets. Raises Refused (CONTRACT_UNKNOWN_TO_VEHICLE), Forbidden."""
        vehicle, key = pcid_key(pcid), emaid_key(emaid)
        require_ownership(principal, "contract.set_default", pcid=pcid)
        now = self.now()
        await self._database.write(
            lambda connection: rows.set_default(connection, vehicle, key, at=now, actor=principal.client_id)
        )

    async def lookup(self, emaid: str, namespace: str, cps_root: str, principal: Principal) -> Sequence[Signed]:
        """The signed variants of a contract; an OEM sees those of its own vehicles. Raises Refused, Forbidden."""
        key = emaid_key(emaid)
        require_ownership(principal, "contract.lookup", emaid=emaid)
        signed = await self._database.look_up(
            lambda connection: rows.signed_of(connection, CONTRACTS.c.emaid_key == key, namespace)
        )
        only_own = principal.roles == {Role.OEM}
        return [
            one for one in signed if rows.fits_root(one, cps_root) and (not only_own or principal.owns_pcid(one.pcid))
        ]

    async def list(self, pcid: str, namespace: str, principal: Principal) -> Sequence[Signed]:
        """The signed contracts of a vehicle, the default first. Raises Refused (PCID_FORMAT), Forbidden."""
        key = pcid_key(pcid)
        require_ownership(principal, "contract.list", pcid=pcid)
        return await self._database.look_up(
            lambda connection: rows.signed_of(connection, CONTRACTS.c.pcid_key == key, namespace)
        )


@lru_cache(maxsize=REMEMBERED)
def _certificate(octets: bytes, field: str) -> Certificate:
    return read_certificate(octets, field)


@lru_cache(maxsize=REMEMBERED)
def request_certificate(octets: bytes, field: str) -> tuple[Certificate, PublicKey]:
    """The certificate in a vehicle's request and its key. Raises Refused (REQUEST_FORMAT)."""
    try:
        leaf = read_certificate(octets, field)
        key = public_key(leaf)
    except (Refused, CertificateError) as error:
        raise Refused(Refusal.REQUEST_FORMAT, str(error)[:300], received=octets) from error
    if not isinstance(key, PublicKey):
        raise Refused(Refusal.REQUEST_FORMAT, "the vehicle's key cannot sign", received=octets)
    return leaf, key


def _chosen(signed: Sequence[Signed], request: InstallationRequest) -> list[Signed]:
    """One variant per contract, signed below a root that the vehicle trusts. Raises Refused."""
    if request.namespace == ISO20:
        order = {key: place for place, key in enumerate(_keys(request.wanted))}
        contracts = sorted(signed, key=lambda one: (order.get(one.emaid_key, len(order)), not one.is_default))
    else:
        contracts = [one for one in signed if one.is_default]
    if not contracts:
        raise Refused(Refusal.NOTHING_FOR_VEHICLE, "the vehicle has no valid contract that is its default")
    fitting: dict[str, Signed] = {}
    for one in contracts:
        if one.serial is not None and knows_root(request.roots, one.serial, one.cps_root_name):
            fitting.setdefault(one.emaid_key, one)
    if not fitting:
        known = ", ".join(sorted({one.cps_root_name for one in contracts}))
        raise Refused(Refusal.NO_COMMON_ROOT, f"contracts are signed below {known}; the vehicle lists none of these")
    return list(fitting.values())[: request.maximum]


def _keys(emaids: Sequence[str]) -> list[str]:
    found = []
    for emaid in emaids:
        try:
            found.append(emaid_key(emaid))
        except Refused:  # a wish that nobody can fulfil
            continue
    return found


def _tell_delivered(connection: sa.Connection, told: Sequence[Signed], at: int) -> None:
    for one in told:
        body = contract_body(
            emaid=one.emaid,
            pcid=one.pcid,
            certificate=one.contract_certificate,
            cps_root_fingerprint=one.fingerprint,
            cps_root_name=one.cps_root_name,
            curve=one.curve,
        )
        emit(
            connection,
            EventKind.CONTRACT_DELIVERED,
            at=at,
            namespace=one.namespace,
            body=body,
            pcid=one.pcid,
            emaid=one.emaid,
        )
