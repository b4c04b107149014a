"""Backends: where signed values go."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


@dataclass(frozen=True, slots=True)
class SignedRecord:
    """A signed record on its way.

    record_id: SHA-256 of the payload bytes, hex; the identity for de-duplication (one payload has many signatures).
    gateway / meter: serial numbers: the stream that `page` counts.
    page: pagination of the record, e.g. "T17".
    transaction_id: of the charging transaction; "" for fiscal records.
    context: "Transaction.Begin", "Transaction.End", "Sample.Periodic".
    ocmf: the record, byte for byte as signed.
    public_key: DER SubjectPublicKeyInfo in hex.
    """

    record_id: str
    gateway: str
    meter: str
    page: str
    transaction_id: str
    context: str
    ocmf: str
    public_key: str


class Ack(StrEnum):
    """The backend's answer to a delivery; each of them means: it has the record, do not send it again."""

    STORED = "stored"
    DUPLICATE = "duplicate"


class Backend(Protocol):
    """Takes signed records."""

    async def deliver(self, record: SignedRecord) -> Ack:
        """Hand over one record. Raises PeerError (refused for good) or RigError (try again later)."""

    async def close(self) -> None:
        """Close connections; harmless when closed."""
