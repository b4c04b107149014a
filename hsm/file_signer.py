"""A signer whose key lies in a file: for rigs without a token, and always shown as what it is."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from hsm.errors import Remedy, TokenError
from ocmf.curves import CURVES, Curve
from ocmf.der import encode_signature
from ports.signer import SignerIdentity

# all curves of OCMF's table 22 but secp192k1, which `cryptography` lacks
FILE_CURVES: dict[str, type[ec.EllipticCurve]] = {
    "secp192r1": ec.SECP192R1,
    "secp256k1": ec.SECP256K1,
    "secp256r1": ec.SECP256R1,
    "brainpoolP256r1": ec.BrainpoolP256R1,
    "secp384r1": ec.SECP384R1,
    "brainpoolP384r1": ec.BrainpoolP384R1,
}


def make_key_file(path: Path, curve: Curve) -> None:
    """Write a new key (PKCS#8 in PEM, mode 0600). Raises TokenError; never overwrites."""
    if curve.name not in FILE_CURVES:
        raise TokenError(Remedy.FATAL, f"no file key on {curve.name}; there are {', '.join(FILE_CURVES)}")
    key = ec.generate_private_key(FILE_CURVES[curve.name]())
    content = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise TokenError(Remedy.FATAL, f"key file {path}: {error.strerror}") from None


class FileSigner:
    """`ports.signer.Signer` with a key in a file."""

    def __init__(self, path: Path, label: str = "") -> None:
        """Load the key. Raises TokenError: missing, readable by others, no EC key of OCMF."""
        self._key, self._curve = _load(path)
        spki = self._key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        self._identity = SignerIdentity(
            label or path.stem, self._curve.name, spki, is_hsm=False, description=f"key in file {path} (not an HSM)"
        )

    async def identity(self) -> SignerIdentity:
        """The key."""
        return self._identity

    async def sign(self, message: bytes) -> bytes:
        """Sign SHA-256(message): DER, low s."""
        r, s = decode_dss_signature(self._key.sign(message, ec.ECDSA(hashes.SHA256())))
        return encode_signature(r, min(s, self._curve.order - s))

    async def close(self) -> None:
        """Nothing to release."""


def _load(path: Path) -> tuple[ec.EllipticCurvePrivateKey, Curve]:
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            content = file.read(1 << 16)
    except OSError as error:
        raise TokenError(Remedy.FATAL, f"key file {path}: {error.strerror}") from None
    if mode & 0o077:
        raise TokenError(Remedy.FATAL, f"key file {path} can be read by others (mode {mode:04o}): chmod 600 {path}")
    try:
        key = load_pem_private_key(content, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise TokenError(Remedy.FATAL, f"key file {path} is no unencrypted private key in PEM") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name not in FILE_CURVES:
        raise TokenError(Remedy.FATAL, f"key file {path} holds no key on {', '.join(FILE_CURVES)}")
    return key, CURVES[key.curve.name]
