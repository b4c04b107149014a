"""Our own PKI behind the pools: CPS signers and the MO CA."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from datetime import datetime

from asn1crypto.x509 import Certificate  # type: ignore[import-untyped]

from backends.pki.authorities import CertificateAuthorities, Order
from backends.pki.ca_keys import SigningKey
from backends.pki.certificate_store import Realm
from backends.pools.contract_data import SignOctets
from backends.pools.editions import edition_of_curve
from backends.pools.provisioning_service import CpsSigner
from ports.errors import RigError

CPS, CONTRACT = "cps", "contract"


class OwnPki:
    """CPS signers (`FindSigners`), the MO CA (`MoCa`) and its revocations (`RevokeContracts`)."""

    ski_octets = 8

    def __init__(self, authorities: CertificateAuthorities, realms: Collection[str] = ()) -> None:
        """realms: which of the PKI's serve here, in this order of preference; all when left out."""
        self._authorities = authorities
        self._names = tuple(realms)

    async def signers(self) -> Sequence[CpsSigner]:
        """The newest CPS certificate of every realm; realms without one are left out."""
        found = []
        for realm in await self._realms():
            try:
                issued = await self._authorities.newest(realm.realm, CPS)
                key = await self._authorities.key_of(issued.stored)
            except RigError:
                continue
            found.append(CpsSigner(issued.certificate, tuple(issued.sub_cas), _sign_with(key)))
        return found

    async def issue(
        self, namespace: str, emaid: str, public_key: bytes, begins: datetime | None, ends: datetime, actor: str
    ) -> Sequence[Certificate]:
        """A contract certificate of the first realm for this edition. Raises PlugbenchError."""
        for realm in await self._realms():
            if edition_of_curve(realm.algorithm) == namespace:
                order = Order(
                    realm=realm.realm,
                    kind=CONTRACT,
                    common_name=emaid,
                    valid_from=begins,
                    valid_to=ends,
                    public_key=public_key,
                    owner=actor,
                )
                issued = await self._authorities.issue(order, actor=actor)
                return [issued.certificate, *issued.sub_cas]
        raise RigError(f"no realm of the PKI issues contracts of {namespace}")

    async def revoke(self, certificate: Certificate, actor: str) -> None:
        """Revoke one."""
        await self.revoke_all([certificate.dump()], actor)

    async def revoke_all(self, certificates: Collection[bytes], actor: str) -> None:
        """Revoke contract certificates (DER) that were issued here. Raises RigError for one that was not."""
        for octets in certificates:
            fingerprint = hashlib.sha256(octets).hexdigest()
            await self._authorities.revoke(fingerprint, "cessation_of_operation", actor=actor)

    async def _realms(self) -> list[Realm]:
        known = {realm.realm: realm for realm in await self._authorities.realms()}
        if not self._names:
            return list(known.values())
        return [known[name] for name in self._names if name in known]


def _sign_with(key: SigningKey) -> SignOctets:
    async def sign(octets: bytes) -> bytes:
        return await key.sign(octets, key.algorithm.signature)

    return sign
