"""Public keys: every encoding seen in the field in, SubjectPublicKeyInfo out; and which key was valid when.

Keys travel out of band: DER in hex (usual), base64, PEM, an uncompressed point, base32, or OCPP's
base64("oca:base16:asn1:<hex>").
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from ocmf import secp192k1
from ocmf.curves import CURVES, Curve
from ocmf.der import encode_spki
from ports.errors import LocalError, PeerError

_OCA = "oca:base16:asn1:"  # Open Charge Alliance, Signed Meter Values in OCPP 1.0
_PEM = re.compile(r"-----BEGIN PUBLIC KEY-----(.*?)-----END PUBLIC KEY-----", re.DOTALL)
_MAX_TEXT = 8192
_PREFIXES = {
    curve.name: encode_spki(curve, bytes(2 * curve.size + 1))[: -2 * curve.size - 1] for curve in CURVES.values()
}
_CURVE_CLASSES: dict[str, type[ec.EllipticCurve]] = {
    "secp192r1": ec.SECP192R1,
    "secp256k1": ec.SECP256K1,
    "secp256r1": ec.SECP256R1,
    "brainpoolP256r1": ec.BrainpoolP256R1,
    "secp384r1": ec.SECP384R1,
    "brainpoolP384r1": ec.BrainpoolP384R1,
    "secp521r1": ec.SECP521R1,
}


class KeyFormatError(PeerError):
    """Not a readable public key of a known curve."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key on a named curve; the point is on the curve."""

    spki: bytes
    curve: Curve

    @property
    def point(self) -> bytes:
        """04 X Y."""
        return self.spki[-2 * self.curve.size - 1 :]

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the SubjectPublicKeyInfo in hex."""
        return hashlib.sha256(self.spki).hexdigest()

    def hex(self) -> str:
        """DER in upper case hex, as records carry it."""
        return self.spki.hex().upper()

    def base64(self) -> str:
        """DER in base64, one line."""
        return base64.b64encode(self.spki).decode()

    def pem(self) -> str:
        """PEM with a newline at its end (RFC 7468)."""
        text = self.base64()
        lines = "\n".join(text[at : at + 64] for at in range(0, len(text), 64))
        return f"-----BEGIN PUBLIC KEY-----\n{lines}\n-----END PUBLIC KEY-----\n"

    def oca(self) -> str:
        """As OCPP carries it in `publicKey`."""
        return base64.b64encode(f"{_OCA}{self.hex()}".encode()).decode()


@lru_cache(maxsize=1024)
def decode_public_key(key: str | bytes, curve: Curve | None = None) -> PublicKey:
    """Read a key in any encoding of the field; `curve` is needed for bare points only.

    Raises KeyFormatError when it is none, or on no curve that can be verified.
    """
    if len(key) > _MAX_TEXT:
        raise KeyFormatError(f"public key of {len(key)} characters, more than {_MAX_TEXT}")
    reason = "no known encoding"
    for octets in _readings(key):
        try:
            return _from_octets(octets, curve)
        except KeyFormatError as error:
            if octets[:1] in {b"\x30", b"\x04"}:
                reason = str(error)
    raise KeyFormatError(f"public key not readable: {reason}", key)


def key_from_point(point: bytes, curve: Curve) -> PublicKey:
    """A key from 04 X Y. Raises KeyFormatError when the point is not on the curve."""
    if len(point) != 2 * curve.size + 1 or point[0] != 4:
        raise KeyFormatError(f"not an uncompressed point of {curve.name}", point)
    try:
        if curve.name == "secp192k1":
            secp192k1.load(point)
        else:
            ec.EllipticCurvePublicKey.from_encoded_point(_CURVE_CLASSES[curve.name](), point)
    except (ValueError, UnsupportedAlgorithm):
        raise KeyFormatError(f"the point is not on {curve.name}", point) from None
    return PublicKey(encode_spki(curve, point), curve)


def _readings(key: str | bytes) -> Iterator[bytes]:
    """The octets that the text may stand for, the likeliest first."""
    if isinstance(key, bytes):
        yield key
        try:
            key = key.decode("ascii")
        except UnicodeDecodeError:
            return
    pem = _PEM.search(key)
    text = "".join((pem[1] if pem else key).split())
    if text[: len(_OCA)].lower() == _OCA:
        # everything that is no hex digit is ignored, a leading 0x too
        text = re.sub("0[xX]|[^0-9A-Fa-f]", "", text[len(_OCA) :])
    digits = re.sub("^0[xX]|[:-]", "", text)
    if re.fullmatch("(?:[0-9A-Fa-f]{2})+", digits):
        yield bytes.fromhex(digits)
        return
    try:
        octets = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        octets = b""
    if octets:
        yield octets
        if re.fullmatch(rb"[\x20-\x7e\s]+", octets):  # hex or "oca:" text inside of the base64
            inner = octets.decode("ascii")
            if inner.lower().startswith(_OCA) or re.fullmatch(r"[0-9A-Fa-f\s]+", inner):
                yield from _readings(inner)
    try:
        yield base64.b32decode(text + "=" * (-len(text) % 8))
    except (binascii.Error, ValueError):
        return


def _from_octets(octets: bytes, curve: Curve | None) -> PublicKey:
    for name, prefix in _PREFIXES.items():
        if octets.startswith(prefix):
            return key_from_point(octets[len(prefix) :], CURVES[name])
    if octets[:1] == b"\x30":
        return _from_other_der(octets)
    point = octets if octets[:1] == b"\x04" and len(octets) % 2 else b"\x04" + octets
    if len(point) not in {2 * known.size + 1 for known in CURVES.values()}:
        raise KeyFormatError("neither a SubjectPublicKeyInfo nor a point 04 X Y or X Y", octets)
    if curve is None:
        raise KeyFormatError("a bare point does not say its curve: name it, or give the SubjectPublicKeyInfo", octets)
    return key_from_point(point, curve)


def _from_other_der(octets: bytes) -> PublicKey:
    """Keys whose point is compressed; anything else is refused by name."""
    try:
        key = load_der_public_key(octets)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeyFormatError(f"SubjectPublicKeyInfo not readable ({error})", octets) from None
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name not in CURVES:
        raise KeyFormatError("a key of no OCMF curve", octets)
    return PublicKey(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo), CURVES[key.curve.name])


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyEntry:
    """A key and what it belonged to from `valid_from` to before `valid_to` (None: still valid).

    Empty serial numbers and EVSE match every record; at least one of them is set.
    """

    key: PublicKey
    valid_from: datetime
    valid_to: datetime | None = None
    meter: str = ""
    gateway: str = ""
    evse: str = ""
    source: str = ""

    def __post_init__(self) -> None:
        if not (self.meter or self.gateway or self.evse):
            raise LocalError("a key belongs to a meter, a gateway or an EVSE: none of them is named")
        if self.valid_from.tzinfo is None or (self.valid_to is not None and self.valid_to.tzinfo is None):
            raise LocalError("the validity of a key needs times with a zone")

    def covers(self, when: datetime, *, meter: str = "", gateway: str = "", evse: str = "") -> bool:
        """Whether this was the key of that source at that time; a source must share at least one identification."""
        pairs = ((self.meter, meter), (self.gateway, gateway), (self.evse, evse))
        compared = [mine == theirs for mine, theirs in pairs if mine and theirs]
        in_time = self.valid_from <= when and (self.valid_to is None or when < self.valid_to)
        return in_time and bool(compared) and all(compared)


def keys_as_of(
    history: tuple[KeyEntry, ...], when: datetime, *, meter: str = "", gateway: str = "", evse: str = ""
) -> tuple[PublicKey, ...]:
    """The different keys of a source at a time, newest first; none or several mean: undecidable."""
    hits = [entry for entry in history if entry.covers(when, meter=meter, gateway=gateway, evse=evse)]
    hits.sort(key=lambda entry: entry.valid_from, reverse=True)
    return tuple(dict.fromkeys(entry.key for entry in hits))
