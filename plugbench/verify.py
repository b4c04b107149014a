"""`plugbench verify`: check signed records in .ocmf files, SAFE XML and folders of a run."""

from __future__ import annotations

import argparse
import json
import re
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ports.errors import RigError

if TYPE_CHECKING:  # imported where they are used: the command has to start fast
    from ocmf.transaction import TransactionVerdict
    from ocmf.verify import VerifiedRecord

Subparsers = argparse._SubParsersAction  # noqa: SLF001 - argparse gives its type no public name
VALID, INVALID, UNDECIDABLE = "valid", "invalid", "undecidable"
CODES = {VALID: 0, INVALID: 1, UNDECIDABLE: 3}
KEY_FILES = ("public_key.pem", "public_key.hex", "public_key.txt", "public_key.der")


def add_commands(subparsers: Subparsers[argparse.ArgumentParser]) -> None:
    """Add `verify`."""
    parser = subparsers.add_parser(
        "verify",
        help="check signed records: .ocmf, SAFE XML, a run's folder",
        epilog="exit codes: 0 everything valid, 1 something invalid, 2 usage, 3 something undecidable",
    )
    parser.add_argument("paths", nargs="+", type=Path, help="files, or folders with .ocmf and .xml files")
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--key", default="", help="public key in any encoding")
    group.add_argument("--key-file", type=Path, metavar="FILE", help="file with the public key")
    parser.add_argument("--stream", action="store_true", help="the records must also follow each other without a gap")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.set_defaults(run=verify)


@dataclass(slots=True)
class _Item:
    """A record of a file, and the transaction it names ("" = none named)."""

    file: Path
    text: str
    carried_key: str = ""
    transaction: str = ""
    context: str = ""


@dataclass(slots=True)
class _Result:
    """What is printed about one transaction, or one record that could not be used."""

    verdict: str
    name: str
    files: list[str]
    text: str = ""
    transaction: TransactionVerdict | None = None
    records: tuple[VerifiedRecord, ...] = ()
    key_origin: str = ""
    notes: list[str] = field(default_factory=list)


def verify(args: argparse.Namespace) -> int:
    """Check and print; 0 all valid, 1 something invalid, 3 something undecidable (or a transaction is open)."""
    from ocmf.stream import StreamStatus, check_stream

    given = _given_key(args)
    items, results = _read_all(_files(args.paths))
    results += _check(items, given)
    stream = None
    if args.stream:
        records = {verified.record.record_id: verified.record for result in results for verified in result.records}
        stream = check_stream(list(records.values()))
    verdicts = {result.verdict for result in results}
    if stream is not None and stream.status is not StreamStatus.CONTINUOUS:
        verdicts.add(INVALID)
    overall = next((verdict for verdict in (INVALID, UNDECIDABLE) if verdict in verdicts), VALID)
    if args.json:
        row: dict[str, object] = {"verdict": overall, "results": [_as_dict(result) for result in results]}
        if stream is not None:
            findings = [finding.as_dict() for finding in stream.findings]
            row["stream"] = {"status": str(stream.status), "findings": findings}
        print(json.dumps(row))
        return CODES[overall]
    for result in results:
        _print(result)
    if stream is not None:
        print(f"stream: {stream.status}")
        for finding in stream.findings:
            print(f"  {finding.rule} at {finding.field}: {finding.text}")
    return CODES[overall]


def _given_key(args: argparse.Namespace) -> str | bytes | None:
    from ocmf.keys import KeyFormatError, decode_public_key

    if args.key_file:
        try:
            key: str | bytes = args.key_file.read_bytes()
        except OSError as error:
            raise RigError(f"key file {args.key_file}: {error.strerror}") from None
    elif args.key:
        key = args.key
    else:
        return None
    try:
        decode_public_key(key)
    except KeyFormatError as error:
        if "does not say its curve" not in str(error):  # the records will say it
            raise RigError(str(error)) from None
    return key


def _files(paths: list[Path]) -> list[Path]:
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            found = sorted(file for file in path.rglob("*") if file.suffix in {".ocmf", ".xml"} and file.is_file())
            if not found:
                raise RigError(f"{path}: no .ocmf or .xml file in this folder")
            files += found
        elif path.is_file():
            files.append(path)
        else:
            raise RigError(f"{path}: no such file or folder")
    return files


def _read_all(files: list[Path]) -> tuple[list[_Item], list[_Result]]:
    """Records of all files, and results for what is none."""
    from ocmf.safe_xml import SafeXmlError, read_safe_xml

    items: list[_Item] = []
    results: list[_Result] = []
    for file in files:
        try:
            content = file.read_bytes()
        except OSError as error:
            raise RigError(f"{file}: {error.strerror}") from None
        if content.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
            try:
                for number, value in enumerate(read_safe_xml(content), start=1):
                    if value.format not in {"", "OCMF"}:
                        text = f"the format {value.format} is not supported"
                        results.append(_Result(UNDECIDABLE, f"value {number}", [str(file)], text))
                        continue
                    name = value.transaction_id or f"#{number}"
                    items.append(_Item(file, value.data, value.public_key, name, value.context))
            except SafeXmlError as error:
                results.append(_Result(UNDECIDABLE, file.name, [str(file)], str(error)))
            continue
        try:
            text = content.decode()
        except UnicodeDecodeError as error:
            results.append(_Result(UNDECIDABLE, file.name, [str(file)], f"not UTF-8 at octet {error.start}"))
            continue
        items += [_Item(file, part, _key_beside(file)) for part in re.split(r"(?m)^(?=OCMF\|)", text) if part.strip()]
    return items, results


def _key_beside(file: Path) -> str:
    """The key that lies beside a record: <name>_publicKey.txt, or one of KEY_FILES in its folder or the one above."""
    places = [file.with_name(f"{file.stem}_publicKey.txt")]
    places += [folder / name for folder in (file.parent, file.parent.parent) for name in KEY_FILES]
    for place in places:
        if place.is_file():
            content = place.read_bytes()[:8192]
            return content.hex() if place.suffix == ".der" else content.decode(errors="replace")
    return ""


def _check(items: list[_Item], given: str | bytes | None) -> list[_Result]:
    """Verify every record, then judge transactions: as a SAFE XML file names them, else as the records say."""
    from ocmf.container import FormatError
    from ocmf.grouping import group_transactions
    from ocmf.keys import KeyFormatError, decode_public_key
    from ocmf.verify import InvalidSignatureError, UndecidableError, verify_record

    results: list[_Result] = []
    named: dict[tuple[Path, str], list[tuple[_Item, VerifiedRecord]]] = defaultdict(list)
    loose: list[tuple[_Item, VerifiedRecord]] = []
    for item in items:
        name = f"transaction {item.transaction}" if item.transaction else item.file.name
        try:
            verified = verify_record(item.text, given if given is not None else item.carried_key or None)
        except UndecidableError as error:
            results.append(_Result(UNDECIDABLE, name, [str(item.file)], str(error)))
            continue
        except (InvalidSignatureError, FormatError) as error:
            results.append(_Result(INVALID, name, [str(item.file)], str(error)))
            continue
        if item.transaction:
            named[(item.file, item.transaction)].append((item, verified))
        else:
            loose.append((item, verified))
    groups = [_Group(f"transaction {key[1]}", members) for key, members in named.items()]
    for records in group_transactions([verified for _, verified in loose]):
        wanted = {verified.record.record_id for verified in records}
        places = {verified.record.record_id: item for item, verified in loose if verified.record.record_id in wanted}
        whole = next((group for group in groups if wanted <= group.record_ids), None)
        if whole is None:
            groups.append(_Group("", [(places[verified.record.record_id], verified) for verified in records]))
        else:  # the same transaction in another form: it is said once
            whole.copies += [str(item.file) for item in places.values()]
    billed: dict[Path, set[str]] = defaultdict(set)  # a file that bills a record in two transactions is wrong
    for group in groups:
        seen = billed[group.members[0][0].file]
        result = _judge(group, frozenset(seen))
        seen |= group.record_ids
        result.key_origin = "given" if given is not None else "carried"
        for item, verified in group.members:
            if given is None or not item.carried_key:
                continue
            try:
                same = decode_public_key(item.carried_key, verified.key.curve) == verified.key
            except KeyFormatError:
                same = False
            if not same:
                result.notes.append(f"{item.file} carries another key than the one given")
        results.append(result)
    return results


@dataclass(slots=True)
class _Group:
    """Verified records of one transaction, and files that hold nothing but copies of them."""

    name: str
    members: list[tuple[_Item, VerifiedRecord]]
    copies: list[str] = field(default_factory=list)

    @property
    def record_ids(self) -> set[str]:
        return {verified.record.record_id for _, verified in self.members}


def _judge(group: _Group, already_billed: frozenset[str]) -> _Result:
    from ocmf.transaction import TransactionStatus, judge_transaction

    contexts = [item.context for item, _ in group.members]
    records = tuple(verified for _, verified in group.members)
    verdict = judge_transaction(records, contexts=contexts, already_billed=already_billed)
    said = {TransactionStatus.OK: VALID, TransactionStatus.NOT_OK: INVALID}.get(verdict.status, UNDECIDABLE)
    if verdict.fiscal and verdict.status is TransactionStatus.INCOMPLETE:
        said = VALID  # a reading of the register: there is no more to it than its signature
    pages = [verified.record.string("PG") for verified in records]
    title = group.name or ("record" if verdict.fiscal else "transaction")
    place = pages[0] if len(pages) == 1 else f"{pages[0]} to {pages[-1]}"
    files = list(dict.fromkeys([*(str(item.file) for item, _ in group.members), *group.copies]))
    return _Result(said, f"{title} ({place})", files, "", verdict, records)


def _as_dict(result: _Result) -> dict[str, object]:
    row: dict[str, object] = {"verdict": result.verdict, "name": result.name, "files": result.files}
    if result.transaction is None:
        return {**row, "text": result.text}
    verdict, first = result.transaction, result.records[0]
    times = [item.reading.time.isoformat() for item in (verdict.begin, verdict.end) if item and item.reading.time]
    return {
        **row,
        "status": str(verdict.status),
        "energy_kwh": None if verdict.energy_kwh is None else f"{verdict.energy_kwh:f}",
        "times": times,
        "time_billable": verdict.time_billable,
        "fiscal": verdict.fiscal,
        "gateway": first.record.string("GS"),
        "meter": first.record.string("MS"),
        "charge_point": first.record.string("CI"),
        "user": first.record.string("ID"),
        "pages": [verified.record.string("PG") for verified in result.records],
        "record_ids": [verified.record.record_id for verified in result.records],
        "key": {"fingerprint": first.key.fingerprint, "curve": first.key.curve.name, "origin": result.key_origin},
        "findings": [finding.as_dict() for finding in verdict.findings],
        "notes": result.notes,
    }


def _print(result: _Result) -> None:
    """Control characters of hostile records never reach the terminal."""
    lines = [f"{result.verdict.upper():<12} {result.name}"]
    if result.transaction is None:
        lines[0] += f": {result.text}"
    else:
        verdict, first = result.transaction, result.records[0]
        if verdict.energy_kwh is not None:
            lines[0] += f": {verdict.energy_kwh:f} kWh"
        times = [item.reading.time for item in (verdict.begin, verdict.end) if item and item.reading.time]
        if times:
            billable = "time may be billed" if verdict.time_billable else "time is informative"
            lines.append(f"  time         {' to '.join(time.isoformat(' ') for time in times)} ({billable})")
        gateway, meter = first.record.source
        point = first.record.string("CI")
        lines.append(f"  source       gateway {gateway or '-'}, meter {meter or '-'}, charge point {point or '-'}")
        origin = "given" if result.key_origin == "given" else "came with the record: compare it with the meter's label"
        lines.append(f"  key          {first.key.curve.name}, SHA-256 {first.key.fingerprint} ({origin})")
        lines += [f"  {finding}" for finding in verdict.findings]
        lines += [f"  note: {note}" for note in result.notes]
    lines.append(f"  file         {', '.join(result.files)}")
    for line in lines:
        print("".join(char if char.isprintable() else "\ufffd" for char in line))
