"""secp192k1, which `cryptography` lacks: verified with `ecdsa` (parameters: SEC 2 version 2, 2.2.1)."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

_P = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEFFFFEE37
_A, _B = 0, 3
_N = 0xFFFFFFFFFFFFFFFFFFFFFFFE26F2FC170F69466A74DEFD8D
_GX = 0xDB4FF10EC057E9AE26B07D0280B7F4341DA5D1B1EAE06C7D
_GY = 0x9B2F2F6D9C5628A7844163D015BE86344082AA88D95E2F9D


@lru_cache(maxsize=1)
def _curve() -> Any:
    from ecdsa import curves, ellipticcurve  # type: ignore[import-untyped]  # late: only this rare curve pays for it

    field = ellipticcurve.CurveFp(_P, _A, _B, 1)
    generator = ellipticcurve.PointJacobi(field, _GX, _GY, 1, _N, generator=True)
    return curves.Curve("secp192k1", field, generator, (1, 3, 132, 0, 31), "secp192k1")


def load(point: bytes) -> Any:
    """A verifying key from 04 X Y. Raises ValueError when it is not on the curve."""
    from ecdsa import VerifyingKey
    from ecdsa.errors import MalformedPointError  # type: ignore[import-untyped]

    try:
        return VerifyingKey.from_string(point, curve=_curve())
    except MalformedPointError as error:
        raise ValueError(str(error)) from None


def verifies(point: bytes, r: int, s: int, digest: bytes) -> bool:
    """Whether (r, s) signs the digest."""
    from ecdsa import BadSignatureError

    try:
        load(point).verify_digest(r.to_bytes(24, "big") + s.to_bytes(24, "big"), digest, allow_truncate=True)
    except BadSignatureError:
        return False
    return True
