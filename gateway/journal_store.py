"""The journal's file: append-only SQLite tables, held by one process.

Synchronous; `gateway.journal` calls it from one worker thread.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import IO, Self

from gateway.journal_entry import Delivery, Entry, Head, JournalError, JournalFullError, Signed, Stream
from gateway.journal_file import hold, make_reserve, release_reserve
from gateway.journal_schema import check_version, keeps_receipts, migrate
from gateway.receipt import Receipt
from ocmf.payload import payload_hash
from ports.errors import LocalError

_COLUMNS = (
    "i.seq, i.gateway, i.meter, i.context, i.number, i.kind, i.transaction_id, i.connector, i.boot_id, i.boottime,"
    " i.previous, i.record_id, i.payload, coalesce(s.section, ''), coalesce(s.public_key, '')"
)
_FROM = "FROM intent i LEFT JOIN signature s ON s.seq = i.seq"


ROWS_PER_STATEMENT = 256

# 16 MiB of log between copies into the file: pages that many commits touch are copied once
PRAGMAS: Mapping[str, int] = MappingProxyType({"wal_autocheckpoint": 4096})


class JournalStore:
    """The file. Made with `open` (one writer) or `open_read_only` (any number of readers)."""

    def __init__(self, path: Path, connection: sqlite3.Connection, lock: IO[str] | None) -> None:
        self.path = path
        self._connection = connection
        self._lock = lock

    @classmethod
    def open(cls, path: Path, pragmas: Mapping[str, int] = PRAGMAS) -> Self:
        """Open for writing, create when missing. Raises JournalError: held by another process, damaged, too new.

        pragmas: of SQLite, which trade memory for speed; durability is not among them.
        """
        lock = hold(path)
        try:
            make_reserve(path)
            connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            try:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = FULL")
                connection.execute("PRAGMA foreign_keys = ON")
                for name, value in pragmas.items():
                    connection.execute(f"PRAGMA {name} = {value}")
                migrate(path, connection)
            except BaseException:
                connection.close()
                raise
        except sqlite3.Error as error:
            lock.close()
            raise _translate(path, error) from error
        except BaseException:
            lock.close()
            raise
        return cls(path, connection, lock)

    @classmethod
    def open_read_only(cls, path: Path) -> Self:
        """Open beside a running gateway, or after it. Raises JournalError: missing, damaged, too new."""
        if not path.is_file():
            raise JournalError(f"there is no journal at {path}; name the file that the gateway wrote")
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None)
        try:
            check_version(path, connection)
        except sqlite3.Error as error:
            connection.close()
            raise _translate(path, error) from error
        except BaseException:
            connection.close()
            raise
        return cls(path, connection, None)

    def close(self) -> None:
        """Release file and lock; harmless when closed."""
        self._connection.close()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(
        self, intents: Sequence[Entry] = (), signatures: Sequence[Signed] = (), deliveries: Sequence[Delivery] = ()
    ) -> None:
        """Commit all of it or nothing. Raises JournalFullError, JournalError."""
        try:
            self._write(intents, signatures, deliveries)
        except JournalFullError:
            if not release_reserve(self.path):
                raise
            self._write(intents, signatures, deliveries)

    def _write(self, intents: Sequence[Entry], signatures: Sequence[Signed], deliveries: Sequence[Delivery]) -> None:
        inserts: list[tuple[str, Sequence[tuple[object, ...]]]] = [
            ("intent", [_intent_row(entry) for entry in intents]),
            ("signature", [(signed.seq, signed.public_key, signed.section) for signed in signatures]),
            ("delivery", deliveries),
        ]
        statements = [
            (table, rows[first : first + ROWS_PER_STATEMENT])
            for table, rows in inserts
            for first in range(0, len(rows), ROWS_PER_STATEMENT)
        ]
        with self._errors():
            if len(statements) == 1:  # a transaction of its own
                self._insert(*statements[0])
                return
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                for table, rows in statements:
                    self._insert(table, rows)
                self._connection.execute("COMMIT")
            except sqlite3.Error:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def _insert(self, table: str, rows: Sequence[tuple[object, ...]]) -> None:
        """All rows in one statement: every statement gives the interpreter's lock away and has to get it back."""
        places = ",".join(["(" + ",".join("?" * len(rows[0])) + ")"] * len(rows))
        statement = f"INSERT INTO {table} VALUES {places}"  # noqa: S608 - table is one of our three literals
        self._connection.execute(statement, [value for row in rows for value in row])

    def heads(self) -> dict[Stream, Head]:
        """The end of every stream."""
        with self._errors():
            last = self._connection.execute(
                "SELECT gateway, meter, record_id, max(seq) FROM intent GROUP BY gateway, meter"
            ).fetchall()
            pages = self._connection.execute(
                "SELECT gateway, meter, context, max(number) FROM intent GROUP BY gateway, meter, context"
            ).fetchall()
        numbers: dict[Stream, dict[str, int]] = {}
        for gateway, meter, context, number in pages:
            numbers.setdefault(Stream(gateway, meter), {})[context] = number
        return {
            Stream(gateway, meter): Head(record_id, numbers[Stream(gateway, meter)])
            for gateway, meter, record_id, _ in last
        }

    def last_seq(self) -> int:
        """The newest entry's place; 0 in an empty journal."""
        with self._errors():
            row = self._connection.execute("SELECT coalesce(max(seq), 0) FROM intent").fetchone()
        return int(row[0])

    def last_key(self) -> str:
        """The public key (DER in hex) of the newest signature; "" in an empty journal."""
        with self._errors():
            row = self._connection.execute("SELECT public_key FROM signature ORDER BY seq DESC LIMIT 1").fetchone()
        return "" if row is None else str(row[0])

    def entries(self, transaction_id: str | None = None) -> Iterator[Entry]:
        """Every entry in order, or those of one transaction."""
        where = "" if transaction_id is None else "WHERE i.transaction_id = ?"
        parameters = () if transaction_id is None else (transaction_id,)
        yield from self._select(f"{where} ORDER BY i.seq", parameters)

    def entry(self, seq: int) -> Entry:
        """One entry. Raises JournalError when there is none."""
        for entry in self._select("WHERE i.seq = ?", (seq,)):
            return entry
        raise JournalError(f"{self.path} has no entry {seq}")

    def unsigned(self) -> list[Entry]:
        """Intents without a signature, in order."""
        return list(self._select("WHERE s.seq IS NULL ORDER BY i.seq"))

    def open_transactions(self) -> list[Entry]:
        """The begin records of transactions that have no end record."""
        return list(
            self._select(
                "WHERE i.kind = 'Transaction.Begin' AND NOT EXISTS (SELECT 1 FROM intent e WHERE e.kind ="
                " 'Transaction.End' AND e.transaction_id = i.transaction_id) ORDER BY i.seq"
            )
        )

    def undelivered(self, backend: str) -> list[tuple[int, str]]:
        """(seq, transaction_id) of signed records that the backend has not answered for good, in order."""
        with self._errors():
            return self._connection.execute(
                "SELECT s.seq, i.transaction_id FROM signature s JOIN intent i ON i.seq = s.seq WHERE NOT EXISTS"
                " (SELECT 1 FROM delivery d WHERE d.backend = ? AND d.seq = s.seq) ORDER BY s.seq",
                (backend,),
            ).fetchall()

    def deliveries(self) -> list[Delivery]:
        """Every final answer of every backend, by backend and entry."""
        with self._errors():
            rows = self._connection.execute(
                "SELECT backend, seq, outcome, detail FROM delivery ORDER BY backend, seq"
            ).fetchall()
        return [Delivery(*row) for row in rows]

    def keep_receipt(self, receipt: Receipt) -> None:
        """Commit it. Raises JournalFullError, JournalError: also when its record is not signed."""
        chain = json.dumps([one.hex() for one in receipt.certificates])
        row = (receipt.seq, receipt.session_id.hex(), receipt.boot_id, receipt.boottime, receipt.exi, chain)
        with self._errors():
            self._connection.execute(
                "INSERT INTO receipt (seq, session_id, boot_id, boottime, exi, chain) VALUES (?, ?, ?, ?, ?, ?)", row
            )

    def receipts(self, transaction_id: str | None = None) -> list[Receipt]:
        """Every receipt in order, or those of one transaction, each with its record."""
        if not keeps_receipts(self._connection):
            return []
        with self._errors():
            rows = self._connection.execute(
                "SELECT r.seq, r.session_id, r.exi, r.chain, r.boot_id, r.boottime FROM receipt r"
                " JOIN intent i ON i.seq = r.seq WHERE ?1 IS NULL OR i.transaction_id = ?1 ORDER BY r.number",
                (transaction_id,),
            ).fetchall()
        return [
            Receipt(
                seq,
                bytes.fromhex(session_id),
                exi,
                tuple(bytes.fromhex(one) for one in json.loads(chain)),
                boot_id,
                boottime,
                self.entry(seq).record(),
            )
            for seq, session_id, exi, chain, boot_id, boottime in rows
        ]

    def file_findings(self) -> list[str]:
        """What SQLite itself finds wrong with the file; empty when sound."""
        with self._errors():
            rows = self._connection.execute("PRAGMA integrity_check").fetchall()
        return [str(row[0]) for row in rows if row[0] != "ok"]

    def _select(self, tail: str, parameters: tuple[object, ...] = ()) -> Iterator[Entry]:
        with self._errors():
            # _COLUMNS, _FROM and tail are literals of this module
            for row in self._connection.execute(f"SELECT {_COLUMNS} {_FROM} {tail}", parameters):
                yield _entry(row)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise _translate(self.path, error) from error


def _intent_row(entry: Entry) -> tuple[object, ...]:
    if payload_hash(entry.payload) != entry.record_id:
        raise LocalError(f"page {entry.page}: the record id is not the hash of the payload")
    return (
        entry.seq,
        entry.stream.gateway,
        entry.stream.meter,
        entry.context,
        entry.number,
        entry.kind,
        entry.transaction_id,
        entry.connector,
        entry.boot_id,
        entry.boottime,
        entry.previous,
        entry.record_id,
        entry.payload,
    )


def _entry(row: tuple[int, str, str, str, int, str, str, str, str, float, str, str, bytes, str, str]) -> Entry:
    seq, gateway, meter, *rest = row
    return Entry(seq, Stream(gateway, meter), *rest)  # type: ignore[arg-type]  # a slice loses the types


def _translate(path: Path, error: sqlite3.Error) -> JournalError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}:
        return JournalFullError(f"journal {path} cannot grow ({error}); nothing was kept: free disk space, then go on")
    if code == sqlite3.SQLITE_READONLY:
        return JournalFullError(f"journal {path} is read-only ({error}); nothing was kept: remount it writable")
    if code in {sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT}:
        return JournalError(f"{path} is not a sound journal ({error}); keep it as evidence and restore a copy")
    return JournalError(f"journal {path}: {error}")
