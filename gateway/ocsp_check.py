"""Whether a contract's certificates are revoked, by the policy of the rig."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

from gateway.authorisation import RefusedError
from gateway.patience import within
from gateway.policy import OcspPolicy, Policy
from ocmf.terms import Level
from ports.clock import Clock
from ports.contracts import CertificateStatus, CertificateStatusSource
from ports.errors import PeerError, RigError
from ports.trace import TraceEvent, Tracer
from v2g.certificates import describe, load

NOT_ASKED = "not asked"
NO_ANSWER = "no answer"


class OcspCheck:
    """Asks for the leaf, and for each sub-CA whose certificate names a responder."""

    def __init__(self, source: CertificateStatusSource | None, clock: Clock, tracer: Tracer) -> None:
        self._source = source
        self._clock = clock
        self._tracer = tracer

    async def check(self, connector: str, chain: Sequence[bytes], roots: Iterable[Any] | None, policy: Policy) -> None:
        """Raise RefusedError for a chain that may not pass. The trace says in any case what was asked and decided.

        chain: DER, leaf first, in order. roots: what the last sub-CA may be issued by.
        """
        if self._source is None or policy.ocsp is OcspPolicy.OFF:
            why = "" if self._source is not None else "no responder is given"
            self._trace(connector, policy, {_name(chain[0]): NOT_ASKED}, "passes", why)
            return
        asked = list(_asked(chain, roots))
        if not asked:
            found = {_name(chain[0]): (NO_ANSWER, "the issuer of the certificate is not known")}
        else:
            answers = await asyncio.gather(*(self._status(one, issuer, policy.ocsp_s) for one, issuer in asked))
            found = {_name(one): answer for (one, _), answer in zip(asked, answers, strict=True)}
        statuses = {name: status for name, (status, _) in found.items()}
        why = "; ".join(f"{name}: {text}" for name, (_, text) in found.items() if text)
        revoked = [name for name, status in statuses.items() if status == CertificateStatus.REVOKED]
        unsure = [name for name, status in statuses.items() if status != CertificateStatus.GOOD]
        refused = revoked or (unsure if policy.ocsp is OcspPolicy.HARD else [])
        self._trace(connector, policy, statuses, "refused" if refused else "passes", why)
        if revoked:
            text = f"{', '.join(revoked)}: revoked, says {self._source.name}"
            raise RefusedError(text, Level.INVALID, "", "FAILED_CertificateRevoked")
        if refused:
            text = f"{', '.join(refused)}: the status is not known, and the policy is hard: {why or 'unknown'}"
            raise RefusedError(text, Level.UNKNOWN)

    async def _status(self, one: bytes, issuer: bytes, patience_s: float) -> tuple[str, str]:
        assert self._source is not None  # noqa: S101 - asked only then
        try:
            status = await within(self._clock, patience_s, self._source.status(one, issuer, patience_s))
        except (PeerError, RigError, TimeoutError) as error:
            return NO_ANSWER, str(error)
        return status.value, ""

    def _trace(self, connector: str, policy: Policy, statuses: dict[str, str], decision: str, why: str) -> None:
        data = {
            "policy": policy.ocsp.value,
            "responder": self._source.name if self._source is not None else "",
            "status": statuses,
            "decision": decision,
            "why": why,
        }
        self._tracer(TraceEvent(self._clock.monotonic(), "session", "session.ocsp", connector, data))


def _asked(chain: Sequence[bytes], roots: Iterable[Any] | None) -> Iterable[tuple[bytes, bytes]]:
    """Certificates to ask about, each with its issuer's."""
    last = load(chain[-1])
    root = next((one.dump() for one in roots or () if one.subject == last.issuer), None)
    for number, (one, issuer) in enumerate(pairwise([*chain, *([root] if root else [])])):
        if number == 0 or load(one).ocsp_urls:
            yield one, issuer


def _name(certificate: bytes) -> str:
    return describe(load(certificate).subject)
