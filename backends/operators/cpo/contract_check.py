"""What the CPO finds out about a contract certificate before it asks anybody: name, dates, chain, revocation."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from asn1crypto.x509 import Certificate  # type: ignore[import-untyped]

from backend_client.opcp import OpcpClient
from backends.operators.cpo.certificate_status import CertificateId, StatusDesk
from backends.operators.cpo.certs_only import certificates_of
from backends.pki.revocation import Policy, RevocationRules, Status
from backends.pools.certificates import Chain, read_certificate
from backends.pools.trust import RevocationCheck, Trust
from backends.refusals import Refusal, Refused
from ports.authorisation import ContractStatus
from ports.clock import Clock
from ports.errors import PlugbenchError
from v2g.certificate_profiles import Role
from v2g.certificates import CertificateError, common_name, load, load_all
from v2g.identifiers import same

ROOTS_KEPT_S = 3600.0  # the pools cleanse their roots daily
AGAIN_S = 10.0  # pools that did not answer are left alone for so long
MAX_CHAIN = 4  # ISO 15118-2 V2G2-876: leaf and at most two sub-CAs; a root that came along is tolerated

_STATUS = {
    Refusal.CERTIFICATE_EXPIRED: ContractStatus.CERTIFICATE_EXPIRED,
    Refusal.CERTIFICATE_NOT_YET_VALID: ContractStatus.CERTIFICATE_EXPIRED,  # OCPP has no word of its own for it
    Refusal.CERTIFICATE_REVOKED: ContractStatus.CERTIFICATE_REVOKED,
    Refusal.STATUS_UNKNOWN: ContractStatus.CERT_CHAIN_ERROR,
}


class ContractRefused(Exception):
    """The certificate is not good: status for the station, text for people."""

    def __init__(self, status: ContractStatus, text: str) -> None:
        super().__init__(text)
        self.status = status


class ContractRoots:
    """The roots below which contracts are trusted, our own and those of the pools; and the CAs that issue contracts."""

    def __init__(self, own: Sequence[bytes], pools: OpcpClient | None, clock: Clock) -> None:
        """own: DER."""
        self._own = [load(der) for der in own]
        self._pools = pools
        self._clock = clock
        self._roots: list[Certificate] = []
        self._issuers: list[Certificate] = []
        self._until = float("-inf")

    async def roots(self) -> Sequence[Certificate]:
        """Of the last answer of the pools when they do not answer now."""
        await self._renew()
        return [*self._own, *self._roots]

    async def issuers(self) -> Sequence[Certificate]:
        """Roots, and the sub-CAs that the pools name for contracts."""
        return [*await self.roots(), *self._issuers]

    async def _renew(self) -> None:
        if self._pools is None or self._clock.monotonic() < self._until:
            return
        self._until = self._clock.monotonic() + AGAIN_S
        try:
            roots = [*await self._pools.roots("mo"), *await self._pools.roots("v2g")]
            self._roots = [load(root.certificate) for root in roots]
            self._until = self._clock.monotonic() + ROOTS_KEPT_S
            self._issuers = certificates_of(await self._pools.ca_certificates("mo"))
        except (PlugbenchError, ValueError):  # ValueError: no base64
            return


class ContractCheck:
    """Checks chains and hashes of chains."""

    def __init__(
        self,
        roots: ContractRoots,
        revocation: RevocationCheck,
        desk: StatusDesk,
        rules: RevocationRules,
        clock: Clock,
        deadline_s: float,
    ) -> None:
        """revocation: for whole certificates; desk: asks responders about hashes. deadline_s: for each of the two."""
        self._roots = roots
        self._revocation = revocation
        self._trust = Trust(clock, self._revoked_in_time)
        self._desk = desk
        self._rules = rules
        self._deadline_s = deadline_s

    async def chain(self, emaid: str, pem: str) -> tuple[bytes, ...]:
        """DER of a contract's chain, leaf first, when it may be used. Raises ContractRefused."""
        try:
            certificates = load_all(pem.encode())
        except CertificateError as error:
            raise ContractRefused(ContractStatus.CERT_CHAIN_ERROR, str(error)[:300]) from None
        leaf, *others = certificates
        if len(certificates) > MAX_CHAIN:
            raise ContractRefused(ContractStatus.CERT_CHAIN_ERROR, f"{len(certificates)} certificates in one chain")
        if not same(common_name(leaf), emaid):
            text = f"idToken is {emaid!r}, the certificate is of {common_name(leaf)!r}"
            raise ContractRefused(ContractStatus.NO_CERTIFICATE_AVAILABLE, text)
        sub_cas = tuple(one for one in others if one.subject != one.issuer)
        try:
            for one in certificates:
                read_certificate(one.dump(), "contract certificate")
            await self._trust.check(
                Chain(leaf, sub_cas, Role.CONTRACT, "contract certificate"), await self._roots.roots()
            )
        except Refused as error:
            status = _STATUS.get(error.reason, ContractStatus.CERT_CHAIN_ERROR)
            raise ContractRefused(status, str(error)) from None
        return tuple(one.dump() for one in (leaf, *sub_cas))

    async def hashes(self, asked: Sequence[CertificateId], chain: Sequence[bytes] = ()) -> None:
        """Ask about every certificate of a chain by its hashes. chain: of `chain`, if it came too (its sub-CAs issue).

        Raises ContractRefused.
        """
        known = [*await self._roots.issuers(), *map(load, chain)]
        for status, why in await asyncio.gather(*(self._status_in_time(one, known) for one in asked)):
            if status is Status.REVOKED:
                raise ContractRefused(ContractStatus.CERTIFICATE_REVOKED, why)
            if status is Status.UNKNOWN and self._rules.policy is Policy.HARD:
                raise ContractRefused(ContractStatus.CERT_CHAIN_ERROR, f"status unknown: {why}")

    async def _status_in_time(self, one: CertificateId, known: Sequence[Certificate]) -> tuple[Status, str]:
        try:
            async with asyncio.timeout(self._deadline_s):
                return await self._desk.status(one, known)
        except TimeoutError:
            return Status.UNKNOWN, f"{one.responder}: no answer within {self._deadline_s:g} s"

    async def _revoked_in_time(self, path: Sequence[Certificate], field: str, /) -> None:
        """`RevocationCheck` that ends. Raises Refused."""
        try:
            async with asyncio.timeout(self._deadline_s):
                await self._revocation(path, field)
        except TimeoutError:
            if self._rules.policy is Policy.HARD:
                text = f"no word of the OCSP responders within {self._deadline_s:g} s"
                raise Refused(Refusal.STATUS_UNKNOWN, text, field=field) from None
