"""Check evidence again, offline: structure, hashes, signatures, page order, and the verdict from the records."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from hil_rigs.evidence.assertions import overall, read_assertions
from hil_rigs.evidence.contents import ASSERTIONS, REPORT_DATA
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
from hil_rigs.evidence.records import (
    KEY_FILE,
    Report,
    check_records,
    judge_again,
    read_key,
    read_records,
    scenario_verdict,
)
from hil_rigs.evidence.source import ArchiveSource, Source, lines_of, open_source, whole
from ocmf.keys import PublicKey
from ports.backend import SignedRecord
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
    """Verdict, number of records, and what is wrong with them."""
    problems: list[str] = []
    records: list[SignedRecord] = []
    try:
        report = msgspec.json.decode(whole(source, REPORT_DATA, MAX_REPORT), type=Report)
        assertions = read_assertions(source) if ASSERTIONS in source.names else ()
        if KEY_FILE in source.names or not manifest.scenario:  # a rig that did not come up signs nothing
            carried = read_key(source)
            if key not in (None, carried):
                said = f"({carried.fingerprint}) is not the one given"
                problems.append(f"the key in the evidence {said}")
            records, wrong = read_records(source)
            # what the run itself found wrong does not speak against its evidence
            found = [one for one in check_records(records, key or carried) if one not in report.known]
            problems += [*wrong, *found]
    except (PeerError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        return "", 0, [*problems, str(error)]
    if manifest.scenario:
        verdict = scenario_verdict(report, assertions)
    else:
        verdict, differences = judge_again(report, records, key or carried)
        problems += differences
        verdict = overall(assertions) if overall(assertions) != "pass" else verdict
    for where, word in ((MANIFEST, manifest.verdict), (REPORT_DATA, report.verdict)):
        if word != verdict:
            problems.append(f"{where}: verdict {word}, what is in the evidence says {verdict}")
    return verdict, len(records), problems
