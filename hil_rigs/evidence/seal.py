"""Seal a folder: write the manifest over all its files, and the archive."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from hil_rigs.evidence.archive import write_archive
from hil_rigs.evidence.contents import ARCHIVE, role
from hil_rigs.evidence.event_hash import EVENTS, MAX_LINE, RULE, SCHEMA, hash_events
from hil_rigs.evidence.manifest import (
    DIGEST,
    MANIFEST,
    Events,
    File,
    Manifest,
    Resource,
    Versions,
    digest_line,
    digest_of,
    encode_manifest,
    hash_file,
)
from hil_rigs.evidence.source import FolderSource, Source, lines_of
from ports.errors import RigError


@dataclass(frozen=True, slots=True)
class About:
    """What the manifest says of a run, beside its files. started: civil time of the machine, ISO 8601."""

    run: str
    rig: str
    seed: int
    clock: str
    started: str
    verdict: str
    signer: str
    is_hsm: bool
    resources: list[Resource]
    versions: Versions
    scenario: str = ""
    defect: str = ""


@dataclass(frozen=True, slots=True)
class Sealed:
    """digest: of the manifest, and so of everything. events: how many; event_hash: over them, see `event_hash`.

    repeats: in virtual time, where the same rig and seed give the same event hash.
    """

    archive: Path
    digest: str
    event_hash: str
    events: int
    repeats: bool


def seal(folder: Path, about: About) -> Sealed:
    """Write manifest.json, manifest.sha256 and evidence.zip into the folder. Raises RigError, BadNameError."""
    try:
        return _seal(folder, about)
    except OSError as error:
        raise RigError(f"cannot write the evidence into {folder}: {error.strerror}") from error


def _seal(folder: Path, about: About) -> Sealed:
    source = FolderSource(folder)
    hashed = hash_events(lines_of(source, EVENTS, MAX_LINE))
    files = listed(source)
    manifest = encode_manifest(
        Manifest(
            run=about.run,
            rig=about.rig,
            scenario=about.scenario,
            defect=about.defect,
            seed=about.seed,
            clock=about.clock,
            started=about.started,
            verdict=about.verdict,
            signer=about.signer,
            is_hsm=about.is_hsm,
            resources=about.resources,
            versions=about.versions,
            events=Events(EVENTS, SCHEMA, hashed.count, RULE, hashed.hex()),
            files=files,
        )
    )
    (folder / MANIFEST).write_bytes(manifest)
    (folder / DIGEST).write_bytes(digest_line(manifest))
    archive = folder / ARCHIVE
    archive.touch(mode=0o600)  # captures hold TLS keys
    with archive.open("wb") as target, closing(_opened(folder, [*files, MANIFEST, DIGEST])) as contents:
        write_archive(target, contents)
    return Sealed(archive, digest_of(manifest), hashed.hex(), hashed.count, about.clock == "virtual")


def listed(source: Source) -> dict[str, File]:
    """Every file with its hash, in order, without the manifest itself."""
    return {
        name: File(*hash_file(source.read(name)), what=role(name))
        for name in source.names
        if name not in (MANIFEST, DIGEST)
    }


def _opened(folder: Path, names: list[str]) -> Generator[tuple[str, BinaryIO]]:
    for name in names:
        with (folder / name).open("rb") as file:
            yield name, file
