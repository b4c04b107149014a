"""The revocation status of a chain, asked with the PKI's checker, in the words of the pools."""

from __future__ import annotations

from collections.abc import Sequence

from asn1crypto.x509 import Certificate  # type: ignore[import-untyped]

from backends.pki.revocation import RevocationChecker, Revoked, StatusUnknown
from backends.refusals import Refusal, Refused
from ports.clock import Clock


class AskedRevocation:
    """`RevocationCheck` over a checker, which keeps answers for a while."""

    def __init__(self, checker: RevocationChecker, clock: Clock) -> None:
        self._checker = checker
        self._clock = clock

    async def __call__(self, path: Sequence[Certificate], field: str, /) -> None:
        """Raises Refused (CERTIFICATE_REVOKED, STATUS_UNKNOWN)."""
        try:
            await self._checker.require_good(path, self._clock.now())
        except Revoked as error:
            raise Refused(Refusal.CERTIFICATE_REVOKED, str(error), field=field) from error
        except StatusUnknown as error:
            raise Refused(Refusal.STATUS_UNKNOWN, str(error), field=field) from error
