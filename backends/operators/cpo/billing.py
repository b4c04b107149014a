"""Whether a transaction may be billed, and the charge detail when it may. Runs inside of a database transaction."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import msgspec
import sqlalchemy as sa

from backends import cpo_store
from backends.operators.cpo import ledger
from backends.operators.cpo.schema import CHARGE_DETAILS, OUTBOX
from backends.operators.cpo.schema import INCIDENTS as _INCIDENTS
from backends.operators.cpo.settings import StationAccount
from ocmf.findings import errors
from ocmf.transaction import TransactionStatus, TransactionVerdict, judge_transaction
from ocmf.verify import VerifiedRecord, verify_record
from ports.charge_detail import ChargeDetail, Nature, SignedValue

MAX_FLAGS = 50
CONTRADICTION = "message contradicted"
# of the verdict on a value -> kind of the incident; a key can still be registered, so its absence is none
INCIDENTS = {
    "page used twice": "page used twice",
    "signature": "invalid signature",
    "mismatch": "signed value mismatch",
    "format": "unreadable signed value",
}
_CONTRADICTIONS = sa.select(_INCIDENTS.c.detail).where(
    _INCIDENTS.c.station == sa.bindparam("station"),
    _INCIDENTS.c.transaction_id == sa.bindparam("transaction_id"),
    _INCIDENTS.c.kind == CONTRADICTION,
)
_PAGE = re.compile(r"[TF]\d{1,18}")


@dataclass(frozen=True, slots=True)
class Rules:
    """name: of the CPO. sinks: that charge details go to. at, now: civil time as text and in UTC seconds."""

    name: str
    sinks: Sequence[str]
    account: StationAccount
    at: str
    now: int


@dataclass(frozen=True, slots=True)
class Judgement:
    """state: RUNNING, WITHHELD, BILLED. flags: why not. detail: made just now. incidents: raised just now."""

    state: str
    flags: Sequence[str]
    detail: ChargeDetail | None
    incidents: Sequence[str]


def judge(connection: sa.Connection, station: str, transaction_id: str, rules: Rules) -> Judgement:
    """Judge with everything that is there; a transaction is billed at most once, in the moment when all is right."""
    transaction = ledger.find(connection, station, transaction_id)
    assert transaction is not None  # noqa: S101 - whoever asks has just written it
    rows = ledger.values(connection, station, transaction_id)
    raised = [
        text
        for row in rows
        if row.verdict in INCIDENTS
        for text in _incident(connection, station, transaction_id, INCIDENTS[row.verdict], row.reason, rules)
    ]
    elsewhere = ledger.elsewhere(connection, station, transaction_id)
    for record_id, other in elsewhere.items():
        text = f"record {record_id} belongs to {other}"
        raised += _incident(connection, station, transaction_id, "record in two transactions", text, rules)

    good = sorted((row for row in rows if row.verdict == ledger.VALID), key=lambda row: _page_number(row.page))
    flags = [*_sequence(connection, transaction), *_contradictions(connection, transaction)]
    flags += [f"{row.verdict}: {row.reason}" for row in rows if row.verdict != ledger.VALID]
    flags += [f"pagination gap {before} to {after}" for before, after in _gaps(row.page for row in good)]
    if not transaction.ended:  # the signatures of all records are checked together when it is over
        ledger.settle(connection, transaction.seq, ledger.RUNNING, flags[:MAX_FLAGS], "")
        return Judgement(ledger.RUNNING, flags[:MAX_FLAGS], None, raised)

    valid = _verified(connection, good)
    verdict = _verdict(valid, elsewhere)
    flags += _of_verdict(verdict)
    flags = flags[:MAX_FLAGS]
    if transaction.state == ledger.BILLED:
        for flag in flags:
            raised += _incident(connection, station, transaction_id, "after billing", flag, rules)
        return Judgement(ledger.BILLED, flags, None, raised)
    if flags or verdict is None:
        ledger.settle(connection, transaction.seq, ledger.WITHHELD, flags, "")
        return Judgement(ledger.WITHHELD, flags, None, raised)
    detail = _detail(transaction, valid, verdict, rules)
    _bill(connection, transaction, detail, rules)
    return Judgement(ledger.BILLED, (), detail, raised)


def _incident(
    connection: sa.Connection, station: str, transaction_id: str, kind: str, detail: str, rules: Rules
) -> Iterator[str]:
    if ledger.raise_incident(connection, station, transaction_id, kind, detail, rules.at):
        yield f"{kind}: {detail}"


def _sequence(connection: sa.Connection, transaction: sa.Row[Any]) -> Iterator[str]:
    numbers = ledger.seq_numbers(connection, transaction.station, transaction.transaction_id)
    if not transaction.began:
        yield "its begin has not come"
    for before, after in pairwise(numbers):
        if after != before + 1:
            yield f"seqNo gap {before} to {after}"


def _contradictions(connection: sa.Connection, transaction: sa.Row[Any]) -> Sequence[str]:
    mine = {"station": transaction.station, "transaction_id": transaction.transaction_id}
    return [f"{CONTRADICTION}: {detail}" for detail in connection.scalars(_CONTRADICTIONS, mine)]


def _verified(connection: sa.Connection, rows: Sequence[sa.Row[Any]]) -> list[tuple[sa.Row[Any], VerifiedRecord]]:
    """Each with the key that it was kept with."""
    found = []
    for row in rows:
        stored = cpo_store.find(connection, row.record_id)
        if stored is not None:
            found.append((row, verify_record(row.ocmf, stored.record.public_key)))
    return found


def _page_number(page: str) -> tuple[str, int]:
    return (page[:1], int(page[1:])) if _PAGE.fullmatch(page) else ("", 0)


def _gaps(pages: Iterator[str]) -> Iterator[tuple[int, int]]:
    numbers = [_page_number(page) for page in pages]
    for before, after in pairwise(numbers):
        if before[0] == after[0] and after[1] > before[1] + 1:
            yield before[1], after[1]


def _verdict(
    valid: Sequence[tuple[sa.Row[Any], VerifiedRecord]], elsewhere: dict[str, str]
) -> TransactionVerdict | None:
    if not valid:
        return None
    records, contexts = [record for _, record in valid], [row.context for row, _ in valid]
    return judge_transaction(records, contexts=contexts, already_billed=elsewhere)


def _of_verdict(verdict: TransactionVerdict | None) -> Iterator[str]:
    if verdict is None:
        yield "no signed value verifies"
        return
    for finding in errors(verdict.findings):
        if finding.rule != "pagination":  # named by its pages above
            yield f"{finding.rule}: {finding.text}"
    if verdict.status is TransactionStatus.INCOMPLETE:
        yield "; ".join(finding.text for finding in verdict.findings if finding.rule == "complete")


def _detail(
    transaction: sa.Row[Any],
    valid: Sequence[tuple[sa.Row[Any], VerifiedRecord]],
    verdict: TransactionVerdict,
    rules: Rules,
) -> ChargeDetail:
    begin, end = verdict.begin, verdict.end
    assert begin is not None and end is not None and verdict.energy_kwh is not None  # noqa: PT018, S101 - it is OK
    assert begin.reading.time is not None and end.reading.time is not None  # noqa: PT018, S101
    first = valid[0][1].record
    is_evse_id = first.string("CT") == "EVSEID" and first.string("CI")
    return ChargeDetail(
        id=detail_id(rules.name, transaction.station, transaction.transaction_id),
        transaction_id=transaction.transaction_id,
        station=transaction.station,
        evse_id=first.string("CI") if is_evse_id else rules.account.evse_id(transaction.evse),
        connector=transaction.connector or 1,
        user_id=first.string("ID") or transaction.id_token,
        id_type=first.string("IT") if first.string("ID") else transaction.id_type,
        began=begin.reading.time,
        ended=end.reading.time,
        energy_kwh=verdict.energy_kwh,
        time_is_billable=verdict.time_billable,
        meter=first.string("MS"),
        public_key=valid[0][1].key.hex(),
        values=tuple(
            SignedValue(_nature(index, len(valid)), record.record.text) for index, (_, record) in enumerate(valid)
        ),
        stop_reason=transaction.stop_reason,
    )


def detail_id(name: str, station: str, transaction_id: str) -> str:
    """Of the one charge detail that a transaction can have."""
    return str(uuid5(NAMESPACE_URL, f"plugbench:cpo:{name}/{station}/{transaction_id}"))


def _nature(index: int, count: int) -> Nature:
    if index == count - 1:
        return Nature.END
    return Nature.START if index == 0 else Nature.INTERMEDIATE


def _bill(connection: sa.Connection, transaction: sa.Row[Any], detail: ChargeDetail, rules: Rules) -> None:
    ledger.settle(connection, transaction.seq, ledger.BILLED, (), detail.id)
    connection.execute(
        CHARGE_DETAILS.insert().values(
            id=detail.id,
            station=detail.station,
            transaction_id=detail.transaction_id,
            body=msgspec.to_builtins(detail),
            made=rules.at,
        )
    )
    for sink in rules.sinks:
        connection.execute(
            OUTBOX.insert().values(detail_id=detail.id, sink=sink, state="waiting", attempts=0, due=rules.now, why="")
        )
