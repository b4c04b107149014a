"""What a CPO takes, refuses, and keeps once: by its own keys, whatever the message says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from backends import cpo_store
from backends.cpo_receiver import CpoReceiver, KeyPolicy, RecordRefused, Refusal
from backends.store.database import Database, StoreError
from ocmf.payload import payload_hash
from ocmf.transaction import TransactionStatus
from ports.backend import Ack, SignedRecord
from ports.trace import TraceEvent
from tests.backends.signed_records import RecordMaker
from tests.doubles import ManualClock


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = Database(f"sqlite:///{tmp_path / 'cpo.db'}", ManualClock(), cpo_store.prepare)
    yield opened
    await opened.close()


@pytest.fixture
async def receiver(database: Database) -> CpoReceiver:
    return CpoReceiver(database, ManualClock(), policy=KeyPolicy.FIRST_USE)


async def count(database: Database, table: sa.Table = cpo_store.RECORDS) -> int:
    return await database.read(
        lambda connection: connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
    )


async def refused(receiver: CpoReceiver, record: SignedRecord) -> RecordRefused:
    with pytest.raises(RecordRefused) as error:
        await receiver.receive(record)
    return error.value


async def test_a_transaction_is_kept_and_judged(receiver: CpoReceiver) -> None:
    for record in RecordMaker().session():
        assert await receiver.receive(record) is Ack.STORED
    transaction = await receiver.transaction("t1")
    assert transaction.verdict is not None
    assert transaction.verdict.status is TransactionStatus.OK
    assert transaction.verdict.energy_kwh == Decimal("3.500")
    assert (await receiver.transaction("t2")).verdict is None


async def test_a_duplicate_has_the_same_answer_and_no_second_effect(receiver: CpoReceiver, database: Database) -> None:
    maker = RecordMaker()
    record = maker.make()
    again = replace(record, ocmf=maker.sign(record.ocmf.split("|")[1].encode()))  # same payload, another signature
    answers = await asyncio.gather(*(receiver.receive(one) for one in (record, record, again, record)))
    assert sorted(answers) == [Ack.DUPLICATE] * 3 + [Ack.STORED]
    (kept,) = (await receiver.transaction("t1")).records
    assert kept.record.ocmf in {record.ocmf, again.ocmf}
    assert kept.deliveries == 4
    assert await count(database) == 1


async def test_any_changed_octet_of_the_payload_is_refused(receiver: CpoReceiver, database: Database) -> None:
    maker = RecordMaker()
    await receiver.receive(maker.make())
    record = maker.make()
    changed = record.ocmf.replace('"RV":100.000', '"RV":900.000')
    error = await refused(receiver, replace(record, ocmf=changed))
    assert error.refusal is Refusal.MISMATCH  # the id of the message is that of the true payload
    error = await refused(
        receiver, replace(record, ocmf=changed, record_id=payload_hash(changed.split("|")[1].encode()))
    )
    assert error.refusal is Refusal.SIGNATURE
    assert not error.retry
    assert await count(database) == 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("record_id", "0" * 64),
        ("page", "T9"),
        ("gateway", "GW2"),
        ("meter", "METER2"),
        ("context", "Transaction.End"),
    ],
)
async def test_an_envelope_that_says_something_else_than_the_record_is_refused(
    receiver: CpoReceiver, field: str, value: str
) -> None:
    error = await refused(receiver, replace(RecordMaker().make(), **{field: value}))
    assert error.refusal is Refusal.MISMATCH


@pytest.mark.parametrize(
    "text", ["", "OCMF", "OCMF|{}", "OCMF|{}|{}|", "<xml/>", "OCMF|{}|{}", "OCMF|" + "[" * 100_000]
)
async def test_what_is_no_record_is_refused(receiver: CpoReceiver, text: str) -> None:
    error = await refused(receiver, replace(RecordMaker().make(), ocmf=text))
    assert error.refusal in {Refusal.FORMAT, Refusal.MISMATCH}


async def test_a_page_used_twice_keeps_both_and_says_so(receiver: CpoReceiver, database: Database) -> None:
    maker = RecordMaker()
    await receiver.receive(maker.make(page=42))
    other = maker.make(page=42, kwh="200.000")
    for _ in range(2):
        error = await refused(receiver, other)
        assert error.refusal is Refusal.PAGE
        assert "page T42" in error.reason
    assert (await count(database), await count(database, cpo_store.INCIDENTS)) == (1, 1)


async def test_the_first_key_of_a_meter_stays_and_another_one_waits_for_registration(receiver: CpoReceiver) -> None:
    await receiver.receive(RecordMaker().make())
    stranger = RecordMaker()
    record = stranger.make(page=2)
    error = await refused(receiver, record)
    assert error.refusal is Refusal.KEY
    assert error.retry
    assert await receiver.register_key("GW1", "METER1", stranger.public_key)
    assert not await receiver.register_key("GW1", "METER1", stranger.public_key.lower())
    assert await receiver.receive(record) is Ack.STORED


async def test_the_key_that_a_record_carries_counts_for_nothing_when_keys_are_registered(database: Database) -> None:
    receiver = CpoReceiver(database, ManualClock())
    maker = RecordMaker()
    record = maker.make()
    assert (await refused(receiver, record)).refusal is Refusal.KEY
    assert (await refused(receiver, replace(record, public_key=""))).refusal is Refusal.KEY
    await receiver.register_key("GW1", "METER1", maker.public_key)
    assert await receiver.receive(replace(record, public_key="")) is Ack.STORED
    assert await receiver.receive(replace(record, public_key=RecordMaker().public_key)) is Ack.DUPLICATE


async def test_refusals_are_traced(database: Database) -> None:
    events: list[TraceEvent] = []
    receiver = CpoReceiver(database, ManualClock(), name="office", tracer=events.append)
    await refused(receiver, RecordMaker().make())
    (event,) = events
    assert (event.kind, event.source, event.data["refusal"]) == ("cpo.refused", "office", Refusal.KEY)


async def test_tables_of_another_version_are_refused(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'cpo.db'}"
    database = Database(url, ManualClock(), cpo_store.prepare)
    await database.write(lambda connection: connection.execute(sa.text("UPDATE cpo_version SET version = 9")))
    await database.close()
    with pytest.raises(StoreError, match="version 9"):
        Database(url, ManualClock(), cpo_store.prepare)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CpoReceiver]:
    """One receiver for all examples."""
    database = Database(f"sqlite:///{tmp_path_factory.mktemp('cpo') / 'cpo.db'}", ManualClock(), cpo_store.prepare)
    yield CpoReceiver(database, ManualClock(), policy=KeyPolicy.FIRST_USE)
    asyncio.run(database.close())


RECORD = RecordMaker().make()
POSITIONS = st.integers(0, len(RECORD.ocmf) - 1)


@settings(max_examples=200)
@given(POSITIONS, st.integers(0, 2), st.text(st.characters(codec="utf-8"), max_size=2))
def test_no_mutation_of_a_record_is_taken_for_another_one(
    shared: CpoReceiver, position: int, removed: int, inserted: str
) -> None:
    mutated = RECORD.ocmf[:position] + inserted + RECORD.ocmf[position + removed :]
    try:
        asyncio.run(shared.receive(replace(RECORD, ocmf=mutated)))
    except RecordRefused:
        return
    assert mutated.split("|")[1] == RECORD.ocmf.split("|")[1]  # only outside of the payload may it differ
