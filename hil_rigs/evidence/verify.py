"""Check evidence again, offline: structure, hashes, signatures, page order, and the verdict from the records."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from hil_rigs.evidence.assertions import Assertion, overall, read_assertions
from hil_rigs.evidence.contents import ASSERTIONS
from hil_rigs.evidence.event_hash import MAX_LINE, RULE, EventError, hash_events
from hil_rigs.evidence.manifest import (
    DIGEST,
    MANIFEST,
    MAX_MANIFEST,
    Manifest,
    decode_manifest,
    digest_line,
    digest_of,
    hash_file,
)
from hil_rigs.evidence.records import Report, check_records, judge_again, read_key, read_records
from hil_rigs.evidence.source import ArchiveSource, Source, lines_of, open_source, whole
from ocmf.keys import PublicKey
from ports.errors import PeerError

MAX_REPORT = 64 << 20


class EvidenceError(PeerError):
    """Evidence that does not hold; `problems` says all that is wrong."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Checked:
    """manifest: None when it cannot be read. verdict: of the run, from the records; "" when they cannot be judged.

    problems: what does not hold, empty when everything does.
    """

    manifest: Manifest | None
    digest: str
    verdict: str
    records: int
    problems: tuple[str, ...]

    def require(self) -> Checked:
        """Itself when everything holds. Raises EvidenceError."""
        if self.problems:
            raise EvidenceError(self.problems)
        return self


def check_evidence(path: Path, digest: str = "", key: PublicKey | None = None) -> Checked:
    """Check a folder or an archive.

    digest: that was noted elsewhere (""= none). key: of the signer, known from elsewhere. Raises RigError: not there.
    """
    try:
        with open_source(path) as source:
            return check_source(source, digest, key)
    except PeerError as error:
        return Checked(None, "", "", 0, (str(error),))


def check_source(source: Source, digest: str = "", key: PublicKey | None = None) -> Checked:
    """As `check_evidence`. Raises PeerError when there is no manifest to check by."""
    octets = whole(source, MANIFEST, MAX_MANIFEST)
    manifest = decode_manifest(octets)
    problems = [*_digest(source, octets, digest), *_files(source, manifest)]
    if problems:  # what was changed is not judged further
        return Checked(manifest, digest_of(octets), "", 0, tuple(problems))
    problems += _events(source, manifest)
    verdict, count, more = _verdict(source, manifest, key)
    return Checked(manifest, digest_of(octets), verdict, count, (*problems, *more))


def _digest(source: Source, manifest: bytes, noted: str) -> Iterator[str]:
    if whole(source, DIGEST, 1 << 10) != digest_line(manifest):
        yield f"{DIGEST}: is not the digest of {MANIFEST}"
    if noted and noted.strip().lower() != digest_of(manifest):
        yield f"{MANIFEST}: its digest is {digest_of(manifest)}, not the one noted: {noted.strip()}"


def _files(source: Source, manifest: Manifest) -> Iterator[str]:
    expected = [*sorted(manifest.files), MANIFEST, DIGEST]
    for name in sorted(set(source.names) - set(expected)):
        yield f"{name}: not in the manifest"
    if set(source.names) >= set(expected) and source.names != expected and isinstance(source, ArchiveSource):
        yield "zip: the files are not in their order"
    for name in (MANIFEST, DIGEST):  # read before, but not to their end as files of an archive
        hash_file(source.read(name))
    for name, file in manifest.files.items():
        try:
            sha256, size = hash_file(source.read(name))
        except PeerError as error:
            yield str(error)
            continue
        if (sha256, size) != (file.sha256, file.size):
            yield f"{name}: {size} octets with SHA-256 {sha256}, the manifest says {file.size} and {file.sha256}"


def _events(source: Source, manifest: Manifest) -> Iterator[str]:
    events = manifest.events
    if events.rule != RULE:
        yield f"{MANIFEST}: events hashed by {events.rule}, this version knows {RULE}"
        return
    try:
        found = hash_events(lines_of(source, events.file, MAX_LINE))
    except EventError as error:
        yield str(error)
        return
    if (found.count, found.hex()) != (events.count, events.hash):
        yield f"{events.file}: {found.count} events with hash {found.hex()}, the manifest says otherwise"


def _verdict(source: Source, manifest: Manifest, key: PublicKey | None) -> tuple[str, int, list[str]]:
    problems: list[str] = []
    try:
        report = msgspec.json.decode(whole(source, "report.json", MAX_REPORT), type=Report)
        carried = read_key(source)
        if key is not None and carried != key:
            problems.append(f"the key in the evidence ({carried.fingerprint}) is not the one given ({key.fingerprint})")
        records, wrong = read_records(source)
        problems += wrong
        known = report.known  # what the run itself found wrong does not speak against its evidence
        problems += [problem for problem in check_records(records, key or carried) if problem not in known]
        assertions: tuple[Assertion, ...] = read_assertions(source) if ASSERTIONS in source.names else ()
    except (PeerError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        return "", 0, [*problems, str(error)]
    verdict, differences = judge_again(report, records, key or carried)
    problems += differences
    if assertions:
        verdict = "inconclusive" if overall(assertions) == "pass" and report.problems else overall(assertions)
    for where, said in ((MANIFEST, manifest.verdict), ("report.json", report.verdict)):
        if said != verdict:
            problems.append(f"{where}: verdict {said}, what is in the evidence says {verdict}")
    return verdict, len(records), problems
