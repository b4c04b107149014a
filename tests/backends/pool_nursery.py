"""A process that has imported the pools once and forks a server for every life: a server is up in a tenth of a second.

`python tests/backends/pool_nursery.py` reads orders as lines of JSON: {"argv": [...], "dies_at": n}; dies_at: the
server kills itself (-9) just before its n-th step of writing, a statement or a commit; 0 = it does not.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

DEAD = "dead\n"
ROOT = Path(__file__).resolve().parents[2]


class Nursery:
    """The parent of servers that live one after the other."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
        )

    @contextmanager
    def server(self, argv: Sequence[str], dies_at: int = 0) -> Iterator[tuple[int, str]]:
        """A server with these arguments of `plugbench`: (process id, URL, "" = it died at its start).

        It is dead afterwards.
        """
        order, answers = self._process.stdin, self._process.stdout
        assert order is not None
        assert answers is not None
        order.write(json.dumps({"argv": list(argv), "dies_at": dies_at}) + "\n")
        order.flush()
        number, said = int(answers.readline()), answers.readline()
        try:
            yield number, json.loads(said)["url"] if said != DEAD else ""
        finally:
            kill(number)  # it may be dead, but nobody has collected it: no other process has its number
            assert said == DEAD or answers.readline() == DEAD
            order.write("collect\n")
            order.flush()

    def close(self) -> None:
        """End the parent."""
        self._process.kill()
        with self._process:
            pass


def kill(number: int) -> None:
    """-9."""
    os.kill(number, signal.SIGKILL)


def _die_at(step: int) -> None:
    """Steps are counted where they happen, in SQLAlchemy; the first ones are those of the server's start."""
    import sqlalchemy as sa

    left = step

    def count() -> None:
        nonlocal left
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)

    def statement(_connection: Any, _cursor: Any, text: str, *_: Any) -> None:
        if text.startswith(("INSERT", "UPDATE", "DELETE")):
            count()

    def commit(connection: Any) -> None:
        if connection.get_execution_options().get("writes", True):
            count()

    sa.event.listen(sa.Engine, "before_cursor_execute", statement)
    sa.event.listen(sa.Engine, "commit", commit)


def _warm_up() -> None:
    """What every server would do first: imports on demand, tables of asn1crypto. It leaves no thread behind."""
    from backends.pools.certificates import Chain, path_to_root
    from backends.pools.editions import ISO2
    from backends.pools.installation import InstallationRequest, refusal
    from backends.refusals import Refusal, Refused
    from tests.backends.chains import NOW, tree, vehicle
    from v2g.certificate_profiles import Role
    from v2g.certificates import load
    from v2g.exi.codec import decode

    made = tree()
    sub_cas = (load(made.sub_2.der), load(made.sub_1.der))
    leaf = load(vehicle(made, "PLBPROVCERT000001"))
    path_to_root(Chain(leaf, sub_cas, Role.OEM_PROVISIONING, "warm-up"), [load(made.root.der)], NOW)
    request = InstallationRequest(ISO2, None, bytes(8), b"", (), ())
    decode("iso2", refusal(request, Refused(Refusal.CHAIN), 0))


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _serve() -> None:
    sys.path.insert(0, str(ROOT))
    import backends.bring_up  # noqa: F401 - imported before the fork
    import hil_rigs.real_clock  # noqa: F401
    import plugbench.backends  # noqa: F401
    from plugbench.__main__ import main

    _warm_up()

    while line := sys.stdin.readline():
        order = json.loads(line)
        number = os.fork()
        if not number:
            _say(str(os.getpid()))
            if order["dies_at"]:
                _die_at(order["dies_at"])
            os._exit(main(order["argv"]))
        os.waitid(os.P_PID, number, os.WEXITED | os.WNOWAIT)
        _say(DEAD.strip())
        sys.stdin.readline()
        os.waitpid(number, 0)


if __name__ == "__main__":
    _serve()
