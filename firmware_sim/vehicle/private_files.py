"""Files that hold private keys: readable by their owner only, and whole or not there at all."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from ports.errors import RigError

UNFINISHED = ".unfinished"


def write_private(path: Path, octets: bytes) -> None:
    """Write a file anew with mode 0600, durably; a kill at any moment leaves the old one or the new one.

    Raises RigError naming the file.
    """
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(4)}{UNFINISHED}")
    try:
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(octets)
            file.flush()
            os.fsync(descriptor)
        unfinished.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise RigError(f"{path}: {error.strerror}") from error


def remove_private(path: Path) -> None:
    """Remove a file durably; harmless when there is none. Raises RigError."""
    try:
        path.unlink(missing_ok=True)
        sync_folder(path.parent)
    except OSError as error:
        raise RigError(f"{path}: {error.strerror}") from error


def private_folder(path: Path) -> Path:
    """A folder that only its owner may enter, without what a kill left unfinished. Raises RigError."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        for left in path.glob(f".*{UNFINISHED}"):
            left.unlink(missing_ok=True)
    except OSError as error:
        raise RigError(f"{path}: {error.strerror}") from error
    return path


def sync_folder(path: Path) -> None:
    """A new name is on the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
