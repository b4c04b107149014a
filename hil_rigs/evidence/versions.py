"""What a run was made with: versions of Plugbench, Python and every library."""

from __future__ import annotations

import hashlib
import platform
import re
import subprocess
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from hil_rigs.evidence.manifest import Versions

_ROOT = Path(__file__).parents[2]
_GIT_S = 5.0


def versions() -> Versions:
    """Of this process; the commit only when Plugbench runs from its repository."""
    return Versions(
        plugbench=_version("plugbench"),
        commit=_commit(),
        python=f"{platform.python_implementation()} {platform.python_version()}",
        platform=platform.platform(),
        libraries={name: _version(name) for name in _libraries()},
    )


def _libraries() -> list[str]:
    """What Plugbench asks for, without its extras."""
    asked = [line for line in requires("plugbench") or [] if "extra ==" not in line]
    return sorted(match.group() for line in asked if (match := re.match(r"[A-Za-z0-9._-]+", line)))


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "unknown"


def _commit() -> str:
    commit = _git("rev-parse", "HEAD")
    if not commit:
        return ""
    changes = _git("diff", "HEAD")
    return f"{commit}+{hashlib.sha256(changes.encode()).hexdigest()[:12]}" if changes else commit


def _git(*words: str) -> str:
    if not (_ROOT / ".git").exists():  # installed, not a checkout
        return ""
    command = ["git", "-C", str(_ROOT), "--no-optional-locks", *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=_GIT_S, check=True)  # noqa: S603 - fixed words
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
