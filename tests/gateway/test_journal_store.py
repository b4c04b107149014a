"""The journal's file: append-only, versioned, sound or refused."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from gateway.journal_check import DamagedJournalError, check_journal
from gateway.journal_entry import Entry, JournalError, JournalNotBegunError, Signed, Stream
from gateway.journal_store import JournalStore
from ocmf.payload import payload_hash
from ports.errors import LocalError
from tests.gateway.doubles import KeySigner, draft, open_journal


async def written(folder: Path, records: int = 3) -> Path:
    journal = await open_journal(folder, KeySigner())
    for _ in range(records):
        await (await journal.store(draft())).signed
    await journal.close()
    return folder / "journal.db"


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE intent SET payload = x'00' WHERE seq = 1",
        "DELETE FROM intent WHERE seq = 3",
        "DELETE FROM signature",
        "UPDATE signature SET section = '{}'",
        "INSERT OR REPLACE INTO signature VALUES (1, 'k', 's')",
        "INSERT OR REPLACE INTO intent SELECT * FROM intent WHERE seq = 1",
        "REPLACE INTO intent SELECT 99, gateway, meter, context, number, kind, '', '', '', 0, '', '', x'' FROM intent",
    ],
)
async def test_rows_are_neither_changed_nor_removed(tmp_path: Path, statement: str) -> None:
    path = await written(tmp_path)
    connection = sqlite3.connect(path)
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        connection.execute(statement)
    connection.close()
    with JournalStore.open_read_only(path) as store:
        assert check_journal(store).records == 3


@pytest.mark.parametrize(
    ("statement", "finding"),
    [
        (
            "UPDATE intent SET payload = cast(replace(payload, 'METER1', 'METER9') AS BLOB) WHERE seq = 2",
            "the payload was changed",
        ),
        ("DELETE FROM intent WHERE seq = 2", "page T3 .*follows T1"),
        ("DELETE FROM intent WHERE seq = 1", "page T2 .*follows T0"),
        ("UPDATE signature SET section = replace(section, 'SD\":\"30', 'SD\":\"31')", "SD is neither DER"),
        ("UPDATE intent SET number = 9 WHERE seq = 3", "PG is 'T3' in the signed payload, 'T9' in the journal"),
        ("UPDATE intent SET previous = 'ff' WHERE seq = 2", "hash of the payload before it does not fit"),
    ],
)
async def test_whoever_takes_the_triggers_away_is_found_out(tmp_path: Path, statement: str, finding: str) -> None:
    path = await written(tmp_path)
    connection = sqlite3.connect(path)
    for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        connection.execute(f"DROP TRIGGER {name}")
    connection.execute(statement)
    connection.commit()
    connection.close()
    with JournalStore.open_read_only(path) as store, pytest.raises(DamagedJournalError, match=finding):
        check_journal(store)


def test_files_that_are_no_journal_are_refused(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="there is no journal"):
        JournalStore.open_read_only(tmp_path / "missing.db")
    text = tmp_path / "text.db"
    text.write_text("this is not a database, and long enough to look like a file with a header of one hundred octets..")
    with pytest.raises(JournalError, match="not a sound journal"):
        JournalStore.open(text)
    with pytest.raises(JournalError, match="cannot open"):
        JournalStore.open(tmp_path / "no such folder" / "journal.db")
    newer = tmp_path / "newer.db"
    connection = sqlite3.connect(newer)
    connection.executescript("CREATE TABLE t (x); PRAGMA user_version = 99;")
    connection.close()
    for opens in (JournalStore.open, JournalStore.open_read_only):
        with pytest.raises(JournalError, match="schema version 99"):
            opens(newer)
    JournalStore.open(tmp_path / "new.db").close()  # no lock is left behind


def test_a_file_that_nobody_got_to_begin_is_begun_by_the_next_gateway(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    sqlite3.connect(path).execute("PRAGMA journal_mode = WAL").connection.close()
    with pytest.raises(JournalNotBegunError, match="holds nothing: the gateway that made it ended before it began"):
        JournalStore.open_read_only(path)
    JournalStore.open(path).close()
    JournalStore.open_read_only(path).close()


def test_an_entry_whose_id_is_not_its_hash_is_our_own_fault(tmp_path: Path) -> None:
    entry = Entry(1, Stream("g", "m"), "T", 1, "Fiscal", "", "", "", 0.0, "", "00", b"{}")
    with JournalStore.open(tmp_path / "j.db") as store, pytest.raises(LocalError, match="not the hash"):
        store.write([entry])


def test_a_batch_is_kept_whole_or_not_at_all(tmp_path: Path) -> None:
    entry = Entry(1, Stream("g", "m"), "T", 1, "Fiscal", "", "", "", 0.0, "", payload_hash(b"{}"), b"{}")
    with JournalStore.open(tmp_path / "j.db") as store:
        with pytest.raises(JournalError):
            store.write([entry], [Signed(7, "k", "s")])  # a signature without an intent
        assert list(store.entries()) == []
        store.write([entry], [Signed(1, "k", "s")])
        with pytest.raises(JournalError, match="no entry 2"):
            store.entry(2)
        assert store.last_key() == "k"
