"""Signers: who owns a key and signs with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class SignerIdentity:
    """The key behind a signer.

    label: its name on the token or in the rig file.
    curve: OpenSSL name, e.g. "secp256r1", "brainpoolP256r1".
    public_key: DER SubjectPublicKeyInfo.
    is_hsm: False for a key in a file: shown wherever the key is shown.
    description: one line for people: module, token and key, or the file.
    """

    label: str
    curve: str
    public_key: bytes
    is_hsm: bool
    description: str


class Signer(Protocol):
    """Signs with one key. ECDSA over SHA-256, signature as DER (r, s) without surplus zeros."""

    async def identity(self) -> SignerIdentity:
        """The key. Raises RigError when token or key are missing."""

    async def sign(self, message: bytes) -> bytes:
        """Sign SHA-256(message); DER. Raises RigError (token away, PIN refused, timed out): nothing was signed."""

    async def close(self) -> None:
        """Release the token; harmless when closed."""
