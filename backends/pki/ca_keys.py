"""Where private keys are: encrypted PKCS#8 files, or a PKCS#11 token."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from backends.pki.key_algorithms import ALGORITHMS, KeyAlgorithm, PrivateKey, public_octets, sign_with
from ports.errors import LocalError, RigError


class SigningKey(Protocol):
    """A private key that signs and never shows itself."""

    @property
    def algorithm(self) -> KeyAlgorithm:
        """Its kind."""

    @property
    def spki(self) -> bytes:
        """The public half, DER SubjectPublicKeyInfo."""

    async def sign(self, message: bytes, signature: str) -> bytes:
        """Sign; signature: asn1crypto's name of the algorithm. Raises RigError when the key cannot be used."""

    async def close(self) -> None:
        """Release it; harmless when closed."""


class KeyStore(Protocol):
    """Makes keys and finds them again."""

    async def make(self, name: str, algorithm: KeyAlgorithm) -> tuple[str, SigningKey]:
        """A new key and the reference under which it opens again. Raises RigError; never overwrites."""

    async def open(self, reference: str) -> SigningKey:
        """The key behind a reference. Raises RigError."""


class MemoryKey:
    """`SigningKey` whose key is in memory."""

    def __init__(self, key: PrivateKey) -> None:
        self.key = key
        self.spki = public_octets(key)
        name = "ed448" if not hasattr(key, "curve") else key.curve.name
        self.algorithm = ALGORITHMS[name]

    async def sign(self, message: bytes, signature: str) -> bytes:
        """Sign."""
        return sign_with(self.key, message, signature)

    async def close(self) -> None:
        """Nothing to release."""


@dataclass(frozen=True, slots=True)
class Passphrase:
    """Where the passphrase of key files is: exactly one of the two is set. It is read anew for each use."""

    file: Path | None = None
    variable: str = ""

    def __post_init__(self) -> None:
        if (self.file is None) == (not self.variable):
            raise LocalError("a passphrase comes from one file or one environment variable")

    def read(self) -> bytes:
        """The passphrase. Raises RigError; the text never shows it."""
        if self.file is None:
            place, text = f"environment variable {self.variable}", os.environ.get(self.variable, "")
        else:
            place = f"passphrase file {self.file}"
            try:
                with self.file.open(encoding="utf-8") as file:
                    mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
                    text = file.readline(1024)
            except (OSError, UnicodeDecodeError) as error:
                raise RigError(f"{place}: {getattr(error, 'strerror', None) or 'is not UTF-8'}") from None
            if mode & 0o077:
                raise RigError(f"{place} can be read by others (mode {mode:04o}): chmod 600 {self.file}")
        if not text.rstrip("\r\n"):
            raise RigError(f"{place} holds no passphrase")
        return text.rstrip("\r\n").encode()


class FileKeys:
    """`KeyStore` of encrypted PKCS#8 files in one folder (modes 0700 and 0600)."""

    SCHEME = "file:"

    def __init__(self, folder: Path, passphrase: Passphrase) -> None:
        self.folder = folder
        self._passphrase = passphrase
        self._opened: dict[str, MemoryKey] = {}

    async def make(self, name: str, algorithm: KeyAlgorithm) -> tuple[str, SigningKey]:
        """A new key in the file `name`.pem."""
        key = algorithm.generate()
        encryption = BestAvailableEncryption(self._passphrase.read())
        path = self.folder / f"{name}.pem"
        try:
            for folder in (self.folder, path.parent):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise RigError(f"key file {path}: {error.strerror}") from None
        return f"{self.SCHEME}{name}", MemoryKey(key)

    async def open(self, reference: str) -> SigningKey:
        """The key of `make`."""
        return self.load(reference)

    def load(self, reference: str) -> MemoryKey:
        """The key itself, as exports need it. Raises RigError."""
        if reference not in self._opened:
            path = self.folder / f"{reference.removeprefix(self.SCHEME)}.pem"
            try:
                key = load_pem_private_key(path.read_bytes(), self._passphrase.read())
            except OSError as error:
                raise RigError(f"key file {path}: {error.strerror}") from None
            except (ValueError, TypeError):
                raise RigError(f"key file {path} does not open: is the passphrase the right one?") from None
            if not isinstance(key, PrivateKey):
                raise RigError(f"key file {path} holds a key of a kind that V2G does not use")
            self._opened[reference] = MemoryKey(key)
        return self._opened[reference]

    def has(self, reference: str) -> bool:
        """Whether the key is here: another server may have made it on another machine."""
        return (self.folder / f"{reference.removeprefix(self.SCHEME)}.pem").is_file()
