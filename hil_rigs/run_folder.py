"""The folder that a run leaves: journal, records, public key, trace and report."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Literal, get_args

from hil_rigs.evidence.assertions import Assertion
from hil_rigs.run import RunResult
from ocmf.keys import PublicKey
from ocmf.safe_xml import write_safe_xml
from ports.backend import SignedRecord
from ports.errors import RigError

Context = Literal["Transaction.Begin", "Transaction.End", ""]


def make_folder(wanted: Path) -> Path:
    """Make the folder; one that holds something already is not touched. Raises RigError."""
    try:
        wanted.mkdir(parents=True, exist_ok=True)
        if any(wanted.iterdir()):
            raise RigError(f"{wanted} holds something already: name another folder with --out")
    except OSError as error:
        raise RigError(f"cannot make {wanted}: {error.strerror}") from error
    return wanted


def write_records(folder: Path, records: Sequence[SignedRecord], key: PublicKey) -> list[Path]:
    """One .ocmf file a record, one SAFE XML a transaction, and the public key; returns the files."""
    place = folder / "records"
    place.mkdir(exist_ok=True)
    files = []
    for name, content in (("public_key.hex", key.hex() + "\n"), ("public_key.pem", key.pem())):
        files.append(folder / name)
        files[-1].write_text(content, encoding="ascii")
    transactions: dict[str, list[SignedRecord]] = {}
    for record in records:
        stem = f"{record.gateway}-{record.meter}-{record.page}"
        files.append(place / f"{_safe(stem)}.ocmf")
        files[-1].write_text(record.ocmf, encoding="utf-8")
        transactions.setdefault(record.transaction_id, []).append(record)
    for number, (transaction_id, own) in enumerate(transactions.items(), start=1):
        if transaction_id:
            # all of them, also those between begin and end: otherwise the pages would seem to have a gap
            values = [(number, context_of(record), record.ocmf) for record in own]
            files.append(place / f"{_safe(transaction_id)}.xml")
            files[-1].write_text(write_safe_xml(values, key), encoding="utf-8")
    return files


def write_report(folder: Path, result: RunResult, assertions: Sequence[Assertion] = ()) -> None:
    """report.json for machines, report.md for people. assertions: of a scenario, which has no sessions of its own."""
    content = asdict(result)
    (folder / "report.json").write_text(json.dumps(content, indent=1, default=str) + "\n", encoding="utf-8")
    lines = [
        f"# {result.rig}: {result.verdict}",
        "",
        f"Signed by {result.signer}. Clock: {result.clock}. Seed {result.seed}.",
        "",
        "| resource | kind | where | why |",
        "|---|---|---|---|",
        *(f"| {line.name} | {line.kind} | {line.where} | {line.why} |" for line in result.resources),
    ]
    if result.sessions:
        lines += ["", "| transaction | verdict | kWh | pages | plant Wh | difference Wh |", "|---|---|---|---|---|---|"]
        lines += [
            f"| {one.transaction_id} | {one.verdict} | {one.kwh} | {' '.join(one.pages)} | {one.plant_wh} "
            f"| {one.difference_wh} |"
            for one in result.sessions
        ]
    if assertions:
        lines += ["", "| verdict | expected | observed | where |", "|---|---|---|---|"]
        lines += [
            f"| {one.verdict} | {_cell(one.expected)} | {_cell(one.observed)} | {_cell(one.place)} |"
            for one in assertions
        ]
    if result.bills:
        lines += ["", "| bill of | by | kWh | total | signed values |", "|---|---|---|---|---|"]
        lines += [
            f"| {one.transaction_id} | {one.operator} | {one.kwh} | {one.total} {one.currency} | {one.values} valid |"
            for one in result.bills
            if not one.problems
        ]
    findings = [f"- {one.transaction_id}: {finding}" for one in result.sessions for finding in one.findings]
    if findings or result.problems:
        lines += ["", "## Findings", "", *findings, *(f"- {problem}" for problem in result.problems)]
    (folder / "report.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def context_of(record: SignedRecord) -> Context:
    return next((context for context in get_args(Context) if context and context == record.context), "")


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _safe(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-_." else "_" for c in name)
