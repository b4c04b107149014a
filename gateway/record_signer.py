"""Signing one record: the right key, the exact octets, and a check with the public key before anything is kept."""

from __future__ import annotations

from pathlib import Path

from gateway.journal_entry import Entry, Signed
from ocmf.container import join
from ocmf.keys import decode_public_key
from ocmf.verify import InvalidSignatureError, verify_signature
from ports.errors import RigError
from ports.signer import Signer, SignerIdentity


class WrongKeyError(RigError):
    """The token signs, but not with the key that this journal belongs to."""


class RecordSigner:
    """A signer bound to one key: that of the journal's last record, or the first that signs."""

    def __init__(self, signer: Signer, key: str, journal: Path) -> None:
        self._signer = signer
        self._key = key
        self._journal = journal
        self._identity: SignerIdentity | None = None

    async def sign(self, entry: Entry) -> Signed:
        """Sign the entry's payload. Raises RigError: token away, another key, a signature that does not verify."""
        try:
            return await self._sign(entry)
        except BaseException:
            self._identity = None  # asked again after any failure: the token may have been changed
            raise

    async def _sign(self, entry: Entry) -> Signed:
        identity = self._identity or await self._signer.identity()
        key = identity.public_key.hex().upper()
        if self._key and key != self._key:
            raise WrongKeyError(
                f"{identity.description} holds another key than the one that signed {self._journal}; "
                "bring the right token, or open the journal with the new key accepted"
            )
        der = await self._signer.sign(entry.payload)
        try:
            verify_signature(entry.payload, der, decode_public_key(identity.public_key))
        except InvalidSignatureError as error:
            raise RigError(f"the signature that {identity.description} made was thrown away: {error}") from error
        self._identity, self._key = identity, key
        return Signed(entry.seq, key, join(entry.payload, der, identity.curve).rpartition("|")[2])
