"""kill -9 at random points of sessions: no page missing or used twice, nothing signed lost, one effect per record.

A failing campaign prints its seed; SOAK_SEED=<seed> plays the same kills again, SOAK_KILLS sets how many.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from gateway.journal_check import check_journal
from gateway.journal_entry import JournalNotBegunError
from gateway.journal_store import JournalStore
from hsm.file_signer import make_key_file
from ocmf.curves import CURVES
from ocmf.transaction import TransactionStatus, judge_transaction
from ocmf.verify import verify_record

REPOSITORY = Path(__file__).parents[2]
LONGEST_S = 0.5  # a gateway lives up to here: start, recovery, and several sessions
STEPS = ("write.before", "write.after", "sign.before", "sign.after")


@contextmanager
def process(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A helper of ours; ends with its standard input, or is killed."""
    helper = subprocess.Popen(
        [sys.executable, "-m", *arguments], cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield helper
        stdin(helper).close()
        assert helper.wait(20) == 0
    finally:
        helper.kill()
        helper.wait()
        for pipe in (helper.stdin, helper.stdout):
            if pipe is not None:
                pipe.close()


def stdin(helper: subprocess.Popen[str]) -> IO[str]:
    assert helper.stdin is not None
    return helper.stdin


def read_line(helper: subprocess.Popen[str]) -> str:
    assert helper.stdout is not None
    line = helper.stdout.readline()
    assert line, "the helper ended early"
    return line.strip()


class Campaign:
    """Many short lives of one gateway on one journal, towards one backend."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.dice = random.Random(seed)
        self.interrupted: set[str] = set()
        make_key_file(folder / "key.pem", CURVES["secp256r1"])

    def run(self, lives: int, crash_points: tuple[str, ...] = ()) -> None:
        """So many lives, each killed at a random moment, then one for each crash point, then one that ends well."""
        with (
            process("tests.gateway.kill_backend", str(self.folder), str(self.dice.getrandbits(32))) as backend,
            process("tests.gateway.kill_gateway") as gateways,
        ):
            url = read_line(backend)
            for _ in range(lives):
                pid = self._begin(gateways, url)
                time.sleep(self.dice.uniform(0.0, LONGEST_S))  # the random moment
                os.kill(pid, signal.SIGKILL)
                assert int(read_line(gateways)) == signal.SIGKILL
                self._look()
            for where in crash_points:
                self._begin(gateways, url, crash_at=where)
                assert int(read_line(gateways)) == signal.SIGKILL, where
                self._look()
            self._begin(gateways, url, finish=True)
            assert int(read_line(gateways)) == 0

    def _begin(self, gateways: subprocess.Popen[str], url: str, *, crash_at: str = "", finish: bool = False) -> int:
        config = {"folder": str(self.folder), "url": url, "seed": self.dice.getrandbits(32)}
        stdin(gateways).write(json.dumps(config | {"crash_at": crash_at, "finish": finish}) + "\n")
        stdin(gateways).flush()
        return int(read_line(gateways))

    def _look(self) -> None:
        """After each death the journal is whole, and whatever was signed stands in it."""
        if not (self.folder / "journal.db").exists():
            return
        try:
            with JournalStore.open_read_only(self.folder / "journal.db") as store:
                summary = check_journal(store)
                kept = {entry.record_id for entry in store.entries()}
        except JournalNotBegunError:
            assert not self.signed()
            return
        assert self.signed() <= kept
        self.interrupted |= set(summary.open_transactions)

    def signed(self) -> set[str]:
        """Record ids that the key has signed, as it noted itself."""
        notes = self.folder / "signed.txt"
        return set(notes.read_text().split()) if notes.exists() else set()

    def check(self) -> int:
        """The promises, after the last life; returns how many records there are."""
        with JournalStore.open_read_only(self.folder / "journal.db") as store:
            summary = check_journal(store)  # pages without gap, chain, signatures
            entries = list(store.entries())
            deliveries = store.deliveries()
        assert (summary.unsigned, summary.open_transactions) == (0, ())
        assert self.signed() == {entry.record_id for entry in entries}
        assert {row.outcome for row in deliveries} <= {"stored", "duplicate"}
        assert [row.seq for row in deliveries] == [entry.seq for entry in entries]

        transactions: dict[str, list[int]] = {}
        for index, entry in enumerate(entries):
            transactions.setdefault(entry.transaction_id, []).append(index)
        for name, places in transactions.items():
            mine = [entries[index] for index in places]
            verdict = judge_transaction(
                [verify_record(entry.record().ocmf, entry.public_key) for entry in mine],
                contexts=[entry.kind for entry in mine],
            )
            assert verdict.status is TransactionStatus.OK, (name, verdict.findings)
            assert verdict.end is not None
            assert (verdict.end.reading.tx == "P") == (name in self.interrupted), name

        with sqlite3.connect(self.folder / "cpo.db") as backend:
            rows = backend.execute("SELECT record_id, ocmf FROM cpo_records ORDER BY seq").fetchall()
            incidents = backend.execute("SELECT count(*) FROM cpo_incidents").fetchone()[0]
        backend.close()
        assert sorted(rows) == sorted((entry.record_id, entry.record().ocmf) for entry in entries)
        assert incidents == 0
        order = {record_id: place for place, (record_id, _) in enumerate(rows)}
        for places in transactions.values():
            arrived = [order[entries[index].record_id] for index in places]
            assert arrived == sorted(arrived)
        return len(entries)


def play(folder: Path, lives: int, crash_points: tuple[str, ...] = ()) -> None:
    seed = int(os.environ.get("SOAK_SEED", random.SystemRandom().getrandbits(32)))
    sys.stdout.write(f"kill campaign: SOAK_SEED={seed} SOAK_KILLS={lives}\n")
    campaign = Campaign(folder, seed)
    campaign.run(lives, crash_points)
    records = campaign.check()
    kills, closed = lives + len(crash_points), len(campaign.interrupted)
    sys.stdout.write(f"{kills} kills, {closed} open transactions closed, {records} records\n")


def test_six_kills_lose_nothing(tmp_path: Path) -> None:
    play(tmp_path, 6)


def test_a_death_around_every_early_step_loses_nothing(tmp_path: Path) -> None:
    play(tmp_path, 0, tuple(f"{step}:{count}" for count in (1, 3) for step in STEPS))


@pytest.mark.soak
def test_many_kills_lose_nothing(tmp_path: Path) -> None:
    play(tmp_path, int(os.environ.get("SOAK_KILLS", "200")))


@pytest.mark.soak
def test_a_death_around_every_step_of_many_sessions_loses_nothing(tmp_path: Path) -> None:
    play(tmp_path, 0, tuple(f"{step}:{count}" for count in range(1, 25) for step in STEPS))


def test_the_check_of_the_campaign_sees_what_it_is_there_for(tmp_path: Path) -> None:
    campaign = Campaign(tmp_path, 1)
    campaign.run(0, ("write.after:9",))
    campaign.check()
    interrupted = set(campaign.interrupted)
    assert interrupted
    campaign.interrupted.clear()
    with pytest.raises(AssertionError):
        campaign.check()
    campaign.interrupted = interrupted
    with (tmp_path / "signed.txt").open("a") as notes:
        notes.write("0" * 64 + "\n")
    with pytest.raises(AssertionError):
        campaign.check()
    notes_path = tmp_path / "signed.txt"
    notes_path.write_text(notes_path.read_text().replace("0" * 64 + "\n", ""))
    with sqlite3.connect(tmp_path / "cpo.db") as backend:
        backend.execute("DELETE FROM cpo_records WHERE seq = 1")
    backend.close()
    with pytest.raises(AssertionError):
        campaign.check()
