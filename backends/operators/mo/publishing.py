"""Contracts into the pools: made by their MO CA, or signed data of our own PKI, for the vehicle that names its PCID."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Protocol

import sqlalchemy as sa
from asn1crypto.x509 import Certificate  # type: ignore[import-untyped]
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from backend_client.opcp import ContractData, OpcpClient, OpcpError
from backend_client.opcp_messages import ISO2
from backends.operators.mo.customers import CustomerError, Status, set_contract
from backends.operators.mo.tables import CONTRACTS
from backends.pools.identifiers import emaid_key
from backends.store.database import Database
from ports.clock import Clock
from ports.errors import PeerError
from v2g.certificates import load, public_key
from v2g.contract_key import ISO2 as ISO2_ENVELOPE
from v2g.contract_key import SECP521, additional_data, seal_key

MAYBE = frozenset({0, 408, 500, 502, 503, 504})  # answers that leave open whether it was done


class ContractIssuer(Protocol):
    """Our own MO CA, e.g. `backends.pools.own_pki.OwnPki`."""

    async def issue(
        self, namespace: str, emaid: str, public_key: bytes, begins: datetime | None, ends: datetime, actor: str
    ) -> Sequence[Certificate]:
        """Leaf, Sub-CA 2, Sub-CA 1. public_key: DER SubjectPublicKeyInfo."""


class Publisher:
    """Publishes contracts of customers, and takes them back."""

    def __init__(
        self, database: Database, clock: Clock, pools: OpcpClient, own: ContractIssuer | None = None, name: str = "mo"
    ) -> None:
        """pools: as an MO with its own PKI when `own` is given, else as one without. The client stays the caller's."""
        self._database = database
        self._clock = clock
        self._pools = pools
        self._own = own
        self._name = name

    async def publish(self, emaid: str, pcid: str, namespace: str = ISO2) -> None:
        """Put the contract where the vehicle finds it; a second time is a new certificate.

        Raises CustomerError (no such contract, or not active), OpcpError, RigError.
        """
        key = emaid_key(emaid)
        query = sa.select(CONTRACTS).where(CONTRACTS.c.emaid == key)
        row = await self._database.read(lambda connection: connection.execute(query).one_or_none())
        if row is None or row.status != Status.ACTIVE:
            raise CustomerError(f"contract {key} is {row.status if row else 'not ours'}: it cannot be published")
        begins, ends = (datetime.fromtimestamp(one, UTC) for one in (row.valid_from, row.valid_to))
        begins = max(begins, self._clock.now().astimezone(UTC).replace(microsecond=0))
        if self._own is None:
            await self._generate(key, pcid, begins, ends, namespace)
        else:
            data = await self._contract_data(self._own, key, pcid, begins, ends, namespace)
            await self._pools.sign_contract(data, pcid=pcid, namespace=namespace)
        await self._note(key, pcid=pcid.upper())

    async def withdraw(self, emaid: str) -> None:
        """Take it out of the pools and revoke it. Raises CustomerError, OpcpError (the contract is left as it was)."""
        key = emaid_key(emaid)
        try:
            # what was signed by our own CA is revoked there: the pools' MO CA does not know it
            await self._pools.delete_contract(key, skip_revocation=self._own is not None)
        except OpcpError as error:
            if error.status != 404:
                raise
        await self._note(key, status=Status.REVOKED, pcid="")

    async def _generate(self, emaid: str, pcid: str, begins: datetime, ends: datetime, namespace: str) -> None:
        """The answer may be lost after it was done: then the pool is asked whether it has the contract."""
        try:
            await self._pools.generate_contract(emaid, pcid, begins, ends, namespace=namespace)
        except OpcpError as error:
            if error.status not in MAYBE:
                raise
            found = await self._pools.lookup_contract(emaid, namespace=namespace)
            if not any(one.pcid.upper() == pcid.upper() for one in found):
                raise

    async def _contract_data(
        self, own: ContractIssuer, emaid: str, pcid: str, begins: datetime, ends: datetime, namespace: str
    ) -> ContractData:
        vehicle = await self._pools.vehicle(pcid)
        recipient = public_key(load(vehicle.certificate))
        if not isinstance(recipient, ec.EllipticCurvePublicKey):
            raise PeerError(f"vehicle {pcid} has no key on a NIST curve: {type(recipient).__name__}")
        envelope, curve = (ISO2_ENVELOPE, ec.SECP256R1()) if namespace == ISO2 else (SECP521, ec.SECP521R1())
        private = ec.generate_private_key(curve)  # lives until it is sealed, a few lines below
        spki = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        chain = await own.issue(namespace, emaid, spki, begins, ends, self._name)
        aad = b"" if namespace == ISO2 else additional_data(pcid, chain[0].key_identifier)
        sealed = seal_key(envelope, private, recipient, aad)
        leaf, sub_2, sub_1 = (one.dump() for one in chain[:3])
        return ContractData(leaf, sub_1, sub_2, sealed.encrypted_private_key, sealed.dh_public_key)

    async def _note(self, emaid: str, **changes: object) -> None:
        at = int(self._clock.now().timestamp())
        await self._database.write(lambda connection: set_contract(connection, emaid, at, **changes))
