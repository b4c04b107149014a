"""The independent check of a run: what the backend holds, verified with the public key alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from ocmf.container import FormatError
from ocmf.keys import PublicKey
from ocmf.stream import StreamStatus, check_stream
from ocmf.transaction import judge_transaction
from ocmf.verify import InvalidSignatureError, UndecidableError, VerifiedRecord, verify_record
from ports.backend import SignedRecord


@dataclass(frozen=True, slots=True)
class TransactionCheck:
    """One transaction. verdict: "valid", "invalid" or "undecidable"; findings: what is wrong or remarkable."""

    transaction_id: str
    verdict: str
    kwh: Decimal | None
    pages: tuple[str, ...]
    findings: tuple[str, ...]


def check_transaction(transaction_id: str, records: Sequence[SignedRecord], key: PublicKey) -> TransactionCheck:
    """Verify every record and judge them as one transaction; never raises for what they hold."""
    pages = tuple(record.page for record in records)
    if not records:
        return TransactionCheck(transaction_id, "invalid", None, (), ("the backend has no record of it",))
    try:
        verified: list[VerifiedRecord] = [verify_record(record.ocmf, key) for record in records]
    except UndecidableError as error:
        return TransactionCheck(transaction_id, "undecidable", None, pages, (str(error),))
    except (InvalidSignatureError, FormatError) as error:
        return TransactionCheck(transaction_id, "invalid", None, pages, (str(error),))
    verdict = judge_transaction(verified, contexts=[_judged(record.context) for record in records])
    findings = [str(finding) for one in verified for finding in one.findings]
    findings += [str(finding) for finding in verdict.findings]
    verdict_word = {"OK": "valid", "NOT_OK": "invalid"}.get(verdict.status.name, "undecidable")
    return TransactionCheck(transaction_id, verdict_word, verdict.energy_kwh, pages, tuple(findings))


def check_pages(records: Sequence[SignedRecord], key: PublicKey) -> list[str]:
    """What is wrong with the order of the pages and the hash chain of each stream; empty when nothing is."""
    verdict = check_stream([verify_record(record.ocmf, key).record for record in records])
    if verdict.status is StreamStatus.CONTINUOUS:
        return []
    return [f"stream: {verdict.status}", *(str(finding) for finding in verdict.findings)]


def _judged(context: str) -> str:
    return context if context in {"Transaction.Begin", "Transaction.End"} else ""
