"""The files beside the journal: the lock of its one writer, and room kept for closing open transactions."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import IO

from gateway.journal_entry import JournalError

RESERVE_BYTES = 1 << 20  # some thousand records


def hold(path: Path) -> IO[str]:
    """Take the journal for this process; the lock goes with the process, however it ends."""
    lock_path = path.with_name(path.name + ".lock")
    try:
        lock = lock_path.open("a+")
    except OSError as error:
        raise JournalError(f"cannot open {lock_path}: {error.strerror}; check the folder and its owner") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.seek(0)
        holder = lock.read().strip() or "unknown"
        lock.close()
        raise JournalError(
            f"journal {path} is held by another gateway (process {holder}); stop it, or give this one its own journal"
        ) from error
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    return lock


def reserve_path(path: Path) -> Path:
    return path.with_name(path.name + ".reserve")


def make_reserve(path: Path) -> None:
    """Keep room for closing open transactions; without it the journal works, and is full a little earlier."""
    reserve = reserve_path(path)
    if reserve.exists() and reserve.stat().st_size == RESERVE_BYTES:
        return
    try:
        with reserve.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, RESERVE_BYTES)
    except OSError:
        reserve.unlink(missing_ok=True)


def release_reserve(path: Path) -> bool:
    """Give the room back to a full disk; False when it was given before."""
    reserve = reserve_path(path)
    if not reserve.exists():
        return False
    reserve.unlink()
    return True
