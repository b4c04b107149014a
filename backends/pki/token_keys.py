"""CA keys in a PKCS#11 token: made there, never seen here."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from dataclasses import dataclass

from asn1crypto.keys import PublicKeyInfo  # type: ignore[import-untyped]

from backends.pki.key_algorithms import ALGORITHMS, KeyAlgorithm
from hsm.errors import Remedy, TokenError
from hsm.pin import PinSource
from hsm.provision import Module
from hsm.token_signer import TokenKey, TokenSigner
from ocmf.curves import curve_named
from ports.clock import Clock
from ports.errors import LocalError


@dataclass(frozen=True, slots=True)
class _TokenSigningKey:
    """`SigningKey` over a TokenSigner."""

    signer: TokenSigner
    spki: bytes
    algorithm: KeyAlgorithm

    async def sign(self, message: bytes, signature: str) -> bytes:
        """Sign with ECDSA; the digest is made here."""
        if not signature.endswith("_ecdsa"):
            raise LocalError(f"a token key signs with ECDSA, not with {signature}")
        return await self.signer.sign_digest(hashlib.new(signature.removesuffix("_ecdsa"), message).digest())

    async def close(self) -> None:
        """Release the token."""
        await self.signer.close()


class TokenKeys:
    """`KeyStore` of one token. Every open key has a worker process of its own."""

    SCHEME = "token:"

    def __init__(self, module: Module, token: str, pin: PinSource, clock: Clock) -> None:
        self._module = module
        self._token = token
        self._pin = pin
        self._clock = clock

    async def make(self, name: str, algorithm: KeyAlgorithm) -> tuple[str, _TokenSigningKey]:
        """A new key pair with the label `name`: sensitive, not extractable. Raises TokenError."""
        if algorithm.curve is None:
            text = f"{algorithm.name} keys cannot be made in a token here: use key files for this realm"
            raise TokenError(Remedy.FATAL, text)
        key_id = secrets.token_bytes(8)
        with self._clock.hold():
            await asyncio.to_thread(
                self._module.generate_key, self._token, name, curve_named(algorithm.name), self._pin, key_id
            )
        reference = f"{self.SCHEME}{name}#{key_id.hex()}"
        return reference, await self.open(reference)

    async def open(self, reference: str) -> _TokenSigningKey:
        """The key of `make`. Raises TokenError."""
        label, _, key_id = reference.removeprefix(self.SCHEME).rpartition("#")
        key = TokenKey(
            module=self._module.path,
            token=self._token,
            key=label,
            pin=self._pin,
            key_id=bytes.fromhex(key_id),
            environment=self._module.environment,
        )
        signer = TokenSigner(key, self._clock)
        try:
            identity = await signer.identity()
        except TokenError:
            await signer.close()
            raise
        curve = PublicKeyInfo.load(identity.public_key).curve[1]
        return _TokenSigningKey(signer, identity.public_key, ALGORITHMS[curve])
