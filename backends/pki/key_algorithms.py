"""The kinds of keys that V2G certificates carry, and what signs with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from asn1crypto.keys import PublicKeyInfo  # type: ignore[import-untyped]
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ports.errors import LocalError, PeerError

PrivateKey = ec.EllipticCurvePrivateKey | ed448.Ed448PrivateKey


@dataclass(frozen=True, slots=True)
class KeyAlgorithm:
    """One kind of key. signature: what it signs with, as asn1crypto names it; digest: "" when it hashes itself."""

    name: str
    curve: ec.EllipticCurve | None
    signature: str
    digest: str

    def generate(self) -> PrivateKey:
        """A new key."""
        return ec.generate_private_key(self.curve) if self.curve else ed448.Ed448PrivateKey.generate()


ALGORITHMS: Mapping[str, KeyAlgorithm] = MappingProxyType(
    {
        algorithm.name: algorithm
        for algorithm in (
            KeyAlgorithm("secp256r1", ec.SECP256R1(), "sha256_ecdsa", "sha256"),  # ISO 15118-2 [V2G2-006]
            KeyAlgorithm("secp384r1", ec.SECP384R1(), "sha384_ecdsa", "sha384"),  # of no V2G profile: for bad variants
            KeyAlgorithm("secp521r1", ec.SECP521R1(), "sha512_ecdsa", "sha512"),  # ISO 15118-20 [V2G20-2674]
            KeyAlgorithm("ed448", None, "ed448", ""),  # ISO 15118-20 [V2G20-2319]
        )
    }
)

_HASHES: Mapping[str, type[hashes.SHA1 | hashes.SHA256 | hashes.SHA384 | hashes.SHA512]] = {
    "sha1_ecdsa": hashes.SHA1,  # only for certificates that must be refused
    "sha256_ecdsa": hashes.SHA256,
    "sha384_ecdsa": hashes.SHA384,
    "sha512_ecdsa": hashes.SHA512,
}


def algorithm_named(name: str) -> KeyAlgorithm:
    """Raises LocalError for a name that is not in the table."""
    if name not in ALGORITHMS:
        raise LocalError(f"key algorithm {name!r} is unknown; there are {', '.join(ALGORITHMS)}")
    return ALGORITHMS[name]


def algorithm_of(spki: bytes) -> KeyAlgorithm:
    """The algorithm of a public key (DER SubjectPublicKeyInfo). Raises PeerError when it is none of the table."""
    try:
        key = PublicKeyInfo.load(spki, strict=True)
        name = key.curve[1] if key.algorithm == "ec" else key.algorithm
    except (ValueError, TypeError, KeyError) as error:
        raise PeerError(f"public key cannot be read: {str(error).splitlines()[0]}", spki) from None
    if name not in ALGORITHMS:
        raise PeerError(f"key is {name}, allowed: {', '.join(ALGORITHMS)}", spki)
    return ALGORITHMS[name]


def public_octets(key: PrivateKey) -> bytes:
    """DER SubjectPublicKeyInfo."""
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def sign_with(key: PrivateKey, message: bytes, signature: str) -> bytes:
    """Sign a message; signature: asn1crypto's name of the algorithm, e.g. "sha256_ecdsa". ECDSA gives DER (r, s)."""
    if isinstance(key, ed448.Ed448PrivateKey):
        return key.sign(message)
    return key.sign(message, ec.ECDSA(_HASHES[signature]()))
