"""Tables of the journal: append-only by triggers, with a version."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from gateway.journal_entry import JournalError, JournalNotBegunError

VERSION = 2

_TABLES = ("intent", "signature", "delivery", "receipt")

_SCHEMA = """
CREATE TABLE intent (
    seq INTEGER PRIMARY KEY,
    gateway TEXT NOT NULL,
    meter TEXT NOT NULL,
    context TEXT NOT NULL CHECK (context IN ('T', 'F')),
    number INTEGER NOT NULL CHECK (number > 0),
    kind TEXT NOT NULL,
    transaction_id TEXT NOT NULL,
    connector TEXT NOT NULL,
    boot_id TEXT NOT NULL,
    boottime REAL NOT NULL,
    previous TEXT NOT NULL,
    record_id TEXT NOT NULL,
    payload BLOB NOT NULL,
    UNIQUE (gateway, meter, context, number)
) STRICT;
CREATE INDEX intent_transaction ON intent (transaction_id);
CREATE TABLE signature (
    seq INTEGER PRIMARY KEY REFERENCES intent (seq),
    public_key TEXT NOT NULL,
    section TEXT NOT NULL
) STRICT;
CREATE TABLE delivery (
    backend TEXT NOT NULL,
    seq INTEGER NOT NULL REFERENCES signature (seq),
    outcome TEXT NOT NULL CHECK (outcome IN ('stored', 'duplicate', 'refused')),
    detail TEXT NOT NULL,
    PRIMARY KEY (backend, seq)
) STRICT;
"""
# version 2: readings that vehicles have signed, each with the record that holds the reading
_RECEIPT = """
CREATE TABLE receipt (
    number INTEGER PRIMARY KEY,
    seq INTEGER NOT NULL REFERENCES signature (seq),
    session_id TEXT NOT NULL,
    boot_id TEXT NOT NULL,
    boottime REAL NOT NULL,
    exi BLOB NOT NULL,
    chain TEXT NOT NULL
) STRICT;
CREATE INDEX receipt_seq ON receipt (seq);
"""

# INSERT OR REPLACE deletes without firing delete triggers, therefore the third one.
_GUARD = """
CREATE TRIGGER {table}_keeps_{verb} BEFORE {verb} ON {table}
BEGIN SELECT RAISE(ABORT, 'the journal is append-only: no {verb} on {table}'); END;
"""
_NO_REPLACE = """
CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table}
WHEN EXISTS (SELECT 1 FROM {table} WHERE {same})
BEGIN SELECT RAISE(ABORT, 'the journal is append-only: this row of {table} exists'); END;
"""
_SAME = {
    "intent": "seq = NEW.seq OR (gateway = NEW.gateway AND meter = NEW.meter"
    " AND context = NEW.context AND number = NEW.number)",
    "signature": "seq = NEW.seq",
    "delivery": "backend = NEW.backend AND seq = NEW.seq",
    "receipt": "number = NEW.number",
}


def migrate(path: Path, connection: sqlite3.Connection) -> None:
    """Make the tables that are missing. Raises JournalError for a file of a version that is not known."""
    version = _version(connection)
    if version == 0 and not _has_tables(connection):
        connection.executescript(f"BEGIN;{_SCHEMA}{_RECEIPT}{_guards(_TABLES)}PRAGMA user_version = {VERSION};COMMIT;")
    elif version == 1:
        connection.executescript(f"BEGIN;{_RECEIPT}{_guards(('receipt',))}PRAGMA user_version = {VERSION};COMMIT;")
    check_version(path, connection)


def check_version(path: Path, connection: sqlite3.Connection) -> None:
    """Raises JournalError for a file of a version that is not known; 1 can be read as it is."""
    version = _version(connection)
    if version == 0 and not _has_tables(connection):
        raise JournalNotBegunError(
            f"{path} holds nothing: the gateway that made it ended before it began; start it again"
        )
    if version not in (1, VERSION):
        raise JournalError(
            f"{path} has schema version {version}, this program knows {VERSION}; "
            "use the program that wrote it, or another file"
        )


def keeps_receipts(connection: sqlite3.Connection) -> bool:
    """Whether the file has a place for them."""
    return _version(connection) == VERSION


def _has_tables(connection: sqlite3.Connection) -> bool:
    return bool(connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _guards(tables: tuple[str, ...]) -> str:
    return "".join(
        [_GUARD.format(table=table, verb=verb) for table in tables for verb in ("UPDATE", "DELETE")]
        + [_NO_REPLACE.format(table=table, same=_SAME[table]) for table in tables]
    )
