"""Certificate signing requests (PKCS#10, RFC 2986): read from strangers, checked that the sender has the key."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass

from asn1crypto.csr import CertificationRequest  # type: ignore[import-untyped]
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448
from cryptography.hazmat.primitives.serialization import load_der_public_key

from backends.pki.der import check_der
from backends.pki.key_algorithms import KeyAlgorithm, algorithm_of
from ports.errors import PeerError

MAX_OCTETS = 8192
_ARMOUR = b"-----"
_HASHES: dict[str, type[hashes.SHA256 | hashes.SHA384 | hashes.SHA512]] = {
    "sha256_ecdsa": hashes.SHA256,
    "sha384_ecdsa": hashes.SHA384,
    "sha512_ecdsa": hashes.SHA512,
}


class RequestRefused(PeerError):
    """The request cannot be read, or its sender did not prove that the key is his."""


@dataclass(frozen=True, slots=True)
class Request:
    """What the sender asks for. subject: asn1crypto's attribute names and values, in order."""

    subject: tuple[tuple[str, str], ...]
    public_key: bytes
    algorithm: KeyAlgorithm

    def attribute(self, name: str) -> str:
        """The first value of an attribute of the subject; "" when there is none."""
        return next((value for kind, value in self.subject if kind == name), "")


def read_request(octets: bytes) -> Request:
    """A request in DER, base64 of DER (as EST sends it) or PEM. Raises RequestRefused."""
    der = _unarmoured(octets)
    try:
        check_der(der, "certificate request", MAX_OCTETS)
        parsed = CertificationRequest.load(der, strict=True)
        info = parsed["certification_request_info"]
        subject = tuple((p["type"].native, str(p["value"].native)) for rdn in info["subject"].chosen for p in rdn)
        spki: bytes = info["subject_pk_info"].dump()
        signature: str = parsed["signature_algorithm"]["algorithm"].native
        algorithm = algorithm_of(spki)
        _verify(spki, bytes(parsed["signature"]), info.dump(), signature)
    except PeerError as error:
        raise RequestRefused(str(error), octets) from None
    except (ValueError, TypeError, KeyError, IndexError, OverflowError, AttributeError) as error:
        text = (str(error).splitlines() or [type(error).__name__])[0]
        raise RequestRefused(f"certificate request cannot be read: {text}", octets) from None
    return Request(subject, spki, algorithm)


def _unarmoured(octets: bytes) -> bytes:
    if len(octets) > 2 * MAX_OCTETS:
        raise RequestRefused(f"certificate request of {len(octets)} octets, at most {2 * MAX_OCTETS}", octets[:64])
    if octets[:1] == b"\x30":
        return octets
    lines = octets.strip().splitlines()
    if lines and lines[0].startswith(_ARMOUR):
        if not lines[0].endswith(b"CERTIFICATE REQUEST-----"):
            raise RequestRefused(f"PEM of another kind: {lines[0][:60].decode('ascii', 'replace')}", octets)
        lines = [line for line in lines if not line.startswith(_ARMOUR)]
    try:
        return base64.b64decode(b"".join(b"".join(lines).split()), validate=True)
    except binascii.Error as error:
        raise RequestRefused(f"certificate request is neither DER, base64 nor PEM: {error}", octets) from None


def _verify(spki: bytes, signature: bytes, message: bytes, algorithm: str) -> None:
    key = load_der_public_key(spki)
    try:
        if isinstance(key, ed448.Ed448PublicKey) and algorithm == "ed448":
            key.verify(signature, message)
        elif isinstance(key, ec.EllipticCurvePublicKey) and algorithm in _HASHES:
            key.verify(signature, message, ec.ECDSA(_HASHES[algorithm]()))
        else:
            raise PeerError(f"certificate request is signed with {algorithm}, which does not suit its key")
    except InvalidSignature:
        raise PeerError("certificate request: its signature does not verify with its own key") from None
