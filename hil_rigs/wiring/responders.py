"""OCSP responders asked directly, as certificates name them: `ports.contracts.CertificateStatusSource`."""

from __future__ import annotations

import asyncio

from backends.guarded_http import LOOPBACK, GuardedHttp
from backends.pki.revocation import RevocationChecker, RevocationRules, Status
from hil_rigs.rig_references import DIRECT
from ports.clock import Clock
from ports.contracts import CertificateStatus
from ports.errors import RigError
from v2g.certificates import load

WORDS = {Status.GOOD: CertificateStatus.GOOD, Status.REVOKED: CertificateStatus.REVOKED}


class Responders:
    """Answers are verified, and kept for a while. Those of this machine may be asked."""

    name = DIRECT

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._http = GuardedHttp(allowed=LOOPBACK)
        self._checker = RevocationChecker(http=self._http, rules=RevocationRules(timeout_s=5.0))

    async def status(self, certificate: bytes, issuer: bytes, deadline_s: float) -> CertificateStatus:
        """See `ports.contracts.CertificateStatusSource`."""
        try:
            async with asyncio.timeout(deadline_s):
                verdict = await self._checker.verdict(load(certificate), load(issuer), self._clock.now())
        except TimeoutError:
            raise RigError(f"no responder answered within {deadline_s:g} s") from None
        if verdict.status not in WORDS:
            raise RigError(verdict.detail)
        return WORDS[verdict.status]

    async def close(self) -> None:
        """Close the connections; harmless when closed."""
        await self._http.close()
