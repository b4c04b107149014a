"""How a webhook proves where it comes from: HMAC-SHA256 over the exact octets sent, in three headers.

One ecosystem, three names: clients in the field read one of them each.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping

PREFIX = "sha256="
WITH_PREFIX = ("X-Hubject-Signature", "X-Operator-Signature")
BARE = "payload-signature"


def signature(secret: str, body: bytes) -> str:
    """Lower-case hex."""
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def signature_headers(secret: str, body: bytes) -> dict[str, str]:
    """The three headers."""
    signed = signature(secret, body)
    return {**dict.fromkeys(WITH_PREFIX, PREFIX + signed), BARE: signed}


def signature_holds(secret: str, body: bytes, headers: Mapping[str, str]) -> bool:
    """Whether there is a signature and every one that is there is right; compared in constant time.

    headers: names in lower case.
    """
    expected = signature(secret, body)
    found = [headers[name.lower()] for name in (*WITH_PREFIX, BARE) if name.lower() in headers]
    holds = [hmac.compare_digest(one.removeprefix(PREFIX).encode(), expected.encode()) for one in found]
    return bool(holds) and all(holds)
