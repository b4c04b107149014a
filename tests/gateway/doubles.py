"""Doubles of what a gateway is joined to: a signer that can be taken away, and records without a meter."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.journal import Draft, Journal, Place
from gateway.journal_entry import Stream
from ports.clock import Clock
from ports.errors import RigError
from ports.signer import SignerIdentity
from tests.doubles import ManualClock

STREAM = Stream("GW1", "METER1")


class KeySigner:
    """A signer in memory. away: raise instead of signing. spoil: change a signature before it is returned."""

    def __init__(self, private: ec.EllipticCurvePrivateKey | None = None) -> None:
        self.private = private or ec.generate_private_key(ec.SECP256R1())
        self.away = False
        self.spoil: Callable[[bytes], bytes] = lambda der: der
        self.messages: list[bytes] = []

    async def identity(self) -> SignerIdentity:
        if self.away:
            raise RigError("token gw is away")
        public = self.private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return SignerIdentity("gw", self.private.curve.name, public, False, "test key")

    async def sign(self, message: bytes) -> bytes:
        if self.away:
            raise RigError("token gw is away")
        self.messages.append(message)
        return self.spoil(self.private.sign(message, ec.ECDSA(hashes.SHA256())))

    async def close(self) -> None:
        return None


async def wait_until(condition: Callable[[], bool]) -> None:
    """Give way until it holds; the test's own timeout ends it otherwise."""
    while not condition():  # noqa: ASYNC110 - any condition, no event to wait for
        await asyncio.sleep(0.001)


def payload(place: Place, stream: Stream = STREAM, note: str = "") -> bytes:
    """A payload with what the journal itself looks at."""
    fields = {"PG": place.page, "GS": stream.gateway, "MS": stream.meter, "ZH": place.previous, "ZN": note}
    return json.dumps(fields, separators=(",", ":")).encode()


def draft(
    kind: str = "Transaction.Begin", transaction: str = "t1", stream: Stream = STREAM, context: str = "T"
) -> Draft:
    return Draft(
        stream=stream,
        context=context,
        kind=kind,
        transaction_id=transaction,
        connector="c1",
        build=lambda place: payload(place, stream, transaction),
    )


async def open_journal(folder: Path, signer: KeySigner, clock: Clock | None = None, **options: object) -> Journal:
    return await Journal.open(folder / "journal.db", signer, clock or ManualClock(), **options)  # type: ignore[arg-type]
