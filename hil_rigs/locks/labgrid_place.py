"""A labgrid place, reached by labgrid's own command line: it is a program of its own, in an environment of its own.

`labgrid-client` is looked for as PLUGBENCH_LABGRID says, then on PATH. LG_USERNAME and LG_HOSTNAME say who we are.
"""

from __future__ import annotations

import getpass
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ports.errors import RigError

PATIENCE_S = 30  # of one answer of the coordinator


@dataclass(frozen=True, slots=True)
class LabgridPlace:
    """A place of a coordinator ("host:port")."""

    name: str
    coordinator: str

    def holder(self) -> str:
        """ "host/user" who has acquired it, "" when it is free. Raises RigError: no such place, no coordinator."""
        found = re.search(r"^\s*acquired: *(.*)$", self._ask("show"), re.MULTILINE)
        return "" if found is None or found[1] in ("None", "") else found[1].strip()

    def acquire(self) -> bool:
        """Acquire it, unless it is ours already; whether it was acquired now. Raises RigError that names the holder."""
        if self.holder() == me():
            return False
        self._ask("acquire")
        self.check()
        return True

    def release(self) -> None:
        """Give it back. Raises RigError when it is not ours."""
        self._ask("release")

    def check(self) -> None:
        """Raises RigError when it is no longer ours: labgrid tells nobody that he was kicked."""
        holder = self.holder()
        if holder != me():
            raise RigError(f"labgrid place {self.name} is held by {holder or 'nobody'}, not by {me()}")

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold it until the end; one that was acquired before stays acquired."""
        acquired = self.acquire()
        try:
            yield
        finally:
            if acquired:
                self.release()

    def _ask(self, command: str) -> str:
        program = os.environ.get("PLUGBENCH_LABGRID") or shutil.which("labgrid-client")
        if not program:
            raise RigError(
                f"labgrid place {self.name}: no labgrid-client; install labgrid into an environment of its own "
                "(python -m venv, pip install labgrid) and put it on PATH, or name it in PLUGBENCH_LABGRID"
            )
        try:
            run = subprocess.run(  # noqa: S603 - labgrid-client, with a checked name
                [program, "-x", self.coordinator, "-p", self.name, command],
                capture_output=True,
                text=True,
                timeout=PATIENCE_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise RigError(f"labgrid place {self.name}: {program} failed: {error}") from error
        if run.returncode:
            said = (run.stderr or run.stdout).strip().splitlines()
            raise RigError(f"labgrid place {self.name} at {self.coordinator}: {said[-1] if said else 'no answer'}")
        return run.stdout


def me() -> str:
    """Who we are to labgrid."""
    user = os.environ.get("LG_USERNAME") or getpass.getuser()
    return f"{os.environ.get('LG_HOSTNAME') or socket.gethostname()}/{user}"
