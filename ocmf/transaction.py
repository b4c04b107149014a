"""The verdict on a charging transaction: one record with begin and end, or a chain of records."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum

from ocmf.case import Case, Item
from ocmf.findings import Finding, Severity, errors
from ocmf.reading import EXACT
from ocmf.rules import RULES
from ocmf.verify import VerifiedRecord
from ports.errors import LocalError, PeerError


class TransactionStatus(StrEnum):
    """The verdict."""

    OK = "OK"
    NOT_OK = "NOT_OK"
    INCOMPLETE = "INCOMPLETE"


class TransactionError(PeerError):
    """The transaction must not be billed; `verdict` says why."""

    def __init__(self, verdict: TransactionVerdict) -> None:
        reasons = "; ".join(str(finding) for finding in errors(verdict.findings))
        super().__init__(f"transaction is {verdict.status}: {reasons or 'begin or end is missing'}")
        self.verdict = verdict


@dataclass(frozen=True, slots=True)
class TransactionVerdict:
    """What may be billed.

    energy_kwh: end minus begin of one register, with the decimals of the register; None unless the status is OK.
    duration: end minus begin; None unless time_billable. time_billable: both times synchronised or relative, and no
    reading marks time as unusable. fiscal: no transaction at all, a reading of the register.
    """

    status: TransactionStatus
    findings: tuple[Finding, ...]
    energy_kwh: Decimal | None
    duration: timedelta | None
    time_billable: bool
    fiscal: bool
    begin: Item | None
    end: Item | None

    def require(self) -> TransactionVerdict:
        """Itself when OK. Raises TransactionError otherwise."""
        if self.status is not TransactionStatus.OK:
            raise TransactionError(self)
        return self


def judge_transaction(
    records: Sequence[VerifiedRecord], *, contexts: Sequence[str] = (), already_billed: Collection[str] = ()
) -> TransactionVerdict:
    """Judge verified records that claim to be one transaction, in the order of their pages.

    contexts: "Transaction.Begin" ... as the carrier says, one per record or none at all.
    already_billed: record ids (SHA-256 of the payload) of other transactions.
    """
    if not records:
        raise LocalError("a transaction needs at least one record")
    case = Case(
        [verified.record for verified in records],
        [verified.key for verified in records],
        contexts or [""] * len(records),
        already_billed,
    )
    findings = [finding for verified in records for finding in verified.findings]
    for rule in RULES:
        findings += [Finding(rule.name, rule.severity, *hit, rule.official) for hit in rule.check(case)]

    status = TransactionStatus.OK
    if errors(findings):
        status = TransactionStatus.NOT_OK
    elif case.begin is None or case.end is None:
        status = TransactionStatus.INCOMPLETE
        missing = " and ".join(name for name, item in (("begin", case.begin), ("end", case.end)) if item is None)
        text = "a fiscal record, no transaction" if not case.is_transaction else f"no {missing} of a billed register"
        findings.append(
            Finding("complete", Severity.INFO, "RD.TX", text, "the official verifier shows the single value")
        )

    begin, end = (case.begin, case.end) if status is TransactionStatus.OK else (None, None)
    times = bool(begin and end) and all(item.reading.time_status in {"S", "R"} for item in case.ends)
    time_billable = times and not any("t" in item.reading.error_flags for item in case.all)
    duration = None
    if time_billable and begin and end and begin.reading.time and end.reading.time:
        duration = end.reading.time - begin.reading.time
    energy = None
    if begin and end and begin.kwh is not None and end.kwh is not None:
        energy = EXACT.subtract(end.kwh, begin.kwh)
    return TransactionVerdict(
        status, tuple(findings), energy, duration, time_billable, not case.is_transaction, case.begin, case.end
    )
