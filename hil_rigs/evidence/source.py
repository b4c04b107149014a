"""Where evidence is read from: a folder or an archive, alike."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from hil_rigs.evidence.archive import CHUNK, Archive
from hil_rigs.evidence.contents import evidence_files
from hil_rigs.evidence.event_hash import EVENTS
from hil_rigs.evidence.manifest import DIGEST, MANIFEST
from ports.errors import PeerError, RigError

MOST_NAMED = 10  # folders in a message


class Source(Protocol):
    """Files by name."""

    @property
    def names(self) -> list[str]:
        """All files, in order."""

    def read(self, name: str) -> Iterator[bytes]:
        """The content in pieces. Raises PeerError: not there, or damaged."""


class FolderSource:
    """The files of a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.names = [*evidence_files(folder), *(name for name in (MANIFEST, DIGEST) if (folder / name).is_file())]

    def read(self, name: str) -> Iterator[bytes]:
        """The content in pieces."""
        try:
            with (self._folder / name).open("rb") as file:
                while chunk := file.read(CHUNK):
                    yield chunk
        except OSError as error:
            raise PeerError(f"{name}: {error.strerror}") from None


class ArchiveSource:
    """The files of an archive."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self.names = list(archive.entries)

    def read(self, name: str) -> Iterator[bytes]:
        """The content in pieces."""
        if name not in self._archive.entries:
            raise PeerError(f"{name}: not in the archive")
        return self._archive.read(name)


@contextmanager
def open_source(path: Path) -> Iterator[Source]:
    """Open evidence. Raises RigError: not there; ArchiveError, BadNameError: not an archive of ours."""
    if path.is_dir():
        if not any((path / name).exists() for name in (MANIFEST, DIGEST, EVENTS)):
            raise RigError(f"{path}: no run was left here (no {MANIFEST}){_runs_below(path)}")
        yield FolderSource(path)
        return
    try:
        file = path.open("rb")
    except OSError as error:
        raise RigError(f"{path}: {error.strerror}") from None
    with file:
        yield ArchiveSource(Archive(file))


def _runs_below(path: Path) -> str:
    runs = sorted(str(one.parent) for one in path.glob(f"*/{MANIFEST}"))
    more = f" and {len(runs) - MOST_NAMED} more" if len(runs) > MOST_NAMED else ""
    return f"; there are runs in {', '.join(runs[:MOST_NAMED])}{more}" if runs else ""


def whole(source: Source, name: str, limit: int) -> bytes:
    """All of a small file. Raises PeerError: larger than `limit` octets, or not readable."""
    content = bytearray()
    for chunk in source.read(name):
        content += chunk
        if len(content) > limit:
            raise PeerError(f"{name}: more than {limit} octets")
    return bytes(content)


def lines_of(source: Source, name: str, limit: int) -> Iterator[bytes]:
    """The lines of a file, without their ends. Raises PeerError: one is longer than `limit` octets."""
    rest = b""
    for chunk in source.read(name):
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines
        if len(rest) > limit:
            raise PeerError(f"{name}: a line of more than {limit} octets")
    if rest:
        yield rest
