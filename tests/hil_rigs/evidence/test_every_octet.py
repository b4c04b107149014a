"""No octet of an archive changes unseen: a slice in every run of the tests, all of them in `make soak`."""

from __future__ import annotations

import io
import os
import sys
import zipfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from random import Random
from typing import Any

import pytest

from hil_rigs.evidence.archive import Archive, write_archive
from hil_rigs.evidence.manifest import DIGEST, MANIFEST
from tests.hil_rigs.evidence.octet_changes import holds, masks, structure, unseen, unseen_cuts, unseen_in

SEED = int(os.environ.get("EVIDENCE_SEED", "17"))
FILE = os.environ.get("EVIDENCE_ZIP", "")
"""Another archive for the campaigns than that of the tests' own run."""

SAMPLE = 250
MASKS = int(os.environ.get("EVIDENCE_MASKS", "16"))  # 255: every value, half an hour
Files = list[tuple[str, bytes]]


@pytest.fixture
def octets(sealed_once: Path) -> bytes:
    return (sealed_once / "evidence.zip").read_bytes()


@pytest.fixture
def archive(sealed_once: Path) -> Path:
    return Path(FILE) if FILE else sealed_once / "evidence.zip"


def test_a_slice_of_all_octets(octets: bytes) -> None:
    assert holds(octets)
    chosen = sorted({*structure(octets), *Random(SEED).sample(range(len(octets)), SAMPLE)})
    mask = masks(SEED, len(octets))
    assert unseen(octets, [(offset, mask[offset]) for offset in chosen]) == []


def everywhere(work: Callable[..., tuple[int, list[Any]]], size: int, *arguments: object) -> tuple[int, list[Any]]:
    """Work over [0, size) in pieces, on every core; how many cases there were, and what was not seen."""
    done, found = 0, []
    pieces = range(0, size, max(1, size // 200))
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        running = [pool.submit(work, *arguments, first, min(first + pieces.step, size)) for first in pieces]
        for future in as_completed(running):
            count, unnoticed = future.result()
            done, found = done + count, [*found, *unnoticed]
            sys.stderr.write(f"\r{done} of {size}, {len(found)} not noticed ")
    return done, found


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_every_octet(archive: Path) -> None:
    assert holds(archive.read_bytes())
    size = archive.stat().st_size
    assert everywhere(unseen_in, size, archive, SEED) == (size, [])


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_every_length(archive: Path) -> None:
    size = archive.stat().st_size
    assert everywhere(unseen_cuts, size, archive) == (size, [])


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_many_values_of_every_octet_around_the_files(archive: Path) -> None:
    octets, random = archive.read_bytes(), Random(SEED)
    changes = [(offset, mask) for offset in structure(octets) for mask in random.sample(range(1, 256), MASKS)]
    assert unseen(octets, changes) == []


def test_what_is_cut_off(octets: bytes) -> None:
    lengths = {*structure(octets), *Random(SEED).sample(range(len(octets)), SAMPLE)}
    assert [length for length in sorted(lengths) if holds(octets[:length])] == []


@pytest.mark.parametrize("more", [b"\0", b"\n", b"PK\5\6" + bytes(18), b"x" * 70_000])
def test_what_is_put_before_behind_or_between(octets: bytes, more: bytes) -> None:
    for place in (0, octets.index(b"PK\1\2"), len(octets) - 22, len(octets)):
        assert not holds(octets[:place] + more + octets[place:]), place
    assert not holds(octets + octets)


def files_of(octets: bytes) -> Files:
    opened = Archive(io.BytesIO(octets))
    return [(name, b"".join(opened.read(name))) for name in opened.entries]


def packed(files: Files) -> bytes:
    """In our own form, with right headers and checksums: only the manifest can tell."""
    target = io.BytesIO()
    write_archive(target, [(name, io.BytesIO(content)) for name, content in files])
    return target.getvalue()


def renamed(files: Files, before: str, after: str) -> Files:
    return sorted((after if name == before else name, content) for name, content in files)


def swapped(files: Files, one: str, other: str) -> Files:
    """The contents of two files."""
    content = dict(files)
    return [(name, content.get({one: other, other: one}.get(name, name), b"")) for name, _ in files]


T1, T2 = ("records/GW-T-12345678-T1.ocmf", "records/GW-T-12345678-T2.ocmf")
ENTRIES: dict[str, Callable[[Files], Files]] = {
    "one more at the end": lambda files: [*files, ("z.txt", b"")],
    "one more in order": lambda files: sorted([*files, ("a.txt", b"")]),
    "one more with records": lambda files: sorted([*files, ("records/x.ocmf", dict(files)[T1])]),
    "a folder": lambda files: sorted([*files, ("empty/none", b"")]),
    "renamed": lambda files: renamed(files, "report.md", "report.txt"),
    "renamed in case only": lambda files: renamed(files, "report.md", "REPORT.md"),
    "without its manifest": lambda files: [row for row in files if row[0] != MANIFEST],
    "without its digest": lambda files: [row for row in files if row[0] != DIGEST],
    "one less": lambda files: [row for row in files if row[0] != "story.md"],
    "none": lambda _: [],
    "one twice": lambda files: [*files[:3], files[2], *files[3:]],
    "one twice, in another case": lambda files: [*files, ("RIG.yaml", dict(files)["rig.yaml"])],
    "the first two reordered": lambda files: [files[1], files[0], *files[2:]],
    "backwards": lambda files: files[::-1],
    "manifest and digest reordered": lambda files: [*files[:-2], files[-1], files[-2]],
    "two records swapped": lambda files: swapped(files, T1, T2),
    "one longer": lambda files: [(name, content + b" " * (name == "rig.yaml")) for name, content in files],
    "one shorter": lambda files: [(name, content[: -1 if name == "rig.yaml" else None]) for name, content in files],
}


@pytest.mark.parametrize("change", ENTRIES.values(), ids=ENTRIES)
def test_other_entries(octets: bytes, change: Callable[[Files], Files]) -> None:
    files = files_of(octets)
    assert packed(files) == octets
    assert not holds(packed(change(files)))


def test_what_another_program_adds(octets: bytes) -> None:
    target = io.BytesIO(octets)
    with zipfile.ZipFile(target, "a") as opened:
        opened.comment = b"checked"
    assert not holds(target.getvalue())
    target = io.BytesIO(octets)
    with zipfile.ZipFile(target, "a") as opened:
        opened.writestr("z.txt", b"")
    assert not holds(target.getvalue())
