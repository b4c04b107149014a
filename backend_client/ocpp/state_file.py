"""What a link must remember over a restart: transactions of the CSMS, remote starts, and variables that it has set."""

from __future__ import annotations

import asyncio
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ports.errors import RigError

KEPT_ENDED = 500  # ended transactions that are remembered, for repeats after a crash
_SCHEMA = """
CREATE TABLE IF NOT EXISTS tx (
  id TEXT PRIMARY KEY, csms_id INTEGER, begin_ocmf TEXT NOT NULL, begin_key TEXT NOT NULL,
  remote_start_id INTEGER, key_record TEXT NOT NULL, ended INTEGER NOT NULL, deauthorised INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS remote_start (id_token TEXT PRIMARY KEY, number INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS variable (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


@dataclass(frozen=True, slots=True)
class KnownTransaction:
    """csms_id: of 1.6. begin_*: its first record. key_record: id of the first record that went out signed, and with
    the key; "" before. deauthorised: the CSMS refused its user afterwards."""

    id: str
    csms_id: int | None = None
    begin_ocmf: str = ""
    begin_key: str = ""
    remote_start_id: int | None = None
    key_record: str = ""
    ended: bool = False
    deauthorised: bool = False


class StateFile:
    """A small SQLite file, written before anything is acknowledged; all of it is in memory as well."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ocpp state")
        self._database: sqlite3.Connection | None = None
        self.transactions: dict[str, KnownTransaction] = {}
        self.remote_starts: dict[str, int] = {}
        self.variables: dict[str, str] = {}

    async def open(self) -> None:
        """Read it, or begin a new one. Raises RigError."""
        await self._do(self._open)

    async def keep(self, transaction: KnownTransaction) -> None:
        """Remember a transaction; returns when it is on the disk. Raises RigError."""
        if self.transactions.get(transaction.id) == transaction:
            return
        values = tuple(getattr(transaction, name) for name in KnownTransaction.__slots__)
        await self._write("INSERT OR REPLACE INTO tx VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)
        self.transactions.pop(transaction.id, None)
        self.transactions[transaction.id] = transaction

    async def end(self, transaction: KnownTransaction) -> None:
        """It has ended; the oldest ended ones are forgotten. Raises RigError."""
        await self.keep(replace(transaction, ended=True))
        ended = [known.id for known in self.transactions.values() if known.ended]
        for id_ in ended[:-KEPT_ENDED]:
            await self._write("DELETE FROM tx WHERE id = ?", (id_,))
            del self.transactions[id_]

    async def deauthorise(self, id: str) -> None:  # noqa: A002 - as everywhere
        """The CSMS refused its user, which its end will say. Raises RigError."""
        known = self.transactions.get(id)
        if known is not None:
            await self.keep(replace(known, deauthorised=True))

    async def remember_start(self, id_token: str, number: int) -> None:
        """A remote start was accepted for this identification. Raises RigError."""
        await self._write("INSERT OR REPLACE INTO remote_start VALUES (?, ?)", (id_token, number))
        self.remote_starts[id_token] = number

    async def forget_start(self, id_token: str) -> None:
        """It has become a transaction. Raises RigError."""
        if self.remote_starts.pop(id_token, None) is not None:
            await self._write("DELETE FROM remote_start WHERE id_token = ?", (id_token,))

    async def set_variable(self, name: str, value: str) -> None:
        """A variable that the CSMS has set. Raises RigError."""
        await self._write("INSERT OR REPLACE INTO variable VALUES (?, ?)", (name, value))
        self.variables[name] = value

    async def close(self) -> None:
        """Harmless when closed."""
        if self._database is not None:
            await self._do(self._close)
        self._thread.shutdown()

    async def _write(self, statement: str, values: tuple[Any, ...]) -> None:
        def write() -> None:
            if self._database is None:
                raise RigError(f"OCPP state file {self._path} is closed")
            with self._database:
                self._database.execute(statement, values)

        await self._do(write)

    async def _do(self, work: Any) -> None:
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except (sqlite3.Error, OverflowError) as error:
            raise RigError(f"OCPP state file {self._path}: {error}") from error

    def _open(self) -> None:
        try:
            self._path.touch(mode=0o600)
        except OSError as error:
            raise RigError(f"OCPP state file {self._path}: {error}") from error
        self._database = sqlite3.connect(self._path, check_same_thread=False)
        self._database.executescript(f"PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; {_SCHEMA}")
        for row in self._database.execute("SELECT * FROM tx ORDER BY rowid"):
            ended, deauthorised = bool(row[6]), bool(row[7])
            known = KnownTransaction(row[0], row[1], row[2], row[3], row[4], row[5], ended, deauthorised)
            self.transactions[known.id] = known
        self.remote_starts = dict(self._database.execute("SELECT id_token, number FROM remote_start"))
        self.variables = dict(self._database.execute("SELECT name, value FROM variable"))

    def _close(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None
