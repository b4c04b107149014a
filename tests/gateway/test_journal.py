"""The journal: order of its steps, pages and chain, faults of token and disk, and what a crash leaves."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from gateway.journal import Draft, Journal, Place
from gateway.journal_check import check_journal
from gateway.journal_entry import Delivery, Entry, JournalError, JournalFullError, Signed, Stream
from gateway.journal_store import JournalStore
from ocmf.container import parse
from ocmf.stream import check_stream
from ocmf.verify import verify_record
from ports.errors import LocalError, RigError
from ports.trace import TraceEvent
from tests.gateway.doubles import STREAM, KeySigner, draft, open_journal, payload, wait_until


async def keep(journal: Journal, *drafts: Draft) -> list[Entry]:
    pending = [await journal.store(one) for one in drafts]
    return [await asyncio.shield(one.signed) for one in pending]


async def test_a_record_is_kept_then_signed_then_released(tmp_path: Path) -> None:
    signer = KeySigner()
    signer.away = True
    journal = await open_journal(tmp_path, signer)
    pending = await journal.store(draft())
    with JournalStore.open_read_only(tmp_path / "journal.db") as reader:
        (kept,) = reader.entries()
    assert not kept.is_signed
    assert kept.payload == pending.entry.payload
    with pytest.raises(JournalError, match=r"page T1 .* not signed"):
        kept.record()
    signer.away = False
    entry = await asyncio.shield(pending.signed)
    assert signer.messages == [kept.payload]
    assert verify_record(entry.record().ocmf, entry.public_key).record.payload == kept.payload
    await journal.close()


async def test_pages_count_per_context_and_the_chain_joins_both(tmp_path: Path) -> None:
    journal = await open_journal(tmp_path, KeySigner())
    released: list[Entry] = []
    journal.subscribe(released.append)
    other = Stream("GW1", "METER2")
    entries = await keep(journal, draft(), draft(context="F", kind="Fiscal"), draft(stream=other), draft())
    assert [entry.page for entry in entries] == ["T1", "F1", "T1", "T2"]
    assert [entry.previous for entry in entries] == ["", entries[0].record_id, "", entries[1].record_id]
    assert {entry.seq for entry in released} == {1, 2, 3, 4}
    records = [parse(entry.record().ocmf) for entry in entries]
    assert check_stream(records, from_start=True).require().findings == ()
    await journal.close()


async def test_pages_and_chain_go_on_after_a_restart(tmp_path: Path) -> None:
    signer = KeySigner()
    journal = await open_journal(tmp_path, signer)
    (first,) = await keep(journal, draft())
    await journal.close()
    journal = await open_journal(tmp_path, signer)
    (second,) = await keep(journal, draft())
    assert (second.page, second.previous) == ("T2", first.record_id)
    await journal.close()
    with JournalStore.open_read_only(tmp_path / "journal.db") as reader:
        assert check_journal(reader).records == 2


async def test_after_a_crash_the_same_payload_is_finished_before_anything_else(tmp_path: Path) -> None:
    signer = KeySigner()
    signer.away = True
    journal = await open_journal(tmp_path, signer)
    left = [await journal.store(draft()), await journal.store(draft("Transaction.End"))]
    await journal.close()

    signer.away = False
    journal = await open_journal(tmp_path, signer)
    (after,) = await keep(journal, draft())
    entries = await journal.entries()
    assert [entry.payload for entry in entries[:2]] == [pending.entry.payload for pending in left]
    assert signer.messages == [entry.payload for entry in entries]
    assert all(entry.is_signed for entry in entries)
    assert after.page == "T3"
    await journal.close()


async def test_a_payload_that_cannot_be_built_takes_no_page(tmp_path: Path) -> None:
    journal = await open_journal(tmp_path, KeySigner())

    def refuse(place: Place) -> bytes:
        raise LocalError(f"no reading for {place.page}")

    def fail(place: Place) -> bytes:
        raise KeyError(place.page)

    bad = [Draft(stream=STREAM, kind="Transaction.Begin", build=build) for build in (refuse, fail)]
    results = await asyncio.gather(*(journal.store(one) for one in (draft(), *bad, draft())), return_exceptions=True)
    assert [type(result).__name__ for result in results] == ["Pending", "LocalError", "KeyError", "Pending"]
    assert [entry.page for entry in await journal.entries()] == ["T1", "T2"]
    await journal.close()


async def test_a_cancelled_caller_leaves_a_whole_journal(tmp_path: Path) -> None:
    journal = await open_journal(tmp_path, KeySigner())
    task = asyncio.create_task(journal.store(draft()))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    (entry,) = await keep(journal, draft())
    assert entry.page == "T2"
    await journal.close()


async def test_records_under_way_share_commits(tmp_path: Path) -> None:
    commits = 0

    class Counting(JournalStore):
        def write(
            self,
            intents: Sequence[Entry] = (),
            signatures: Sequence[Signed] = (),
            deliveries: Sequence[Delivery] = (),
        ) -> None:
            nonlocal commits
            commits += 1
            super().write(intents, signatures, deliveries)

    journal = await open_journal(tmp_path, KeySigner(), open_store=Counting.open)
    streams = [Stream("GW1", f"M{number}") for number in range(16)]
    for _ in range(4):
        await asyncio.gather(*(keep(journal, draft(stream=stream)) for stream in streams))
    assert commits <= 2 * 4 * len(streams) / 8
    await journal.close()


async def test_a_subscriber_that_fails_harms_neither_the_record_nor_the_next_one(tmp_path: Path) -> None:
    faults: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context["exception"]))
    released: list[Entry] = []

    def fail(entry: Entry) -> None:
        raise RuntimeError(entry.page)

    journal = await open_journal(tmp_path, KeySigner())
    journal.subscribe(fail)
    journal.subscribe(released.append)
    entries = await keep(journal, draft(), draft())
    assert [entry.page for entry in entries] == ["T1", "T2"]
    assert [entry.page for entry in released] == ["T1", "T2"]
    assert [str(fault) for fault in faults] == ["T1", "T2"]
    await journal.close()


async def test_a_fault_of_ours_while_committing_reaches_everybody_who_waits(tmp_path: Path) -> None:
    class Broken(JournalStore):
        def write(
            self,
            intents: Sequence[Entry] = (),
            signatures: Sequence[Signed] = (),
            deliveries: Sequence[Delivery] = (),
        ) -> None:
            if signatures:
                raise RuntimeError("broken")
            super().write(intents, signatures, deliveries)

    journal = await open_journal(tmp_path, KeySigner(), open_store=Broken.open)
    pending = await asyncio.gather(journal.store(draft()), journal.store(draft()))
    late = asyncio.create_task(journal.store(draft()))
    for waiting in (*(one.signed for one in pending), late):
        with pytest.raises(RuntimeError, match="broken"):
            await waiting
    with pytest.raises(LocalError, match="is closed"):
        await journal.store(draft())
    with pytest.raises(RuntimeError, match="broken"):
        await journal.close()


async def test_a_token_that_hangs_for_some_does_not_keep_others_from_being_stored(tmp_path: Path) -> None:
    class Hanging(KeySigner):
        async def sign(self, message: bytes) -> bytes:
            if b"slow" in message:
                await released.wait()
            return await super().sign(message)

    released = asyncio.Event()
    journal = await open_journal(tmp_path, Hanging())
    slow = [await journal.store(draft(stream=Stream("GW1", f"slow {number}"))) for number in range(8)]
    (entry,) = await keep(journal, draft())
    assert entry.is_signed
    released.set()
    await asyncio.gather(*(asyncio.shield(pending.signed) for pending in slow))
    await journal.close()


async def test_a_token_that_is_away_leaves_records_unsigned_and_signs_them_in_order_when_back(tmp_path: Path) -> None:
    signer, events = KeySigner(), list[TraceEvent]()
    signer.away = True
    journal = await open_journal(tmp_path, signer, tracer=events.append)
    pending = [await journal.store(draft()) for _ in range(3)]
    await wait_until(lambda: pending[0].error is not None)
    assert [one.entry.page for one in journal.unsigned(STREAM)] == ["T1", "T2", "T3"]
    assert not any(one.signed.done() for one in pending)
    signer.away = False
    assert [(await asyncio.shield(one.signed)).page for one in pending] == ["T1", "T2", "T3"]
    assert [event.data["page"] for event in events if event.kind == "token.away"] == ["T1"]
    assert journal.unsigned() == []
    await journal.close()


async def test_another_key_never_signs_unless_it_is_accepted(tmp_path: Path) -> None:
    signer = KeySigner()
    journal = await open_journal(tmp_path, signer)
    await keep(journal, draft())
    await journal.close()

    other = KeySigner()
    journal = await open_journal(tmp_path, other)
    pending = await journal.store(draft())
    await wait_until(lambda: pending.error is not None)
    assert "another key" in str(pending.error)
    assert other.messages == []
    await journal.close()

    journal = await open_journal(tmp_path, other, accept_new_key=True)
    await wait_until(lambda: not journal.unsigned())
    assert len({entry.public_key for entry in await journal.entries()}) == 2
    await journal.close()


async def test_a_signature_that_does_not_verify_is_thrown_away(tmp_path: Path) -> None:
    signer = KeySigner()
    stranger = KeySigner()
    signer.spoil = lambda der: der[:-1] + bytes([der[-1] ^ 1])
    journal = await open_journal(tmp_path, signer)
    pending = await journal.store(draft())
    await wait_until(lambda: pending.error is not None)
    assert "thrown away" in str(pending.error)
    assert not (await journal.entry(1)).is_signed
    signer.spoil = lambda der: der
    entry = await asyncio.shield(pending.signed)
    verify_record(entry.record().ocmf, entry.public_key)
    assert stranger.messages == []
    await journal.close()


class Limited(JournalStore):
    """A disk of so many pages; the reserve that is given back adds some."""

    limit = 0

    def write(
        self, intents: Sequence[Entry] = (), signatures: Sequence[Signed] = (), deliveries: Sequence[Delivery] = ()
    ) -> None:
        reserve = self.path.with_name("journal.db.reserve").exists()
        self._connection.execute(f"PRAGMA max_page_count = {self.limit if reserve else self.limit + 4}")
        super().write(intents, signatures, deliveries)


async def test_a_full_disk_signs_nothing_that_is_not_kept_and_loses_no_page(tmp_path: Path) -> None:
    signer = KeySigner()
    journal = await open_journal(tmp_path, signer)
    await journal.close()
    reserve = tmp_path / "journal.db.reserve"
    assert reserve.stat().st_size == 1 << 20

    Limited.limit = 20
    journal = await open_journal(tmp_path, signer, open_store=Limited.open)
    kept: list[str] = []

    async def fill() -> None:
        while True:
            kept.extend(entry.page for entry in await keep(journal, draft(transaction="x" * 400)))

    with pytest.raises(JournalFullError, match="cannot grow"):
        await fill()
    assert not reserve.exists()
    assert kept == [f"T{number}" for number in range(1, len(kept) + 1)]
    assert len(signer.messages) == len(kept)
    assert [entry.is_signed for entry in await journal.entries()] == [True] * len(kept)

    Limited.limit = 1000
    (entry,) = await keep(journal, draft())
    assert entry.page == f"T{len(kept) + 1}"
    await journal.close()


async def test_a_signature_for_which_there_is_no_room_is_kept_later_not_released(tmp_path: Path) -> None:
    full = False

    class Full(JournalStore):
        def _write(
            self, intents: Sequence[Entry], signatures: Sequence[Signed], deliveries: Sequence[Delivery]
        ) -> None:
            if full and signatures:
                raise JournalFullError("no room")
            super()._write(intents, signatures, deliveries)

    journal = await open_journal(tmp_path, KeySigner(), open_store=Full.open)
    full = True
    pending = await journal.store(draft())
    await wait_until(lambda: isinstance(pending.error, JournalFullError))
    assert not pending.signed.done()
    full = False
    assert (await asyncio.shield(pending.signed)).is_signed
    await journal.close()


async def test_a_disk_almost_full_refuses_new_transactions(tmp_path: Path) -> None:
    journal = await open_journal(tmp_path, KeySigner(), min_free_bytes=1 << 60)
    assert "KiB free" in journal.refusal()
    await journal.close()
    journal = await open_journal(tmp_path, KeySigner(), min_free_bytes=1)
    assert journal.refusal() == ""
    await journal.close()


async def test_a_second_process_is_refused_by_name(tmp_path: Path) -> None:
    journal = await open_journal(tmp_path, KeySigner())
    with pytest.raises(RigError, match=r"journal\.db is held by another gateway \(process \d+\)"):
        await open_journal(tmp_path, KeySigner())
    await journal.close()
    await (await open_journal(tmp_path, KeySigner())).close()


async def test_a_closed_journal_takes_nothing(tmp_path: Path) -> None:
    journal = await open_journal(tmp_path, KeySigner())
    await journal.close()
    await journal.close()
    with pytest.raises(LocalError, match="closed"):
        await journal.store(draft())


async def test_acknowledgements_are_durable_and_said_once(tmp_path: Path) -> None:
    journal = await open_journal(tmp_path, KeySigner())
    await keep(journal, draft(), draft(transaction="t2"))
    assert await journal.undelivered("cpo") == [(1, "t1"), (2, "t2")]
    await journal.acknowledge(Delivery("cpo", 1, "stored"))
    with pytest.raises(JournalError, match="append-only"):
        await journal.acknowledge(Delivery("cpo", 1, "refused"))
    assert await journal.undelivered("cpo") == [(2, "t2")]
    assert await journal.undelivered("other") == [(1, "t1"), (2, "t2")]
    await journal.close()


async def test_open_transactions_are_those_without_an_end(tmp_path: Path) -> None:
    journal = await open_journal(tmp_path, KeySigner())
    await keep(journal, draft(), draft(transaction="t2"), draft("Transaction.End"))
    assert [entry.transaction_id for entry in await journal.open_transactions()] == ["t2"]
    await journal.close()


def test_the_double_builds_what_the_journal_reserves() -> None:
    assert json.loads(payload(Place("T3", "ab")))["PG"] == "T3"
