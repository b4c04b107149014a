"""The form of TPM_EncryptedPrivateKey: a contract key wrapped for import into the vehicle's TPM 2.0.

ISO 15118-20 [V2G20-2518] takes the duplication structure of ISO/IEC 11889-1 23.3.2 with the outer wrapper only:

    integrity: size (2) and HMAC | encrypted: the TPM2B_SENSITIVE

Only the form is here, so that messages can be checked and forwarded. Wrapping and unwrapping are the TPM's business
and need the key template of the standard; nothing in this module encrypts.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ports.errors import PeerError

MAX_LENGTH = 206  # [V2G20-2521], no padding up to it
HMAC_LENGTH = 64  # SHA-512, the name algorithm of the default profile
# TPM2B_SENSITIVE of a P-521 key: size, type, empty auth, empty seed, size, 66 octets; auth or seed may add 64
SHORTEST_SENSITIVE = 2 + 2 + 2 + 2 + 2 + 66


class TpmDuplicateError(PeerError):
    """A field that is no duplication structure."""


@dataclass(frozen=True, slots=True)
class TpmDuplicate:
    """integrity: HMAC over the encrypted part and the key's name. encrypted: for the TPM."""

    integrity: bytes = field(repr=False)
    encrypted: bytes = field(repr=False)

    def __bytes__(self) -> bytes:
        """The field of the message."""
        return len(self.integrity).to_bytes(2, "big") + self.integrity + self.encrypted


def parse(octets: bytes) -> TpmDuplicate:
    """Take a TPM_EncryptedPrivateKey apart. Raises TpmDuplicateError."""
    if len(octets) > MAX_LENGTH:
        raise TpmDuplicateError(
            f"TPM_EncryptedPrivateKey has {len(octets)} octets, at most {MAX_LENGTH} allowed", octets
        )
    size = int.from_bytes(octets[:2], "big")
    if size != HMAC_LENGTH:
        raise TpmDuplicateError(f"TPM_EncryptedPrivateKey: integrity of {size} octets, expected {HMAC_LENGTH}", octets)
    encrypted = octets[2 + size :]
    if len(encrypted) < SHORTEST_SENSITIVE:
        text = f"TPM_EncryptedPrivateKey: {len(encrypted)} octets encrypted, at least {SHORTEST_SENSITIVE} expected"
        raise TpmDuplicateError(text, octets)
    return TpmDuplicate(octets[2 : 2 + size], encrypted)
