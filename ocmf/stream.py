"""Continuity of a meter's stream: is a record missing, repeated, rolled back or forked?

Records of one source (GS, MS) count their pages per context (T, F); where our vendor key ZH is signed, every payload
also names the hash of the one before it, over both contexts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

from ocmf.container import Record
from ocmf.findings import Finding, Severity, errors
from ocmf.payload import CHAIN_KEY
from ocmf.reading import RecordReading
from ports.errors import PeerError


class StreamStatus(StrEnum):
    """The verdict, the worst first."""

    FORK = "FORK"
    ROLLBACK = "ROLLBACK"
    GAP = "GAP"
    DUPLICATE = "DUPLICATE"
    CONTINUOUS = "CONTINUOUS"


class StreamError(PeerError):
    """The stream is not continuous; `verdict` says where."""

    def __init__(self, verdict: StreamVerdict) -> None:
        super().__init__(f"stream {verdict.status}: " + "; ".join(str(finding) for finding in verdict.findings))
        self.verdict = verdict


@dataclass(frozen=True, slots=True)
class StreamVerdict:
    """The worst of the findings, and all of them; a finding's rule is the name of its status."""

    status: StreamStatus
    findings: tuple[Finding, ...]

    def require(self) -> StreamVerdict:
        """Itself when continuous. Raises StreamError otherwise."""
        if errors(self.findings):
            raise StreamError(self)
        return self


def check_stream(records: Sequence[Record], *, from_start: bool = False) -> StreamVerdict:
    """Check records of any number of sources, in the order they were received.

    from_start: the first record of each source must be here too (page 0 or 1, empty chain).
    """
    sources: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in records:
        sources[record.source].append(record)
    findings: list[Finding] = []
    for source, stream in sources.items():
        name = "/".join(part for part in source if part) or "unnamed source"
        for status, page, text in (*_pages(stream, from_start), *_chain(stream, from_start), *_register(stream)):
            findings.append(Finding(status, Severity.ERROR, f"{name} {page}", text))
    found = {finding.rule for finding in findings}
    status = next((status for status in StreamStatus if status in found), StreamStatus.CONTINUOUS)
    return StreamVerdict(status, tuple(findings))


_Hit = tuple[StreamStatus, str, str]


def _pages(stream: list[Record], from_start: bool) -> Iterator[_Hit]:
    by_page: dict[tuple[str, int], str] = {}
    for record in stream:
        page = record.page
        if page is None:
            yield StreamStatus.GAP, record.string("PG") or "?", "no page: its place cannot be told"
            continue
        other = by_page.setdefault(page, record.record_id)
        if other != record.record_id:
            yield StreamStatus.FORK, record.string("PG"), "two different payloads have this page"
    counts: dict[str, int] = defaultdict(int)
    for record in stream:
        counts[record.record_id] += 1
        if counts[record.record_id] == 2:
            yield StreamStatus.DUPLICATE, record.string("PG"), "the same payload stands here more than once"
    for context in sorted({page[0] for page in by_page}):
        numbers = sorted(number for name, number in by_page if name == context)
        if from_start and numbers[0] > 1:
            yield StreamStatus.GAP, f"{context}{numbers[0]}", "the pages before it are missing"
        for before, after in pairwise(numbers):
            if after != before + 1:
                missing = f"{context}{before + 1}" + (f" to {context}{after - 1}" if after > before + 2 else "")
                yield StreamStatus.GAP, f"{context}{after}", f"missing: {missing}"


def _chain(stream: list[Record], from_start: bool) -> Iterator[_Hit]:
    unique = {record.record_id: record for record in stream}
    followers: dict[str, list[Record]] = defaultdict(list)
    for record in unique.values():
        if CHAIN_KEY in record.fields:
            followers[record.string(CHAIN_KEY)].append(record)
    if not followers:
        return
    for previous, claimants in followers.items():
        if len(claimants) > 1:
            pages = ", ".join(record.string("PG") for record in claimants)
            after = f"follow {unique[previous].string('PG')}" if previous in unique else "claim the same predecessor"
            text = f"{pages} {after}" if previous else f"{pages} all claim to start the stream"
            yield StreamStatus.FORK, claimants[-1].string("PG"), text
        elif previous in unique:
            before, after_page = unique[previous].page, claimants[0].page
            if before and after_page and before[0] == after_page[0] and after_page[1] != before[1] + 1:
                yield (
                    StreamStatus.FORK,
                    claimants[0].string("PG"),
                    f"chained to {unique[previous].string('PG')}, which is not the page before it",
                )
    for record in unique.values():
        if CHAIN_KEY not in record.fields:
            yield StreamStatus.GAP, record.string("PG"), f"no {CHAIN_KEY}, though the stream is chained"
    heads = [record for key, group in followers.items() if key not in unique for record in group]
    if len(followers.keys() - unique.keys()) > 1:
        for record in heads[1:]:
            yield StreamStatus.GAP, record.string("PG"), "its predecessor by hash is not here"
    if from_start and "" not in followers:
        yield StreamStatus.GAP, heads[0].string("PG") if heads else "?", "the start of the chain is not here"


def _register(stream: list[Record]) -> Iterator[_Hit]:
    """In page order the register never falls and synchronised time never runs back: a restored backup would."""
    ordered = sorted({record.record_id: record for record in stream if record.page}.values(), key=_page_key)
    last: dict[tuple[str, str], RecordReading] = {}
    for record in ordered:
        context = record.string("PG")[:1]
        for reading in record.readings:
            before = last.get((context, reading.register))
            usable = reading.kwh is not None and not _is_marked_bad(reading)
            if before is not None:
                if usable and before.kwh is not None and reading.kwh is not None and reading.kwh < before.kwh:
                    text = f"{reading.register} falls from {before.kwh:f} to {reading.kwh:f} kWh"
                    yield StreamStatus.ROLLBACK, record.string("PG"), text
                if (
                    before.time
                    and reading.time
                    and {before.time_status, reading.time_status} == {"S"}
                    and reading.time < before.time
                ):
                    yield StreamStatus.ROLLBACK, record.string("PG"), f"time runs back to {reading.time.isoformat()}"
            if usable and reading.status == "G":
                last[(context, reading.register)] = reading


def _is_marked_bad(reading: RecordReading) -> bool:
    """The record itself says that this is not the register's value: the rules of the transaction judge that."""
    return reading.status not in {"", "G"} or "E" in reading.error_flags


def _page_key(record: Record) -> tuple[str, int]:
    return record.page or ("", 0)
