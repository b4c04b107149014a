"""Is a certificate revoked: asked in our own store, else at the OCSP responder that the certificate names."""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import pairwise

from asn1crypto import ocsp  # type: ignore[import-untyped]
from asn1crypto.x509 import Certificate  # type: ignore[import-untyped]
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from pyhanko_certvalidator.authority import CertTrustAnchor
from pyhanko_certvalidator.context import ValidationContext
from pyhanko_certvalidator.errors import OCSPValidationError, RevokedError, ValidationError
from pyhanko_certvalidator.path import ValidationPath
from pyhanko_certvalidator.revinfo.validate_ocsp import verify_ocsp_response

from backends.guarded_http import GuardedHttp
from backends.pki import certificate_store as store
from backends.pki.der import check_der
from backends.store.database import Database
from ports.errors import PeerError
from v2g.certificates import describe

MAX_RESPONDERS = 2  # of those that one certificate names
MAX_ANSWER = 65536
CACHED = 10_000
_PARSING = (
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    OverflowError,
    AttributeError,
    UnsupportedAlgorithm,
    InvalidSignature,
)


class Status(StrEnum):
    """RFC 6960 2.2."""

    GOOD = "good"
    REVOKED = "revoked"
    UNKNOWN = "unknown"


class Policy(StrEnum):
    """What to make of an unknown status: HARD refuses, SOFT lets it pass."""

    HARD = "hard"
    SOFT = "soft"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A status, why, and until when it may be kept."""

    status: Status
    detail: str
    until: datetime


class Revoked(PeerError):
    """The certificate was revoked."""


class StatusUnknown(PeerError):
    """Nobody could say whether the certificate is revoked, and the policy wants to know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RevocationRules:
    """timeout_s: for one responder. max_age_s: how long an answer is kept, whatever its nextUpdate says.

    retry_s: how long "unknown" is kept, so that a dead responder is not waited for again and again.
    no_responder: what to say of a certificate that names none; the field has such (UNKNOWN or GOOD).
    """

    policy: Policy = Policy.HARD
    timeout_s: float = 1.0
    max_age_s: float = 3600.0
    retry_s: float = 10.0
    no_responder: Status = Status.UNKNOWN


class RevocationChecker:
    """Answers for one server. Answers of responders are verified and kept; concurrent questions are asked once."""

    def __init__(
        self, *, database: Database | None = None, http: GuardedHttp | None = None, rules: RevocationRules | None = None
    ) -> None:
        """database: of our own CAs, None = there are none. http: None = responders are never asked."""
        self._database = database
        self._http = http
        self.rules = rules or RevocationRules()
        self._kept: OrderedDict[bytes, Verdict] = OrderedDict()
        self._known: dict[tuple[str, ...], dict[str, int | None]] = {}  # of our own store, at its version
        self._version: int | None = None
        self._asking: dict[bytes, asyncio.Task[Verdict]] = {}

    async def status(self, certificate: Certificate, issuer: Certificate, at: datetime) -> Status:
        """good, revoked or unknown at the moment `at` (with time zone)."""
        return (await self.verdict(certificate, issuer, at)).status

    async def verdict(self, certificate: Certificate, issuer: Certificate, at: datetime) -> Verdict:
        """The status with its reason."""
        return (await self.verdicts([certificate, issuer], at))[0]

    async def verdicts(self, path: Sequence[Certificate], at: datetime) -> list[Verdict]:
        """Of every certificate of a path (leaf first, root last) but the root, which nobody can revoke."""
        pairs = list(pairwise(path))
        local = await self._local([certificate for certificate, _ in pairs], at)
        if None not in local:
            return [verdict for verdict in local if verdict is not None]
        return list(
            await asyncio.gather(
                *(
                    _settled(known) if known else self._remote(certificate, issuer, at)
                    for known, (certificate, issuer) in zip(local, pairs, strict=True)
                )
            )
        )

    async def require_good(self, path: Sequence[Certificate], at: datetime) -> None:
        """Raises Revoked; StatusUnknown under the hard policy."""
        for certificate, verdict in zip(path, await self.verdicts(path, at), strict=False):
            unknown = verdict.status is Status.UNKNOWN and self.rules.policy is Policy.HARD
            if verdict.status is Status.REVOKED or unknown:
                text = f"{describe(certificate.subject)}: {verdict.detail}"
                raise (StatusUnknown if unknown else Revoked)(text, certificate.dump())

    async def _local(self, certificates: list[Certificate], at: datetime) -> list[Verdict | None]:
        if self._database is None:
            return [None] * len(certificates)
        prints = tuple(store.fingerprint(certificate) for certificate in certificates)
        version = self._database.version()
        if version is None or version != self._version:
            self._version = version
            self._known.clear()
        found = self._known.get(prints)
        if found is None:
            found = await self._database.look_up(lambda connection: store.revocations(connection, prints))
            if len(self._known) < CACHED:
                self._known[prints] = found
        return [_local_verdict(found[one], at) if one in found else None for one in prints]

    async def _remote(self, certificate: Certificate, issuer: Certificate, at: datetime) -> Verdict:
        key = hashlib.sha256(issuer.public_key.dump() + certificate.dump()).digest()
        kept = self._kept.get(key)
        if kept is not None and at < kept.until:
            self._kept.move_to_end(key)
            return kept
        task = self._asking.get(key)
        if task is None:
            task = asyncio.ensure_future(self._ask(certificate, issuer, at))
            self._asking[key] = task
            task.add_done_callback(lambda _: self._asking.pop(key, None))
        verdict = await asyncio.shield(task)
        self._kept[key] = verdict
        if len(self._kept) > CACHED:
            self._kept.popitem(last=False)
        return verdict

    async def _ask(self, certificate: Certificate, issuer: Certificate, at: datetime) -> Verdict:
        soon = at + timedelta(seconds=self.rules.retry_s)
        try:
            urls = [str(url) for url in certificate.ocsp_urls if url.lower().startswith("http")][:MAX_RESPONDERS]
        except _PARSING as error:
            return Verdict(Status.UNKNOWN, f"its OCSP address cannot be read: {error}", soon)
        if not urls:
            late = at + timedelta(seconds=self.rules.max_age_s)
            return Verdict(self.rules.no_responder, "it names no OCSP responder", late)
        if self._http is None:
            return Verdict(Status.UNKNOWN, "OCSP responders are not asked here", soon)
        problems = []
        for url in urls:
            try:
                verdict = await self._ask_one(self._http, url, certificate, issuer, at)
            except PeerError as error:
                problems.append(str(error))
                continue
            if verdict.status is not Status.UNKNOWN:
                return verdict
            problems.append(verdict.detail)
        return Verdict(Status.UNKNOWN, "; ".join(problems), soon)

    async def _ask_one(
        self, http: GuardedHttp, url: str, certificate: Certificate, issuer: Certificate, at: datetime
    ) -> Verdict:
        answer = await http.post(
            url,
            ocsp_request(certificate, issuer),
            {"Content-Type": "application/ocsp-request", "Accept": "application/ocsp-response"},
            timeout_s=self.rules.timeout_s,
            max_answer=MAX_ANSWER,
        )
        if answer.status != 200:
            raise PeerError(f"{url} answered {answer.status}", answer.body[:256])
        verdict = await read_ocsp_response(answer.body, certificate, issuer, at)
        until = min(verdict.until, at + timedelta(seconds=self.rules.max_age_s))
        return Verdict(verdict.status, f"{url}: {verdict.detail}", until)


def ocsp_request(certificate: Certificate, issuer: Certificate, hash_name: str = "sha1") -> bytes:
    """A request for one certificate, without nonce: answers may be kept (RFC 5019). DER."""

    def digest(octets: bytes) -> bytes:
        return hashlib.new(hash_name, octets, usedforsecurity=False).digest()

    cert_id = {
        "hash_algorithm": {"algorithm": hash_name},
        "issuer_name_hash": digest(issuer.subject.dump()),
        "issuer_key_hash": digest(bytes(issuer.public_key["public_key"])),
        "serial_number": certificate.serial_number,
    }
    der: bytes = ocsp.OCSPRequest({"tbs_request": {"request_list": [{"req_cert": cert_id}]}}).dump()
    return der


async def read_ocsp_response(octets: bytes, certificate: Certificate, issuer: Certificate, at: datetime) -> Verdict:
    """The status in a response whose signature, signer and dates hold at `at`. Raises PeerError when they do not."""
    check_der(octets, "OCSP response", MAX_ANSWER)
    try:
        response = ocsp.OCSPResponse.load(octets, strict=True)
        said = response["response_status"].native
        if said != "successful":
            raise PeerError(f"OCSP responder says {said}", octets)
        single = next(
            one
            for one in response.response_data["responses"]
            if one["cert_id"]["serial_number"].native == certificate.serial_number
        )
        until = single["next_update"].native or at
        unknown = single["cert_status"].name == "unknown"
        context = ValidationContext(
            trust_roots=[issuer], ocsps=[octets], moment=at, revocation_mode="soft-fail", weak_hash_algos=set()
        )
        path = ValidationPath(CertTrustAnchor(issuer), [], certificate)
        await verify_ocsp_response(certificate, path, context)
    except RevokedError as error:
        return Verdict(Status.REVOKED, str(error), until)
    except StopIteration:
        raise PeerError("OCSP response is about another certificate", octets) from None
    except (ValidationError, OCSPValidationError) as error:
        if unknown:
            return Verdict(Status.UNKNOWN, "the responder does not know the certificate", until)
        failures = "; ".join(str(failure[0]) for failure in getattr(error, "failures", ()))
        raise PeerError(f"OCSP response does not hold: {failures or error.args[0]}", octets) from None
    except _PARSING as error:
        text = (str(error).splitlines() or [type(error).__name__])[0]
        raise PeerError(f"OCSP response cannot be read: {text}", octets) from None
    return Verdict(Status.GOOD, "not revoked", until)


async def _settled(verdict: Verdict) -> Verdict:
    return verdict


def _local_verdict(revoked: int | None, at: datetime) -> Verdict:
    if revoked is not None and revoked <= at.timestamp():
        return Verdict(Status.REVOKED, f"revoked {datetime.fromtimestamp(revoked, at.tzinfo):%Y-%m-%d %H:%M:%S}", at)
    return Verdict(Status.GOOD, "not revoked", at)
