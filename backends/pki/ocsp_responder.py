"""The OCSP responder (RFC 6960): one delegated signer per issuing CA, answers from the store."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from asn1crypto import core, ocsp  # type: ignore[import-untyped]
from asn1crypto.util import timezone  # type: ignore[import-untyped]

from backends.pki import certificate_store as store
from backends.pki.authorities import CertificateAuthorities, Order
from backends.pki.ca_keys import SigningKey
from backends.pki.certificate_store import StoredCertificate
from backends.pki.ocsp_request import HASHES, CertificateId, OcspRequest, read_ocsp_request
from backends.pki.profiles import OCSP_KIND
from ports.errors import PeerError, PlugbenchError

LIFETIME_S = 3600
_RENEW_BEFORE_S = 86400  # a delegated signer is replaced a day before it ends
ACTOR = "ocsp responder"

IssuerKey = tuple[str, bytes, bytes]


@dataclass(frozen=True, slots=True)
class OcspAnswer:
    """DER of the response. fresh_s: how long it may be cached, 0 = not at all."""

    der: bytes
    fresh_s: int = 0


@dataclass(frozen=True, slots=True)
class _Signer:
    certificate: StoredCertificate
    key: SigningKey


class OcspResponder:
    """Answers for every CA of the store."""

    def __init__(self, authorities: CertificateAuthorities, lifetime_s: int = LIFETIME_S) -> None:
        """lifetime_s: from thisUpdate to nextUpdate."""
        self._authorities = authorities
        self._lifetime_s = lifetime_s
        self._issuers: dict[IssuerKey, StoredCertificate] = {}
        self._read_at = -1
        self._signers: dict[str, _Signer] = {}
        self._making = asyncio.Lock()

    async def answer(self, octets: bytes) -> OcspAnswer:
        """The response to any octets; never raises for what a stranger sent.

        malformed_request: unreadable; unauthorized: no CA of ours; try_later: our key or store is not usable now.
        """
        try:
            request = read_ocsp_request(octets)
        except PeerError:
            return _error("malformed_request")
        try:
            return await self._answer(request)
        except PlugbenchError:
            return _error("try_later")

    async def _answer(self, request: OcspRequest) -> OcspAnswer:
        issuers = [await self._issuer(asked) for asked in request.certificates]
        issuer = next((one for one in issuers if one is not None), None)
        if issuer is None:
            return _error("unauthorized")
        now = self._authorities.clock.now().astimezone(timezone.utc).replace(microsecond=0)
        signer = await self._signer(issuer, int(now.timestamp()))

        def work(connection: sa.Connection) -> list[StoredCertificate | None]:
            return [
                # of several CAs in one request the signer may speak for one: the others are unknown here
                store.by_serial(connection, issuer.fingerprint, asked.serial) if of is issuer else None
                for asked, of in zip(request.certificates, issuers, strict=True)
            ]

        found = await self._authorities.database.read(work)
        end = min(now + timedelta(seconds=self._lifetime_s), signer.certificate.x509.not_valid_after)
        pairs = zip(request.certificates, found, strict=True)
        singles = [_single(asked.der, stored, now, end) for asked, stored in pairs]
        der = await _signed(signer, singles, now, request.nonce)
        return OcspAnswer(der, 0 if request.nonce else max(0, int((end - now).total_seconds())))

    async def _issuer(self, asked: CertificateId) -> StoredCertificate | None:
        """Which CA of ours is meant; the CAs are read again when certificates were issued since."""
        if asked.issuer not in self._issuers:
            newest = await self._authorities.database.read(store.last_sequence)
            if newest != self._read_at:
                known = await self._authorities.database.read(store.authorities)
                self._issuers = {key: one for one in known for key in _issuer_keys(one)}
                self._read_at = newest
        return self._issuers.get(asked.issuer)

    async def _signer(self, issuer: StoredCertificate, now: int) -> _Signer:
        async with self._making:
            known = self._signers.get(issuer.fingerprint) or await self._stored_signer(issuer)
            if known is None or not _lasts(known.certificate, issuer, now):
                order = Order(realm=issuer.realm, kind=OCSP_KIND, issuer=issuer.fingerprint)
                issued = await self._authorities.issue(order, actor=ACTOR)
                known = _Signer(issued.stored, await self._authorities.key_of(issued.stored))
            self._signers[issuer.fingerprint] = known
            return known

    async def _stored_signer(self, issuer: StoredCertificate) -> _Signer | None:
        found = await self._authorities.database.read(
            lambda connection: store.newest(connection, issuer.realm, OCSP_KIND, issuer.fingerprint)
        )
        if found is None or not self._authorities.keys.has(found.key_reference):  # another server's
            return None
        return _Signer(found, await self._authorities.key_of(found))


def _lasts(signer: StoredCertificate, issuer: StoredCertificate, now: int) -> bool:
    if signer.revoked is not None or signer.valid_to <= now:
        return False
    return signer.valid_to - now > _RENEW_BEFORE_S or signer.valid_to >= issuer.valid_to


def _issuer_keys(issuer: StoredCertificate) -> list[IssuerKey]:
    certificate = issuer.x509
    name, key = certificate.subject.dump(), bytes(certificate.public_key["public_key"])
    return [(algorithm, _hash(algorithm, name), _hash(algorithm, key)) for algorithm in HASHES]


def _hash(algorithm: str, octets: bytes) -> bytes:
    return hashlib.new(algorithm, octets, usedforsecurity=False).digest()


def _single(cert_id: bytes, stored: StoredCertificate | None, now: datetime, end: datetime) -> dict[str, Any]:
    if stored is None:
        status = ocsp.CertStatus(name="unknown", value=core.Null())
    elif stored.revoked is None:
        status = ocsp.CertStatus(name="good", value=core.Null())
    else:
        at = datetime.fromtimestamp(stored.revoked, UTC)
        status = ocsp.CertStatus(
            name="revoked", value=ocsp.RevokedInfo({"revocation_time": at, "revocation_reason": stored.reason})
        )
    return {"cert_id": ocsp.CertId.load(cert_id), "cert_status": status, "this_update": now, "next_update": end}


async def _signed(signer: _Signer, singles: list[dict[str, Any]], now: datetime, nonce: bytes) -> bytes:
    certificate = signer.certificate.x509
    key_hash = _hash("sha1", bytes(certificate.public_key["public_key"]))  # RFC 6960 4.2.1: KeyHash
    content: dict[str, Any] = {
        "responder_id": ocsp.ResponderId(name="by_key", value=core.OctetString(key_hash)),
        "produced_at": now,
        "responses": singles,
    }
    if nonce:
        value = core.ParsableOctetString(core.OctetString(nonce).dump())
        content["response_extensions"] = [{"extn_id": "nonce", "extn_value": value}]
    data = ocsp.ResponseData(content)
    algorithm = signer.key.algorithm.signature
    basic = ocsp.BasicOCSPResponse(
        {
            "tbs_response_data": data,
            "signature_algorithm": {"algorithm": algorithm},
            "signature": await signer.key.sign(data.dump(), algorithm),
            "certs": [certificate],
        }
    )
    response = {"response_type": "basic_ocsp_response", "response": core.ParsableOctetString(basic.dump())}
    der: bytes = ocsp.OCSPResponse({"response_status": "successful", "response_bytes": response}).dump()
    return der


def _error(status: str) -> OcspAnswer:
    return OcspAnswer(ocsp.OCSPResponse({"response_status": status}).dump())
