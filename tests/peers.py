"""Foreign programs for tests, each in an environment of its own under .peers/, made once also when workers race.

What cannot be made on this machine skips the test that asks for it, by name.
"""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PEERS = Path(__file__).resolve().parents[1] / ".peers"
PATIENCE_S = 110


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
            _run(name, [*command, *packages])
            _note(folder, packages)
    return folder


def python_packages(name: str, *packages: str) -> Path:
    """The folder of programs (bin) of a virtual environment with these packages ("labgrid==26.0.1")."""
    with alone(name) as folder:
        programs = folder / "venv" / "bin"
        if not _made(folder, packages):
            _run(name, [sys.executable, "-m", "venv", "--clear", str(programs.parent)])
            _run(name, [str(programs / "python"), "-m", "pip", "install", "-q", *packages])
            _note(folder, packages)
    return programs


def _made(folder: Path, packages: tuple[str, ...]) -> bool:
    note = folder / "installed"
    return note.is_file() and note.read_text(encoding="utf-8") == " ".join(packages)


def _note(folder: Path, packages: tuple[str, ...]) -> None:
    (folder / "installed").write_text(" ".join(packages), encoding="utf-8")


def _run(name: str, command: list[str]) -> None:
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        pytest.skip(f"{name} cannot be installed: {error}")
    if run.returncode:
        pytest.skip(f"{name} cannot be installed: {run.stderr[-300:]}")
