"""What the journal holds: entries, their places, signatures and answers of backends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from ports.backend import SignedRecord
from ports.errors import RigError


class JournalError(RigError):
    """The journal's file cannot be used: says which file and what to do."""


class JournalNotBegunError(JournalError):
    """A file without any table: whoever made it ended before the first commit. A gateway goes on with it."""


class JournalFullError(JournalError):
    """No room: nothing of the batch was kept, so nothing of it was signed or released."""


class Stream(NamedTuple):
    """One gateway's records of one meter: what the hash chain joins and pages count."""

    gateway: str
    meter: str


@dataclass(frozen=True, slots=True)
class Head:
    """The end of a stream: hash of its last payload ("" before the first), last page number of each context."""

    record_id: str = ""
    pages: Mapping[str, int] = field(default_factory=dict)

    def next_number(self, context: str) -> int:
        """The number of the next page of a context, "T" or "F"."""
        return self.pages.get(context, 0) + 1

    def after(self, entry: Entry) -> Head:
        """The end once this entry stands there."""
        return Head(entry.record_id, {**self.pages, entry.context: entry.number})


class Entry(NamedTuple):
    """One record of the journal.

    seq: place in the whole journal. context, number: PG taken apart. kind: "Transaction.Begin" and so on.
    boot_id, boottime: which boot, and boot-time seconds of the reading: the order that no clock step can change.
    payload: the exact bytes to sign. section: the third section of the OCMF text, "" while unsigned.
    public_key: DER SubjectPublicKeyInfo in hex, "" while unsigned.
    """

    seq: int
    stream: Stream
    context: str
    number: int
    kind: str
    transaction_id: str
    connector: str
    boot_id: str
    boottime: float
    previous: str
    record_id: str
    payload: bytes
    section: str = ""
    public_key: str = ""

    @property
    def page(self) -> str:
        """PG as in the payload, e.g. "T17"."""
        return f"{self.context}{self.number}"

    @property
    def is_signed(self) -> bool:
        """Whether the signature is stored."""
        return bool(self.section)

    def record(self) -> SignedRecord:
        """The record to release. Raises JournalError while it is unsigned."""
        if not self.is_signed:
            raise JournalError(
                f"page {self.page} of meter {self.stream.meter} is not signed yet and cannot be released"
            )
        return SignedRecord(
            record_id=self.record_id,
            gateway=self.stream.gateway,
            meter=self.stream.meter,
            page=self.page,
            transaction_id=self.transaction_id,
            context=self.kind,
            ocmf=f"OCMF|{self.payload.decode()}|{self.section}",
            public_key=self.public_key,
        )


class Delivery(NamedTuple):
    """A backend's final answer for one record. outcome: "stored", "duplicate", "refused" (detail says why)."""

    backend: str
    seq: int
    outcome: str
    detail: str = ""


class Signed(NamedTuple):
    """A signature to keep: of which record, under which key, and the text of the signature section."""

    seq: int
    public_key: str
    section: str


def sign_entry(entry: Entry, signed: Signed) -> Entry:
    """The entry with its signature."""
    return entry._replace(section=signed.section, public_key=signed.public_key)
