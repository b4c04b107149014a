"""Verification of one record over its raw octets. It raises unless the signature is valid.

The curve comes from SA, the key from the caller: never from the record, whatever the record carries.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import load_der_public_key

from ocmf import secp192k1
from ocmf.container import Record, UnknownFormatError, parse
from ocmf.curves import Curve, curve_of_spelling
from ocmf.der import decode_signature, encode_signature
from ocmf.findings import REFUSES_ONLY, SILENT, Finding, Severity
from ocmf.keys import KeyFormatError, PublicKey, decode_public_key
from ports.errors import PeerError

DEFAULT_ALGORITHM = "ECDSA-secp256r1-SHA256"
# SHA-256 is the standard's; the others are extensions that the official verifier refuses
_HASHES = {"SHA256": hashlib.sha256, "SHA384": hashlib.sha384, "SHA512": hashlib.sha512}
_PREHASHED = {
    "SHA256": ec.ECDSA(Prehashed(hashes.SHA256())),
    "SHA384": ec.ECDSA(Prehashed(hashes.SHA384())),
    "SHA512": ec.ECDSA(Prehashed(hashes.SHA512())),
}


class InvalidSignatureError(PeerError):
    """A signature that does not fit its message and key."""


class InvalidRecordError(InvalidSignatureError):
    """The signature does not fit the record."""


class Reason(StrEnum):
    """Why nothing can be said about a record."""

    NO_KEY = "no public key"
    KEY_UNREADABLE = "public key not readable"
    KEY_CURVE = "key and SA name different curves"
    ALGORITHM = "signature algorithm not supported"
    FORMAT = "not OCMF"


class UndecidableError(PeerError):
    """Nothing can be said about the signature: neither valid nor invalid."""

    def __init__(self, reason: Reason, detail: str, received: bytes | str = b"") -> None:
        super().__init__(f"undecidable: {reason}: {detail}", received)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class VerifiedRecord:
    """A record whose signature is valid, and by which key; findings are warnings about its form."""

    record: Record
    key: PublicKey
    findings: tuple[Finding, ...]


def verify_record(record: Record | str | bytes, key: PublicKey | str | bytes | None) -> VerifiedRecord:
    """Verify the signature of a record.

    Raises InvalidRecordError (wrong or unreadable signature), FormatError (OCMF, but broken) and UndecidableError
    (no key, key on another curve, unknown algorithm, not OCMF).
    """
    if not isinstance(record, Record):
        try:
            record = parse(record)
        except UnknownFormatError as error:
            raise UndecidableError(Reason.FORMAT, str(error), error.received) from None
    findings = [_warn("form", "", text, _official_form(text)) for text in record.deviations]
    curve, hash_name = _algorithm(record, findings)
    key = _key(key, curve)
    signature = _signature(record)
    r, s = _numbers(signature, curve, findings)
    if not _fits(key, r, s, record.payload, hash_name):
        raise InvalidRecordError(
            f"the signature of record {record.string('PG') or '(no page)'} does not fit its payload "
            f"and the key {key.fingerprint[:16]}: the record was changed, or it is another meter's key",
            record.text,
        )
    return VerifiedRecord(record, key, tuple(findings))


def verify_signature(message: bytes, signature: bytes, key: PublicKey) -> None:
    """Verify a DER signature over SHA-256(message). Raises InvalidSignatureError."""
    numbers = decode_signature(signature)
    if numbers is None or not all(0 < number < key.curve.order for number in numbers):
        raise InvalidSignatureError(f"no signature of {key.curve.name}", signature)
    if not _fits(key, *numbers, message, "SHA256"):
        raise InvalidSignatureError(f"the signature does not fit the message and key {key.fingerprint[:16]}", signature)


def _fits(key: PublicKey, r: int, s: int, message: bytes, hash_name: str) -> bool:
    digest = _HASHES[hash_name](message).digest()
    if key.curve.name == "secp192k1":
        return secp192k1.verifies(key.point, r, s, digest)
    try:
        _loaded(key.spki).verify(encode_signature(r, s), digest, _PREHASHED[hash_name])
    except InvalidSignature:
        return False
    return True


def _algorithm(record: Record, findings: list[Finding]) -> tuple[Curve, str]:
    text = record.signature.get("SA", DEFAULT_ALGORITHM)
    known = _named(text) if isinstance(text, str) else None
    if known is None:
        raise UndecidableError(Reason.ALGORITHM, f"SA is {text!r}", record.text)
    curve, hash_name = known
    if not curve.in_table or hash_name != "SHA256":
        findings.append(_warn("algorithm", "SA", f"{text} is not in table 22", REFUSES_ONLY))
    elif text != curve.algorithm:
        findings.append(_warn("algorithm", "SA", f"{text} is spelled {curve.algorithm} in table 22", "accepted"))
    return known


@lru_cache(maxsize=64)
def _named(algorithm: str) -> tuple[Curve, str] | None:
    """Curve and hash of SA, read leniently."""
    parts = algorithm.upper().split("-")
    curve = curve_of_spelling("-".join(parts[1:-1])) if len(parts) >= 3 and parts[0] == "ECDSA" else None
    return (curve, parts[-1]) if curve is not None and parts[-1] in _HASHES else None


def _key(key: PublicKey | str | bytes | None, curve: Curve) -> PublicKey:
    if key is None or (isinstance(key, str | bytes) and not key.strip()):
        raise UndecidableError(Reason.NO_KEY, "give the key of the meter")
    if not isinstance(key, PublicKey):
        try:
            key = decode_public_key(key, curve)
        except KeyFormatError as error:
            raise UndecidableError(Reason.KEY_UNREADABLE, str(error)) from None
    if key.curve != curve:
        raise UndecidableError(Reason.KEY_CURVE, f"the key is on {key.curve.name}, SA says {curve.name}")
    return key


def _signature(record: Record) -> bytes:
    value, encoding = record.signature.get("SD"), record.signature.get("SE", "hex")
    if encoding not in ("hex", "base64"):
        raise UndecidableError(Reason.ALGORITHM, f"SE is {encoding!r}, not hex or base64", record.text)
    if not isinstance(value, str):
        raise InvalidRecordError("SD, the signature, is missing", record.text)
    try:
        return bytes.fromhex(value) if encoding == "hex" else base64.b64decode(value, validate=True)
    except (ValueError, binascii.Error):
        raise InvalidRecordError(f"SD is not {encoding}", record.text) from None


def _numbers(signature: bytes, curve: Curve, findings: list[Finding]) -> tuple[int, int]:
    numbers = decode_signature(signature)
    if numbers is None and len(signature) == 2 * curve.size:
        numbers = (int.from_bytes(signature[: curve.size], "big"), int.from_bytes(signature[curve.size :], "big"))
        findings.append(_warn("signature form", "SD", "r and s without DER", REFUSES_ONLY))
    elif numbers is not None and encode_signature(*numbers) != signature:
        findings.append(_warn("signature form", "SD", "not canonical DER", REFUSES_ONLY))
    if numbers is None:
        raise InvalidRecordError(f"SD is neither DER nor r and s of {curve.name}", signature)
    r, s = numbers
    if not (0 < r < curve.order and 0 < s < curve.order):
        raise InvalidRecordError(f"SD holds numbers outside of {curve.name}", signature)
    if s > curve.order // 2:
        findings.append(
            _warn("high s", "SD", "another signature with a low s exists: tell records by payload", "accepted")
        )
    return r, s


def _warn(rule: str, field: str, text: str, official: str = SILENT) -> Finding:
    return Finding(rule, Severity.WARNING, field, text, official)


def _official_form(text: str) -> str:
    return REFUSES_ONLY if "'|' inside" in text or "before the record" in text else "accepted"


@lru_cache(maxsize=256)
def _loaded(spki: bytes) -> ec.EllipticCurvePublicKey:
    key = load_der_public_key(spki)
    assert isinstance(key, ec.EllipticCurvePublicKey)  # noqa: S101 - PublicKey holds nothing else
    return key
