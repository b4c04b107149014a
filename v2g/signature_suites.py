"""The signature algorithms of V2G, and signature values between DER and the raw form of XML signatures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from ports.errors import LocalError

PrivateKey = ec.EllipticCurvePrivateKey | ed448.Ed448PrivateKey
PublicKey = ec.EllipticCurvePublicKey | ed448.Ed448PublicKey

Sign = Callable[[bytes], bytes]
"""Signs octets: hashes them where the algorithm does, answers DER (r, s) or the raw value. May ask a token."""


@dataclass(frozen=True, slots=True)
class Suite:
    """One set of algorithms. curve: None for Ed448. half: octets of r and of s, of a whole value for Ed448."""

    name: str
    signature_method: str
    digest_method: str
    digest: Callable[[], hashes.HashAlgorithm]
    curve: str | None
    half: int

    @property
    def value_length(self) -> int:
        """Octets of a SignatureValue."""
        return self.half * 2 if self.curve else self.half

    def hash(self, octets: bytes) -> bytes:
        """The digest of a reference."""
        digest = hashes.Hash(self.digest())
        digest.update(octets)
        return digest.finalize()

    def fits(self, key: object) -> bool:
        """Whether a key is one of this suite's."""
        if isinstance(key, ec.EllipticCurvePublicKey | ec.EllipticCurvePrivateKey):
            return key.curve.name == self.curve
        return self.curve is None and isinstance(key, ed448.Ed448PublicKey | ed448.Ed448PrivateKey)

    def raw_value(self, signature: bytes) -> bytes:
        """The SignatureValue of what a signer answered. Raises LocalError when that is neither raw nor DER.

        DER comes first: with small numbers it is as long as the raw value. (One raw value in 2^40 reads as DER.)
        """
        if self.curve:
            try:
                r, s = decode_dss_signature(signature)
                return r.to_bytes(self.half, "big") + s.to_bytes(self.half, "big")
            except (ValueError, OverflowError):
                pass
        if len(signature) == self.value_length:
            return signature
        raise LocalError(f"the signer answered {len(signature)} octets, which are no signature of {self.name}")

    def check(self, key: PublicKey, value: bytes, octets: bytes) -> None:
        """Verify a SignatureValue of the right length. Raises InvalidSignature."""
        if isinstance(key, ed448.Ed448PublicKey):
            key.verify(value, octets)
            return
        r, s = int.from_bytes(value[: self.half], "big"), int.from_bytes(value[self.half :], "big")
        if not r or not s:
            raise InvalidSignature
        key.verify(encode_dss_signature(r, s), octets, ec.ECDSA(self.digest()))


_MORE = "http://www.w3.org/2001/04/xmldsig-more#"
_ENC = "http://www.w3.org/2001/04/xmlenc#"

P256 = Suite("ECDSA P-256 SHA-256", f"{_MORE}ecdsa-sha256", f"{_ENC}sha256", hashes.SHA256, "secp256r1", 32)
P521 = Suite("ECDSA P-521 SHA-512", f"{_MORE}ecdsa-sha512", f"{_ENC}sha512", hashes.SHA512, "secp521r1", 66)
ED448 = Suite("Ed448", "http://www.w3.org/2021/04/xmldsig-more#eddsa-ed448", f"{_ENC}sha512", hashes.SHA512, None, 114)
SUITES: Mapping[str, Suite] = MappingProxyType({suite.signature_method: suite for suite in (P256, P521, ED448)})
ISO2_SUITES = (P256,)  # ISO 15118-2 [V2G2-771]
ISO20_SUITES = (P521, ED448)  # ISO 15118-20 [V2G20-2674], [V2G20-2319]
ALL_SUITES = (P256, P521, ED448)  # what peers in the field do: P-256 in -20 too


def suite_for(key: PublicKey | PrivateKey) -> Suite:
    """The suite of a key. Raises LocalError when its curve is none of V2G's."""
    for suite in ALL_SUITES:
        if suite.fits(key):
            return suite
    raise LocalError(
        f"no V2G signature with a key on {getattr(getattr(key, 'curve', None), 'name', type(key).__name__)}"
    )


def signer(key: PrivateKey) -> Sign:
    """Sign with a key in memory."""
    suite = suite_for(key)

    def sign(octets: bytes) -> bytes:
        return (
            key.sign(octets) if isinstance(key, ed448.Ed448PrivateKey) else key.sign(octets, ec.ECDSA(suite.digest()))
        )

    return sign
