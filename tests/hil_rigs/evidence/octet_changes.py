"""What was done to an archive without anybody noticing: nothing, one hopes. Everything happens in memory."""

from __future__ import annotations

import io
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from random import Random

from hil_rigs.evidence.archive import Archive
from hil_rigs.evidence.source import ArchiveSource
from hil_rigs.evidence.verify import check_source
from ports.errors import PeerError


def holds(octets: bytes | bytearray) -> bool:
    """What `plugbench evidence verify` says of these octets. Any other exception than a refusal is a defect."""
    try:
        return not check_source(ArchiveSource(Archive(io.BytesIO(octets)))).problems
    except PeerError:
        return False


def structure(octets: bytes) -> list[int]:
    """Offsets of everything that is not content: local headers, central directory, end record."""
    entries = Archive(io.BytesIO(octets)).entries.values()
    end = max(entry.start + entry.size for entry in entries)
    return [*chain.from_iterable(range(entry.offset, entry.start) for entry in entries), *range(end, len(octets))]


def masks(seed: int, size: int) -> bytes:
    """For each octet what it is changed by: never 0."""
    return bytes(1 + octet % 255 for octet in Random(seed).randbytes(size))


def unseen(octets: bytes, changes: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Those (offset, mask) that leave evidence that holds."""
    changed = bytearray(octets)
    found = []
    for offset, mask in changes:
        changed[offset] ^= mask
        if holds(changed):
            found.append((offset, mask))
        changed[offset] ^= mask
    return found


def unseen_in(file: Path, seed: int, first: int, last: int) -> tuple[int, list[tuple[int, int]]]:
    """As `unseen`, for the octets [first, last) of a file, each changed once; how many, and what was not seen."""
    octets = file.read_bytes()
    changes = list(enumerate(masks(seed, len(octets))))[first:last]
    return len(changes), unseen(octets, changes)


def unseen_cuts(file: Path, first: int, last: int) -> tuple[int, list[int]]:
    """The same for archives that end after so many octets."""
    octets = file.read_bytes()
    return last - first, [length for length in range(first, last) if holds(octets[:length])]
