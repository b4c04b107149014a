"""The envelope in which a contract's private key travels to the vehicle (ISO 15118-2 G.3, ISO 15118-20 7.9.2.5).

Sender and vehicle agree on a session key by ephemeral-static Diffie-Hellman with the key of the vehicle's OEM
provisioning certificate; a concatenation KDF (NIST SP 800-56A) makes the session key of it.

| envelope | curve | KDF | cipher | field | DH public key |
|---|---|---|---|---|---|
| ISO2 | P-256 | SHA-256 | AES-128-CBC, no padding | IV 16 + 32 = 48 octets | 65 octets |
| SECP521 | P-521 | SHA-512 | AES-256-GCM, AAD | IV 12 + 66 + tag 16 = 94 octets | 133 octets |
| X448 | X448 | SHA-512 | AES-256-GCM, AAD | IV 12 + 56 + tag 16 = 84 octets | 56 octets |

The two of -20 follow the text of the standard; no message of a public pool has confirmed them yet.
Python cannot wipe memory: a sender that has to erase keys ([V2G20-2496]) does so by ending its process.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, x448
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.concatkdf import ConcatKDFHash
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ports.errors import LocalError, PeerError

PrivateKey = ec.EllipticCurvePrivateKey | x448.X448PrivateKey
PublicKey = ec.EllipticCurvePublicKey | x448.X448PublicKey

KeyAgreement = Callable[[bytes], bytes]
"""Public key of the other side (as in DHPublicKey) to shared secret Z. May ask a token; see `agreement`."""

_OTHER_INFO = bytes.fromhex("015556")  # algorithm id 01, "U" = sender, "V" = receiver: [V2G2-818], [V2G20-2535]
_GCM_TAG = 16


class ContractKeyError(PeerError):
    """An envelope that does not open, or holds another key than the certificate's. `received` is the field."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """The parameters of one kind of envelope; lengths in octets."""

    name: str
    curve: ec.EllipticCurve | None
    kdf_hash: hashes.HashAlgorithm
    session_key_length: int
    iv_length: int
    key_length: int
    tag_length: int
    dh_public_key_length: int

    @property
    def field_length(self) -> int:
        """Length of the encrypted private key field."""
        return self.iv_length + self.key_length + self.tag_length


ISO2 = Envelope("ISO 15118-2", ec.SECP256R1(), hashes.SHA256(), 16, 16, 32, 0, 65)  # [V2G2-815] to [V2G2-819]
SECP521 = Envelope("SECP521", ec.SECP521R1(), hashes.SHA512(), 32, 12, 66, _GCM_TAG, 133)  # [V2G20-2494] to 2499
X448 = Envelope("X448", None, hashes.SHA512(), 32, 12, 56, _GCM_TAG, 56)  # [V2G20-2500] to [V2G20-2502]


@dataclass(frozen=True, slots=True)
class SealedKey:
    """What goes into the message: the encrypted private key and the sender's ephemeral public key."""

    encrypted_private_key: bytes = field(repr=False)
    dh_public_key: bytes = field(repr=False)


def additional_data(pcid: str, contract_ski: bytes) -> bytes:
    """AAD of the -20 envelopes: PCID in capitals, then the contract's SKI as capital hex ([V2G20-2492]).

    pcid: with or without separators. contract_ski: the value of the extension, 8 octets in the standard's profile.
    Raises LocalError when the PCID is not of 17 or 18 letters and digits or the SKI is empty.
    """
    plain = "".join(c for c in pcid if c not in "-* ").upper()
    if len(plain) not in (17, 18) or not (plain.isascii() and plain.isalnum()):
        raise LocalError(f"PCID {pcid!r} has {len(plain)} letters and digits, expected 17 or 18")
    if not contract_ski:
        raise LocalError("the contract certificate has no subject key identifier, which the -20 envelope needs")
    return plain.encode() + contract_ski.hex().upper().encode()


def agreement(private_key: PrivateKey) -> KeyAgreement:
    """Key agreement with a key in memory, for `open_key`."""

    def agree(peer: bytes) -> bytes:
        if isinstance(private_key, x448.X448PrivateKey):
            return private_key.exchange(x448.X448PublicKey.from_public_bytes(peer))
        return private_key.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(private_key.curve, peer))

    return agree


def seal_key(
    envelope: Envelope,
    contract_key: PrivateKey,
    recipient: PublicKey,
    aad: bytes = b"",
    *,
    ephemeral: PrivateKey | None = None,
    iv: bytes | None = None,
) -> SealedKey:
    """Encrypt a contract's private key for a vehicle.

    recipient: key of the OEM provisioning certificate. aad: `additional_data(...)`, for the -20 envelopes only.
    ephemeral, iv: random when left out; given by tests that reproduce vectors.
    Raises LocalError when a key is not of the envelope's curve, or aad is missing or too much.
    """
    _check_aad(envelope, aad)
    plain = _private_octets(envelope, contract_key)
    ephemeral = ephemeral or _generate(envelope)
    iv = os.urandom(envelope.iv_length) if iv is None else iv
    if len(iv) != envelope.iv_length:
        raise LocalError(f"{envelope.name} needs an IV of {envelope.iv_length} octets, got {len(iv)}")
    secret = agreement(ephemeral)(_public_octets(envelope, recipient, "the recipient's key"))
    session_key = _derive(envelope, secret)
    if envelope.tag_length:
        sealed = AESGCM(session_key).encrypt(iv, plain, aad)
    else:
        encryptor = Cipher(algorithms.AES(session_key), modes.CBC(iv)).encryptor()
        sealed = encryptor.update(plain) + encryptor.finalize()
    return SealedKey(iv + sealed, _public_octets(envelope, ephemeral.public_key(), "the ephemeral key"))


def open_key(
    envelope: Envelope, sealed: SealedKey, agree: KeyAgreement, certificate_key: PublicKey, aad: bytes = b""
) -> PrivateKey:
    """Decrypt a contract's private key and check it against the public key of the contract certificate.

    agree: the vehicle's side of the key agreement. aad: `additional_data(...)`, for the -20 envelopes only.
    Raises ContractKeyError: wrong length, point not on the curve, tag wrong, number out of range, other key
    ([V2G2-823], [V2G20-2504], [V2G20-2507], [V2G20-2510], [V2G20-2678]).
    """
    _check_aad(envelope, aad)
    _public_octets(envelope, certificate_key, "the contract certificate's key")
    check_form(envelope, sealed)
    octets = sealed.encrypted_private_key

    def wrong(text: str) -> ContractKeyError:
        return ContractKeyError(f"contract key envelope {envelope.name}: {text}", octets)

    try:
        secret = agree(sealed.dh_public_key)
    except ValueError as error:
        raise wrong(f"DH public key is no point of the curve ({error})") from error
    iv, body = octets[: envelope.iv_length], octets[envelope.iv_length :]
    session_key = _derive(envelope, secret)
    if envelope.tag_length:
        try:
            plain = AESGCM(session_key).decrypt(iv, body, aad)
        except InvalidTag as error:
            raise wrong("authentication failed: other recipient, other PCID or SKI, or changed on the way") from error
    else:
        decryptor = Cipher(algorithms.AES(session_key), modes.CBC(iv)).decryptor()
        plain = decryptor.update(body) + decryptor.finalize()
    try:
        key = _private_key(envelope, plain)
    except ValueError as error:
        raise wrong("the content is no private key of the curve: other recipient, or changed on the way") from error
    if key.public_key() != certificate_key:
        raise wrong("the private key does not belong to the contract certificate")
    return key


def check_form(envelope: Envelope, sealed: SealedKey) -> None:
    """Lengths and the point, which nobody may hand to a key before: an invalid point can leak it.

    With a token that answers later: check, ask it, then `open_key(..., agree=lambda _: answer, ...)`.
    Raises ContractKeyError.
    """
    lengths = (
        ("encrypted private key", sealed.encrypted_private_key, envelope.field_length),
        ("DH public key", sealed.dh_public_key, envelope.dh_public_key_length),
    )
    for what, octets, expected in lengths:
        if len(octets) != expected:
            text = f"contract key envelope {envelope.name}: {what} has {len(octets)} octets, expected {expected}"
            raise ContractKeyError(text, octets)
    if envelope.curve is not None:
        try:
            ec.EllipticCurvePublicKey.from_encoded_point(envelope.curve, sealed.dh_public_key)
        except ValueError as error:
            text = f"contract key envelope {envelope.name}: DH public key is no point of the curve ({error})"
            raise ContractKeyError(text, sealed.dh_public_key) from error


def _check_aad(envelope: Envelope, aad: bytes) -> None:
    if bool(aad) != bool(envelope.tag_length):
        need = "needs additional data (PCID and SKI)" if envelope.tag_length else "has no additional data"
        raise LocalError(f"contract key envelope {envelope.name} {need}")


def _derive(envelope: Envelope, secret: bytes) -> bytes:
    return ConcatKDFHash(envelope.kdf_hash, envelope.session_key_length, _OTHER_INFO).derive(secret)


def _generate(envelope: Envelope) -> PrivateKey:
    return x448.X448PrivateKey.generate() if envelope.curve is None else ec.generate_private_key(envelope.curve)


def _private_octets(envelope: Envelope, key: PrivateKey) -> bytes:
    _public_octets(envelope, key.public_key(), "the contract key")
    if isinstance(key, x448.X448PrivateKey):
        return key.private_bytes_raw()
    return key.private_numbers().private_value.to_bytes(envelope.key_length, "big")


def _private_key(envelope: Envelope, octets: bytes) -> PrivateKey:
    if envelope.curve is None:
        return x448.X448PrivateKey.from_private_bytes(octets)
    return ec.derive_private_key(int.from_bytes(octets, "big"), envelope.curve)


def _public_octets(envelope: Envelope, key: PublicKey, what: str) -> bytes:
    if isinstance(key, x448.X448PublicKey) and envelope.curve is None:
        return key.public_bytes_raw()
    if isinstance(key, ec.EllipticCurvePublicKey) and envelope.curve and key.curve.name == envelope.curve.name:
        return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    # Ed448 has seeds of 57 octets, the field has room for 56: the standard does not say how they go together
    expected = envelope.curve.name if envelope.curve else "x448"
    found = getattr(getattr(key, "curve", None), "name", type(key).__name__)
    raise LocalError(f"contract key envelope {envelope.name}: {what} is {found}, expected {expected}")
