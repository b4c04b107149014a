"""What a token says about a public key (CKA_EC_PARAMS, CKA_EC_POINT) as SubjectPublicKeyInfo."""

from __future__ import annotations

from hsm.errors import Remedy, TokenError
from ocmf.curves import CURVES, Curve
from ocmf.der import encode, encode_oid
from ocmf.keys import KeyFormatError, PublicKey, key_from_point

_BY_PARAMS = {encode_oid(curve.oid): curve for curve in CURVES.values()}
_OCTET_STRING = 0x04


def ec_params(curve: Curve) -> bytes:
    """CKA_EC_PARAMS of a named curve."""
    return encode_oid(curve.oid)


def public_key_of(params: bytes, point: bytes) -> PublicKey:
    """The key; the point may be wrapped in an OCTET STRING (PKCS#11 2.40) or bare (older modules).

    Raises TokenError (fatal) for a curve that OCMF does not know, or a point that is not on it.
    """
    curve = _BY_PARAMS.get(params)
    if curve is None:
        raise TokenError(Remedy.FATAL, f"the key is on a curve that OCMF does not know (CKA_EC_PARAMS {params.hex()})")
    bare = point
    if len(point) != 2 * curve.size + 1:
        bare = point[-2 * curve.size - 1 :]
        if encode(_OCTET_STRING, bare) != point:
            raise TokenError(Remedy.FATAL, f"CKA_EC_POINT {point.hex()} is no point of {curve.name}")
    try:
        return key_from_point(bare, curve)
    except KeyFormatError as error:
        raise TokenError(Remedy.FATAL, f"CKA_EC_POINT: {error}") from None
