"""The archive of a run: a zip file in one possible form, so that no octet of it can change unseen.

Entries are stored, not compressed (what a compressor writes depends on its version), without extra fields, comments or
gaps, at one time stamp, in the order given. Reading makes every header anew from what was read and compares octets.
Layout: PKWARE APPNOTE 6.3.10, 4.3.7 local header, 4.3.12 central directory, 4.3.16 its end.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from hil_rigs.evidence.names import check_name
from ports.errors import PeerError, RigError

MAX_ENTRIES = 20_000
MAX_OCTETS = (1 << 32) - 1
"""No zip64: what is larger is no evidence of one run."""

MAX_DIRECTORY = MAX_ENTRIES << 8  # octets: 46 and a name of 200 for each entry
CHUNK = 1 << 18

_LOCAL, _CENTRAL, _END = 0x04034B50, 0x02014B50, 0x06054B50
_VERSION = 20  # 4.4.3.2: folders in names
_MADE_BY = 3 << 8 | _VERSION  # 4.4.2: UNIX, so that the mode counts
_UTF8 = 1 << 11  # 4.4.4: general purpose bit 11
_STORED = 0  # 4.4.5
_TIME, _DATE = 0, 1 << 5 | 1  # 1980-01-01 00:00, the first that a zip file can say
_MODE = 0o100600 << 16  # captures hold TLS keys: for their owner only
_LOCAL_HEADER = struct.Struct("<IHHHHHIIIHH")
_CENTRAL_HEADER = struct.Struct("<IHHHHHHIIIHHHHHII")
_END_RECORD = struct.Struct("<IHHHHIIH")


class ArchiveError(PeerError):
    """Not an archive as this module writes it; the message says where it differs."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One file in the archive. start: offset of its first octet; size in octets."""

    name: str
    crc: int
    size: int
    start: int

    @property
    def local(self) -> bytes:
        """Its local header."""
        name = self.name.encode()
        fields = (_VERSION, _UTF8, _STORED, _TIME, _DATE, self.crc, self.size, self.size, len(name), 0)
        return _LOCAL_HEADER.pack(_LOCAL, *fields) + name

    @property
    def offset(self) -> int:
        """Where its local header begins."""
        return self.start - _LOCAL_HEADER.size - len(self.name.encode())

    @property
    def central(self) -> bytes:
        """Its header in the central directory."""
        name = self.name.encode()
        fields = (_MADE_BY, _VERSION, _UTF8, _STORED, _TIME, _DATE, self.crc, self.size, self.size, len(name))
        return _CENTRAL_HEADER.pack(_CENTRAL, *fields, 0, 0, 0, 0, _MODE, self.offset) + name


def write_archive(target: BinaryIO, files: Iterable[tuple[str, BinaryIO]]) -> None:
    """Write files (name, content at its beginning) in this order. Raises RigError: too large; BadNameError."""
    entries: list[Entry] = []
    at = 0
    for name, content in files:
        crc = size = 0
        while chunk := content.read(CHUNK):
            crc, size = zlib.crc32(chunk, crc), size + len(chunk)
        entry = Entry(check_name(name), crc, size, at + _LOCAL_HEADER.size + len(name.encode()))
        at = entry.start + size
        if at > MAX_OCTETS or len(entries) >= MAX_ENTRIES:
            raise RigError(f"more than {MAX_ENTRIES} files or {MAX_OCTETS} octets do not fit into one archive")
        entries.append(entry)
        content.seek(0)
        target.write(entry.local)
        while chunk := content.read(CHUNK):
            target.write(chunk)
    target.write(_tail(entries, at))


class Archive:
    """An archive that was opened: its structure is checked, its content is checked while it is read."""

    def __init__(self, file: BinaryIO) -> None:
        """Read the directory. Raises ArchiveError, BadNameError."""
        self._file = file
        self.entries = {entry.name: entry for entry in _entries(file)}

    def read(self, name: str) -> Iterator[bytes]:
        """The content in pieces. Raises ArchiveError: header or checksum differ."""
        entry = self.entries[name]
        self._file.seek(entry.offset)
        if self._file.read(len(entry.local)) != entry.local:
            raise ArchiveError(f"zip: the local header of {name!r} differs from the directory")
        crc, left = 0, entry.size
        while left:
            chunk = self._file.read(min(CHUNK, left))
            crc, left = zlib.crc32(chunk, crc), left - len(chunk)
            if not chunk:
                raise ArchiveError(f"zip: {name!r} ends early")
            yield chunk
        if crc != entry.crc:
            raise ArchiveError(f"zip: the checksum of {name!r} is wrong")


def _entries(file: BinaryIO) -> list[Entry]:
    size = file.seek(0, 2)
    if not _END_RECORD.size <= size <= MAX_OCTETS + MAX_DIRECTORY + _END_RECORD.size:
        raise ArchiveError(f"zip: {size} octets")
    file.seek(size - _END_RECORD.size)
    kind, *_, count, length, at, _ = _END_RECORD.unpack(file.read(_END_RECORD.size))
    if kind != _END or at + length + _END_RECORD.size != size or length > MAX_DIRECTORY:
        raise ArchiveError("zip: no end of the directory at the end of the file, or not the only one")
    file.seek(at)
    directory = file.read(length)
    entries, place, expected = [], 0, 0
    for _ in range(count):
        entry, place = _central_entry(directory, place)
        if entry.offset != expected:
            raise ArchiveError(f"zip: {entry.name!r} is not where the file before it ends")
        expected = entry.start + entry.size
        entries.append(entry)
    if len({entry.name.casefold() for entry in entries}) != count:
        raise ArchiveError("zip: two files of one name")
    file.seek(at)
    if expected != at or file.read() != _tail(entries, at):
        raise ArchiveError("zip: the directory is not the one that belongs to these files")
    return entries


def _central_entry(directory: bytes, place: int) -> tuple[Entry, int]:
    end = place + _CENTRAL_HEADER.size
    if end > len(directory):
        raise ArchiveError("zip: the directory is cut")
    fields = _CENTRAL_HEADER.unpack_from(directory, place)
    crc, size, name_length, offset = fields[7], fields[8], fields[10], fields[16]
    try:
        name = check_name(directory[end : end + name_length].decode())
    except UnicodeDecodeError:
        raise ArchiveError("zip: a name that is not UTF-8") from None
    entry = Entry(name, crc, size, offset + _LOCAL_HEADER.size + name_length)
    if directory[place : end + name_length] != entry.central:
        raise ArchiveError(f"zip: the directory entry of {name!r} is not as Plugbench writes it")
    return entry, end + name_length


def _tail(entries: list[Entry], at: int) -> bytes:
    directory = b"".join(entry.central for entry in entries)
    count = len(entries)
    return directory + _END_RECORD.pack(_END, 0, 0, count, count, len(directory), at, 0)
