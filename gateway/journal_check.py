"""Is a journal whole: file, pages, hash chain, signatures, and every open end named."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.journal_entry import Delivery, Entry, Head, JournalError, Stream
from gateway.journal_store import JournalStore
from ocmf.container import parse
from ocmf.payload import CHAIN_KEY, payload_hash
from ocmf.verify import verify_record
from ports.errors import PeerError


class DamagedJournalError(JournalError):
    """The journal is not whole; `findings` names every place."""

    def __init__(self, journal: str, findings: list[str]) -> None:
        super().__init__(f"journal {journal} is damaged: " + "; ".join(findings))
        self.findings = findings


@dataclass(frozen=True, slots=True)
class JournalSummary:
    """What a whole journal holds. open_transactions: ids of those without an end record."""

    records: int
    unsigned: int
    streams: int
    open_transactions: tuple[str, ...]
    deliveries: int


def check_journal(store: JournalStore) -> JournalSummary:
    """Read everything once. Raises DamagedJournalError with all findings."""
    findings = store.file_findings()
    heads: dict[Stream, Head] = {}
    entries = unsigned = 0
    for entry in store.entries():
        head = heads.get(entry.stream, Head())
        findings += [f"page {entry.page} of meter {entry.stream.meter}: {text}" for text in _findings(entry, head)]
        heads[entry.stream] = head.after(entry)
        entries += 1
        unsigned += not entry.is_signed
    if findings:
        raise DamagedJournalError(str(store.path), findings)
    deliveries: list[Delivery] = store.deliveries()
    open_ids = tuple(entry.transaction_id for entry in store.open_transactions())
    return JournalSummary(entries, unsigned, len(heads), open_ids, len(deliveries))


def _findings(entry: Entry, head: Head) -> list[str]:
    findings: list[str] = []
    if entry.number != head.next_number(entry.context):
        findings.append(f"follows {entry.context}{head.next_number(entry.context) - 1}")
    if entry.previous != head.record_id:
        findings.append("the hash of the payload before it does not fit")
    if entry.record_id != payload_hash(entry.payload):
        findings.append("the payload was changed")
    if not entry.is_signed:
        return findings
    try:
        record = parse(entry.record().ocmf)
        verify_record(record, entry.public_key)
    except PeerError as error:
        return [*findings, str(error)]
    signed = {"PG": entry.page, "GS": entry.stream.gateway, "MS": entry.stream.meter, CHAIN_KEY: entry.previous}
    return findings + [
        f"{key} is {record.string(key)!r} in the signed payload, {value!r} in the journal"
        for key, value in signed.items()
        if record.string(key) != value
    ]
