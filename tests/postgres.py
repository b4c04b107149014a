"""A real PostgreSQL server for tests: started on a private socket as an unprivileged user, gone with the session."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa

from backends.store.schema import METADATA

VERSIONS = Path("/usr/lib/postgresql")  # Debian keeps the server's programs off the PATH
READY = b"database system is ready to accept connections"


def server_programs() -> Path | None:
    """Folder of initdb and postgres, newest version first; None when PostgreSQL is not installed."""
    found = sorted(VERSIONS.glob("*/bin/postgres"), key=lambda path: float(path.parts[-3]))
    return found[-1].parent if found else None


def empty(url: str) -> None:
    """Remove every row of the pools' tables."""
    tables = ", ".join(METADATA.tables)
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.execute(sa.text(f"TRUNCATE {tables} RESTART IDENTITY"))
    engine.dispose()


def as_it_is(_connection: sa.Connection) -> None:
    """For `Database(prepare=...)`: the schema is there already."""


class PostgresServer:
    """A running server."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._admin = sa.create_engine(self.url("postgres"), isolation_level="AUTOCOMMIT")

    def url(self, database: str) -> str:
        """SQLAlchemy URL of one database."""
        return f"postgresql+psycopg://postgres@/{database}?host={self._socket}"

    def new_database(self) -> str:
        """Make an empty database; returns its name."""
        name = f"test_{next(self._numbers)}"
        with self._admin.connect() as connection:
            connection.execute(sa.text(f"CREATE DATABASE {name}"))
        return name

    def close(self) -> None:
        """Close our own connections."""
        self._admin.dispose()


@contextmanager
def running_postgres(programs: Path) -> Iterator[PostgresServer]:
    """Make a cluster and run it; without fsync, it is thrown away."""
    folder = Path(tempfile.mkdtemp(prefix="plugbench-pg-"))
    as_user: list[str] = []
    if os.geteuid() == 0:  # the server refuses to run as root
        names = {entry.pw_name for entry in pwd.getpwall()}
        user = pwd.getpwnam("postgres" if "postgres" in names else "nobody")
        os.chown(folder, user.pw_uid, user.pw_gid)
        as_user = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
        as_user += ["--pdeathsig", "QUIT"]
    data = folder / "data"
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "HOME": str(folder)}
    initdb = [programs / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8"]
    settings = ["fsync=off", "full_page_writes=off", "synchronous_commit=off", "max_connections=60"]
    options = [word for setting in (*settings, "listen_addresses=") for word in ("-c", setting)]
    try:
        subprocess.run([*as_user, *initdb], check=True, capture_output=True, env=environment, cwd=folder)
        process = subprocess.Popen(
            [*as_user, programs / "postgres", "-D", data, "-k", folder, *options],
            stderr=subprocess.PIPE,
            env=environment,
            cwd=folder,
        )
        assert process.stderr is not None
        with process.stderr as log:
            lines = []
            for line in log:
                lines.append(line)
                if READY in line:
                    break
            else:
                raise RuntimeError(b"".join(lines).decode(errors="replace"))
            drain = threading.Thread(target=log.read, daemon=True)
            drain.start()
            server = PostgresServer(folder)
            try:
                yield server
            finally:
                server.close()
                process.terminate()
                process.wait(30)
                drain.join(30)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
