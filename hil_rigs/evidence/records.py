"""The signed records in evidence: an index of what each of them is, and the check of all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path

import msgspec
from msgspec import Struct

from hil_rigs.evidence.assertions import Assertion, overall
from hil_rigs.evidence.contents import INDEX
from hil_rigs.evidence.source import Source, whole
from hil_rigs.run_check import check_pages, check_transaction
from ocmf.container import MAX_RECORD, FormatError, Record, parse
from ocmf.keys import PublicKey, decode_public_key
from ocmf.safe_xml import MAX_FILE, SafeXmlError, read_safe_xml
from ocmf.verify import InvalidSignatureError, UndecidableError, verify_record
from ports.backend import SignedRecord
from ports.errors import PeerError

MAX_INDEX = 64 << 20
KEY_FILE = "public_key.hex"


class IndexRow(Struct, frozen=True, forbid_unknown_fields=True):
    """One record, as the backend holds it; the names are those of `ports.backend.SignedRecord`."""

    record_id: str
    gateway: str
    meter: str
    page: str
    transaction_id: str
    context: str


class ReportedSession(Struct, frozen=True):
    """What report.json says of a session."""

    connector: str
    transaction_id: str
    verdict: str
    kwh: Decimal | None = None
    pages: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()


class Report(Struct, frozen=True):
    """What report.json says of a run. record_findings: what a scenario found wrong with its records, or wanted so."""

    verdict: str
    sessions: tuple[ReportedSession, ...] = ()
    problems: tuple[str, ...] = ()
    record_findings: tuple[str, ...] = ()

    @property
    def known(self) -> frozenset[str]:
        """All that the run found wrong."""
        return frozenset((*self.problems, *self.record_findings)).union(
            *(session.findings for session in self.sessions)
        )


def write_index(folder: Path, records: Sequence[SignedRecord]) -> None:
    """records/index.json, in the order in which the backend holds them."""
    rows = [
        IndexRow(one.record_id, one.gateway, one.meter, one.page, one.transaction_id, one.context) for one in records
    ]
    (folder / INDEX).parent.mkdir(exist_ok=True)
    (folder / INDEX).write_bytes(msgspec.json.format(msgspec.json.encode(rows), indent=1) + b"\n")


def read_key(source: Source) -> PublicKey:
    """The key that came with the records. Raises PeerError."""
    return decode_public_key(whole(source, KEY_FILE, 1 << 14).decode(errors="replace").strip())


def read_records(source: Source) -> tuple[list[SignedRecord], list[str]]:
    """The records of the index, in its order, and what is wrong with files and index. Raises PeerError."""
    try:
        rows = msgspec.json.decode(whole(source, INDEX, MAX_INDEX), type=list[IndexRow])
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise PeerError(f"{INDEX}: {error}") from None
    problems: list[str] = []
    texts: dict[str, Record] = {}
    for name in source.names:
        if name.endswith(".ocmf"):
            try:
                record = parse(whole(source, name, MAX_RECORD * 4).decode())
            except (FormatError, UnicodeDecodeError) as error:
                problems.append(f"{name}: {error}")
                continue
            if record.record_id in texts:
                problems.append(f"{name}: the same record is there twice")
            texts[record.record_id] = record
    problems += _foreign_values(source, {record.text for record in texts.values()})
    records = []
    for row in rows:
        found = texts.pop(row.record_id, None)
        if found is None:
            problems.append(f"{INDEX}: page {row.page} of {row.meter} has no file of its own")
            continue
        said = (found.string("GS"), found.string("MS"), found.string("PG"))
        if said != (row.gateway, row.meter, row.page):
            problems.append(f"{INDEX}: {row.gateway} {row.meter} {row.page} is signed as {' '.join(said)}")
        records.append(SignedRecord(**msgspec.structs.asdict(row), ocmf=found.text, public_key=""))
    problems += [f"{INDEX}: does not name the record {record.string('PG')}" for record in texts.values()]
    return records, problems


def _foreign_values(source: Source, known: set[str]) -> Iterator[str]:
    """SAFE XML is for the transparency software: it holds copies of the records, nothing else."""
    for name in source.names:
        if name.startswith("records/") and name.endswith(".xml"):
            try:
                values = read_safe_xml(whole(source, name, MAX_FILE))
            except SafeXmlError as error:
                yield f"{name}: {error}"
                continue
            if any(value.data not in known for value in values):
                yield f"{name}: holds a record that has no file of its own"


def check_records(records: Sequence[SignedRecord], key: PublicKey) -> list[str]:
    """What is wrong with signatures and pages; empty when nothing is."""
    problems = []
    for record in records:
        try:
            verify_record(record.ocmf, key)
        except (InvalidSignatureError, UndecidableError, FormatError) as error:
            problems.append(str(error))
    if problems or not records:
        return problems
    return check_pages(records, key)


def judge_again(report: Report, records: Sequence[SignedRecord], key: PublicKey) -> tuple[str, list[str]]:
    """The run's verdict from its records, and where that differs from what the report says of them.

    What only the run could see (the plant's energy, problems on the way) is taken from the report.
    """
    problems = []
    verdicts = set()
    for session in report.sessions:
        name = f"report.json, connector {session.connector}, {session.transaction_id or 'no transaction'}"
        own = [record for record in records if record.transaction_id == session.transaction_id]
        found = check_transaction(session.transaction_id, own, key)
        seen_in_run = session.verdict == "invalid" and len(session.findings) > len(found.findings)
        verdict = "invalid" if seen_in_run else found.verdict
        for what, said, is_so in (
            ("verdict", session.verdict, verdict),
            ("kWh", session.kwh, found.kwh),
            ("pages", session.pages, found.pages),
        ):
            if said != is_so:
                problems.append(f"{name}: {what} {said}, the records say {is_so}")
        verdicts.add(verdict)
    if "invalid" in verdicts or report.problems:
        return "fail", problems
    return ("pass" if verdicts == {"valid"} else "inconclusive"), problems


def scenario_verdict(report: Report, assertions: Sequence[Assertion]) -> str:
    """Of a scenario: that of its assertions; one that was stopped before its end cannot pass."""
    if not assertions:
        return "error" if report.problems else "pass"
    verdict = overall(assertions)
    return "inconclusive" if verdict == "pass" and report.problems else verdict
