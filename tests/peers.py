"""Foreign programs for tests, each in an environment of its own under .peers/, made once also when workers race.

What cannot be made on this machine skips the test that asks for it, by name; it is tried once in a run, by one worker.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PEERS = Path(__file__).resolve().parents[1] / ".peers"
PATIENCE_S = 100  # less than a test has
RUN = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))


@contextmanager
def alone(name: str) -> Iterator[Path]:
    """The peer's folder, for one process at a time."""
    folder = PEERS / name
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder


def npm_packages(name: str, *packages: str) -> Path:
    """A folder whose node_modules hold these packages ("ocpp-rpc@2.2.1"); without their install scripts."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip(f"{name} needs node and npm, which are not installed")
    with alone(name) as folder:
        if not _made(folder, packages):
            command = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(folder)]
            _run(folder, [*command, *packages])
            _note(folder, packages)
    return folder


def python_packages(name: str, *packages: str) -> Path:
    """The folder of programs (bin) of a virtual environment with these packages ("labgrid==26.0.1")."""
    with alone(name) as folder:
        programs = folder / "venv" / "bin"
        if not _made(folder, packages):
            _run(folder, [sys.executable, "-m", "venv", "--clear", str(programs.parent)])
            _run(folder, [str(programs / "python"), "-m", "pip", "install", "-q", *packages])
            _note(folder, packages)
    return programs


def _made(folder: Path, packages: tuple[str, ...]) -> bool:
    note = folder / "installed"
    return note.is_file() and note.read_text(encoding="utf-8") == " ".join(packages)


def _note(folder: Path, packages: tuple[str, ...]) -> None:
    (folder / "installed").write_text(" ".join(packages), encoding="utf-8")


def _run(folder: Path, command: list[str]) -> None:
    """Run it, or skip the test: as it was skipped before in this run."""
    failed = folder / f"failed-in-{RUN}"
    if failed.is_file():
        pytest.skip(failed.read_text(encoding="utf-8"))
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
        why = run.stderr[-300:] if run.returncode else ""
    except (OSError, subprocess.TimeoutExpired) as error:
        why = str(error)
    if why:
        for older in folder.glob("failed-in-*"):
            older.unlink()
        failed.write_text(f"{folder.name} cannot be installed: {why}", encoding="utf-8")
        pytest.skip(failed.read_text(encoding="utf-8"))
