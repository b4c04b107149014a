"""A lock for each real thing of a rig on this machine: port, token, device. The holder's name stands in the file.

The lock itself is the kernel's (flock): it goes with the process, however that ends.
"""

from __future__ import annotations

import fcntl
import getpass
import hashlib
import json
import os
import socket
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from ports.clock import Clock
from ports.errors import RigError

SHARED = Path("/run/lock")  # where Debian lets everybody put lock files


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds something, and since when."""

    user: str
    host: str
    pid: int
    rig: str
    since: str

    def __str__(self) -> str:
        return f"{self.user} on {self.host} (rig {self.rig}, process {self.pid}, since {self.since})"


class BusyError(RigError):
    """Somebody else holds it; says who."""

    def __init__(self, thing: str, holder: Holder | None) -> None:
        super().__init__(f"{thing} is held by {holder or 'somebody whose name cannot be read'}")
        self.holder = holder


def folder() -> Path:
    """Where lock files are: shared by all users where the system has such a place."""
    return SHARED if os.access(SHARED, os.W_OK) else Path(tempfile.gettempdir())


@contextmanager
def held(things: Iterable[str], rig: str, clock: Clock, place: Path | None = None) -> Iterator[None]:
    """Hold every one of these things until the end. Raises BusyError for the first that somebody else holds."""
    who = Holder(_user(), socket.gethostname(), os.getpid(), rig, clock.now().isoformat(timespec="seconds"))
    with ExitStack() as stack:
        for thing in sorted(set(things)):
            stack.callback(os.close, _hold(thing, who, place or folder()))
        yield


def holder_of(thing: str, place: Path | None = None) -> Holder | None:
    """Who holds it; None when nobody does."""
    try:
        handle = os.open(_file(thing, place or folder()), os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read(handle) or Holder("?", "?", 0, "?", "?")
    else:
        return None
    finally:
        os.close(handle)


def _file(thing: str, place: Path) -> Path:
    return place / f"plugbench-{hashlib.sha256(thing.encode()).hexdigest()[:16]}.lock"


def _hold(thing: str, who: Holder, place: Path) -> int:
    path = _file(thing, place)
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
    except OSError as error:
        raise RigError(f"{thing}: its lock file {path} cannot be used: {error.strerror}") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = _read(handle)
        os.close(handle)
        raise BusyError(thing, holder) from None
    os.ftruncate(handle, 0)
    os.pwrite(handle, json.dumps({"thing": thing, **asdict(who)}).encode(), 0)
    return handle


def _read(handle: int) -> Holder | None:
    try:
        content = json.loads(os.pread(handle, 4096, 0))
        return Holder(*(content[name] for name in Holder.__slots__))
    except (ValueError, KeyError, TypeError):
        return None


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
