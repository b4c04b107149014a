"""One database, SQLite or PostgreSQL: work runs as plain functions over a connection, off the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import functools
import os
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, OperationalError

from backends.store.ids import OPTION, SYSTEM
from backends.store.migrate import migrate
from ports.clock import Clock
from ports.errors import LocalError, RigError

T = TypeVar("T")
Work = Callable[[sa.Connection], T]

POSTGRES_WORKERS = 4
RETRIES = 5
# 40001 serialization failure, 40P01 deadlock: the standard's own "do it again" (PostgreSQL manual, appendix A)
RETRY_SQLSTATES = frozenset({"40001", "40P01"})


class StoreError(RigError):
    """The database is not usable: says which and why."""


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # transactions begin where _begin_sqlite says, not at the first write
    for pragma in ("busy_timeout=10000", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: sa.Connection) -> None:
    # IMMEDIATE: a writer waits at its begin instead of failing in the middle
    writes = connection.get_execution_options().get("writes", True)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _engine(url: sa.URL) -> sa.Engine:
    if url.get_backend_name() == "sqlite":
        engine = sa.create_engine(url, connect_args={"check_same_thread": False}, pool_size=4)
        sa.event.listen(engine, "connect", _prepare_sqlite)
        sa.event.listen(engine, "begin", _begin_sqlite)
        return engine
    return sa.create_engine(url, pool_size=POSTGRES_WORKERS, max_overflow=0, pool_pre_ping=True)


class Database:
    """Runs work in transactions. Reads and writes never block the event loop, and virtual time waits for them."""

    def __init__(self, url: str, clock: Clock, prepare: Work[None] = migrate, *, random: Random = SYSTEM) -> None:
        """url: SQLAlchemy URL, "sqlite:///file.db" or "postgresql+psycopg://...".

        prepare: makes or renews the tables within one transaction; the pools' migrations by default.
        random: of the ids of what is written. Raises StoreError.
        """
        self._looker: sa.Connection | None = None
        self._clock = clock
        self._url = sa.make_url(url)
        self.is_sqlite = self._url.get_backend_name() == "sqlite"
        if self.is_sqlite and self._url.database:
            Path(self._url.database).parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(self._url.database, os.O_CREAT | os.O_RDWR, 0o600))
        self._engine = _engine(self._url).execution_options(**{OPTION: random})
        # SQLite has one writer at a time: queueing here is fairer and cheaper than its busy loop.
        self._writers = ThreadPoolExecutor(1 if self.is_sqlite else POSTGRES_WORKERS, thread_name_prefix="store-write")
        self._readers = ThreadPoolExecutor(2, thread_name_prefix="store-read") if self.is_sqlite else self._writers
        try:
            with self._alone(), self._engine.begin() as connection:
                prepare(connection)
        except DBAPIError as error:
            raise StoreError(f"database {self._url!r}: {error.orig}") from error  # repr hides the password

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Nobody else opens the same SQLite file meanwhile: its change to WAL does not wait for others, it fails."""
        if not self.is_sqlite or not self._url.database:
            yield
            return
        handle = os.open(f"{self._url.database}.opening", os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    async def read(self, work: Work[T]) -> T:
        """Run `work` in a read transaction; returns what it returns."""
        return await self._run(self._readers, work, writes=False)

    async def look_up(self, work: Work[T]) -> T:
        """As `read`, for a few look-ups by key: SQLite answers them faster than another thread could be asked."""
        if self.is_sqlite:
            return self._look(work)
        return await self.read(work)

    def _look(self, work: Work[T]) -> T:
        """In a connection that stays open: to take one from the pool costs as much as the look-up itself."""
        if self._looker is None:
            self._looker = self._engine.connect().execution_options(writes=False)
        try:
            with self._looker.begin():
                return work(self._looker)
        except OperationalError as error:
            raise StoreError(f"database {self._url!r}: {error.orig}") from error

    def version(self) -> int | None:
        """A number that changes with every commit of anybody; None where that cannot be known cheaply (PostgreSQL)."""
        if not self.is_sqlite or self._looker is None:
            return None
        number: int | None = self._looker.connection.cursor().execute("PRAGMA data_version").fetchone()[0]
        return number

    async def write(self, work: Work[T]) -> T:
        """Run `work` in a transaction that commits when it returns and rolls back when it raises.

        It may run again from the start when PostgreSQL asks for that, so it must have no effect but on the database.
        """
        return await self._run(self._writers, work, writes=True)

    async def _run(self, executor: ThreadPoolExecutor, work: Work[T], *, writes: bool) -> T:
        with self._clock.hold():
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(executor, functools.partial(self._transaction, work, writes))

    def _transaction(self, work: Work[T], writes: bool) -> T:
        for attempt in range(1, RETRIES + 1):
            try:
                with self._engine.connect() as connection:
                    with connection.execution_options(writes=writes).begin():
                        return work(connection)
            except OperationalError as error:
                if attempt == RETRIES or getattr(error.orig, "sqlstate", None) not in RETRY_SQLSTATES:
                    raise StoreError(f"database {self._url!r}: {error.orig}") from error
        raise LocalError("unreachable: the last attempt returns or raises")

    async def close(self) -> None:
        """Wait for running work and close; harmless when closed."""
        loop = asyncio.get_running_loop()
        if self._looker is not None:
            self._looker.close()
            self._looker = None
        with self._clock.hold():
            for executor in {self._writers, self._readers}:
                await loop.run_in_executor(None, executor.shutdown)
            await loop.run_in_executor(None, self._engine.dispose)
