from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pytest

from backends.pki.revocation import RevocationChecker, Revoked, StatusUnknown
from backends.pools.revocation import AskedRevocation
from backends.refusals import Refusal, Refused
from tests.doubles import ManualClock


class Checker(RevocationChecker):
    """Says what it is told to say."""

    def __init__(self, error: Exception | None) -> None:
        super().__init__()
        self.error = error
        self.at: datetime | None = None

    async def require_good(self, path: Sequence[Any], at: datetime) -> None:
        self.at = at
        if self.error is not None:
            raise self.error


@pytest.mark.parametrize(
    ("error", "reason"),
    [(Revoked("CN=x: key_compromise"), Refusal.CERTIFICATE_REVOKED), (StatusUnknown("CN=x"), Refusal.STATUS_UNKNOWN)],
)
async def test_the_answer_in_the_words_of_the_pools(error: Exception, reason: Refusal, clock: ManualClock) -> None:
    checker = Checker(error)
    with pytest.raises(Refused, match="CN=x") as refused:
        await AskedRevocation(checker, clock)([], "field")
    assert (refused.value.reason, refused.value.field) == (reason, "field")
    assert checker.at == clock.now()


async def test_a_good_path_passes(clock: ManualClock) -> None:
    await AskedRevocation(Checker(None), clock)([], "field")
