"""Secrets at rest: what must be readable again is sealed, what must only be recognised is hashed."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ports.errors import RigError

KEY_BYTES = 32
NONCE_BYTES = 12
# RFC 7914 section 2; 16 MiB and some 30 ms on a laptop: token requests are rare
SCRYPT_N, SCRYPT_R, SCRYPT_P = 2**14, 8, 1


class Sealer:
    """Encrypts small secrets with one master key (AES-256-GCM)."""

    def __init__(self, key: bytes) -> None:
        """key: 32 octets."""
        self._aead = AESGCM(key)

    @classmethod
    def from_file(cls, path: Path) -> Sealer:
        """The master key in `path`; made there (mode 0600) when the file is missing. Raises RigError."""
        try:
            handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        except FileExistsError:
            key = path.read_bytes()
            if len(key) != KEY_BYTES:
                raise RigError(f"{path}: a master key has {KEY_BYTES} octets, this file has {len(key)}") from None
            return cls(key)
        key = secrets.token_bytes(KEY_BYTES)
        with os.fdopen(handle, "wb") as file:
            file.write(key)
        return cls(key)

    def seal(self, secret: bytes, purpose: str) -> bytes:
        """Encrypt; `purpose` must be named again to open."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + self._aead.encrypt(nonce, secret, purpose.encode())

    def open(self, sealed: bytes, purpose: str) -> bytes:
        """Decrypt. Raises RigError when the master key or the purpose is another."""
        try:
            return self._aead.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], purpose.encode())
        except InvalidTag:
            raise RigError(f"a stored secret ({purpose}) does not open: is the master key the right one?") from None


def hash_secret(secret: str) -> str:
    """Salted scrypt hash, "salt$hash" in hex."""
    salt = secrets.token_bytes(16)
    return f"{salt.hex()}${_scrypt(secret, salt).hex()}"


def secret_matches(secret: str, hashed: str) -> bool:
    """Compare in constant time; `hashed` is what `hash_secret` returned."""
    salt, _, expected = hashed.partition("$")
    return hmac.compare_digest(_scrypt(secret, bytes.fromhex(salt)), bytes.fromhex(expected))


def _scrypt(secret: str, salt: bytes) -> bytes:
    return hashlib.scrypt(secret.encode(), salt=salt, n=SCRYPT_N, r=SCRYPT_R, p=SCRYPT_P, maxmem=2**26, dklen=32)
