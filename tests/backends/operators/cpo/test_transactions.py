"""Exactly once, in order, nothing missing: what a session has to be before it is billed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backends.cpo_receiver import CpoReceiver
from backends.operators.cpo import ledger, queries
from backends.operators.cpo.ledger import Effect
from backends.operators.cpo.outbox import detail_of
from backends.operators.cpo.queries import Page
from backends.operators.cpo.schema import MESSAGES, OUTBOX, SIGNED_VALUES
from backends.operators.cpo.settings import StationAccount
from backends.operators.cpo.signed_values import signed_values_201
from backends.operators.cpo.tables import prepare
from backends.operators.cpo.transactions import Transactions
from backends.store.database import Database, StoreError
from ocmf.terms import Tx
from ports.backend import SignedRecord
from ports.charge_detail import ChargeDetail
from tests.backends.operators.cpo.parts import event, fresh_url
from tests.backends.signed_records import RecordMaker
from tests.doubles import ManualClock

KIND = {Tx.BEGIN: "Started", Tx.CHARGING: "Updated", Tx.END: "Ended"}


@dataclass
class Desk:
    """A ledger and short words for what happens to it."""

    transactions: Transactions
    database: Database
    told: list[Any] = field(default_factory=list)

    async def send(
        self, kind: str, seq_no: int, records: Sequence[SignedRecord] = (), transaction: str = "t1", **more: Any
    ) -> Any:
        """One TransactionEvent, as the handler makes an effect of it."""
        payload = event(kind, seq_no, records, transaction, **more)
        effect = Effect(
            station="CP1",
            version="ocpp2.0.1",
            key=f"event:{transaction}:{seq_no}",
            action="TransactionEvent",
            payload={name: value for name, value in payload.items() if name != "offline"},
            transaction_id=transaction,
            seq_no=seq_no,
            evse=1,
            connector=1,
            began=payload["timestamp"] if kind == "Started" else "",
            ended=payload["timestamp"] if kind == "Ended" else "",
        )
        self.told.append(seq_no)
        answer = {"totalCost": len(self.told)}  # tells which delivery was answered
        return await self.transactions.take(effect, signed_values_201(payload.get("meterValue", ())), lambda _: answer)

    async def session(self, records: Sequence[SignedRecord], transaction: str = "t1") -> None:
        """A whole session, one record in each event."""
        for seq_no, record in enumerate(records):
            kind = "Started" if seq_no == 0 else "Ended" if seq_no == len(records) - 1 else "Updated"
            await self.send(kind, seq_no, [record], transaction)

    async def look(self, transaction: str = "t1") -> tuple[str, list[str]]:
        """State and flags."""
        found = await self.database.read(lambda connection: ledger.find(connection, "CP1", transaction))
        assert found is not None
        return found.state, found.flags

    async def incidents(self) -> list[tuple[str, str]]:
        found = await self.database.read(lambda connection: queries.incidents(connection, Page()))
        return [(row["kind"], row["detail"]) for row in found]

    async def details(self) -> list[ChargeDetail]:
        found = await self.database.read(lambda connection: queries.charge_details(connection, Page()))
        return [detail_of({name: row[name] for name in ChargeDetail.__dataclass_fields__}) for row in found]

    async def count(self, table: sa.Table) -> int:
        query = sa.select(sa.func.count()).select_from(table)
        return await self.database.read(lambda connection: connection.execute(query).scalar_one())


@asynccontextmanager
async def desk(url: str, *makers: RecordMaker, kind: type[Database] = Database) -> AsyncIterator[Desk]:
    """A ledger that knows the keys of the makers."""
    clock = ManualClock()
    database = kind(url, clock, prepare)
    transactions = Transactions(
        database,
        CpoReceiver(database, clock),
        clock,
        name="cpo",
        sinks=["mo", "hub"],
        account=lambda station: StationAccount(identity=station, evse_ids=["DE*PLB*E1"]),
        on_billed=lambda: None,
    )
    for maker in makers:
        await transactions.register_key(maker.gateway, maker.meter, maker.public_key)
    try:
        yield Desk(transactions, database)
    finally:
        await database.close()


async def test_a_verified_session_is_billed_once(any_url: str) -> None:
    maker = RecordMaker()
    records = maker.session()
    async with desk(any_url, maker) as it:
        await it.session(records)
        assert await it.look() == ("billed", [])
        (detail,) = await it.details()
        await it.session(records)  # everything again
        assert await it.details() == [detail]
        assert await it.incidents() == []
    assert detail.energy_kwh == Decimal("3.500")
    assert detail.evse_id == "DE*PLG*E1"  # what is signed, not what is configured
    assert (detail.connector, detail.meter, detail.public_key) == (1, maker.meter, maker.public_key)
    assert [value.ocmf for value in detail.values] == [record.ocmf for record in records]


async def test_repeats_get_the_first_answer_and_are_counted(any_url: str) -> None:
    maker = RecordMaker()
    begin = maker.make()
    async with desk(any_url, maker) as it:
        first = await it.send("Started", 0, [begin])
        assert await it.send("Started", 0, [begin], offline=True) == first == {"totalCost": 1}
        deliveries = sa.select(MESSAGES.c.deliveries)
        assert await it.database.read(lambda connection: connection.execute(deliveries).scalars().all()) == [2]
        assert await it.count(SIGNED_VALUES) == 1


async def test_the_same_call_at_the_same_moment_has_one_effect(any_url: str) -> None:
    maker = RecordMaker()
    begin = maker.make()
    async with desk(any_url, maker) as it:
        answers = await asyncio.gather(*(it.send("Started", 0, [begin]) for _ in range(5)))
        assert len({json.dumps(answer) for answer in answers}) == 1
        assert await it.count(MESSAGES) == 1


async def test_a_missing_page_withholds_the_charge_detail(ledger_url: str) -> None:
    maker = RecordMaker(page=40)
    begin, between, end = maker.session()  # T41, T42, T43
    async with desk(ledger_url, maker) as it:
        await it.send("Started", 0, [begin])
        await it.send("Ended", 1, [end])
        assert await it.look() == ("withheld", ["pagination gap 41 to 43"])
        assert await it.details() == []
        await it.send("Updated", 2, [between], triggerReason="SignedDataReceived")  # it was late, not lost
        assert await it.look() == ("billed", [])


async def test_a_missing_event_withholds_the_charge_detail(ledger_url: str) -> None:
    maker = RecordMaker()
    begin, between, end = maker.session()
    async with desk(ledger_url, maker) as it:
        await it.send("Started", 0, [begin, between])
        await it.send("Ended", 3, [end])
        assert await it.look() == ("withheld", ["seqNo gap 0 to 3"])
        await it.send("Updated", 2)
        assert await it.look() == ("withheld", ["seqNo gap 0 to 2"])
        await it.send("Updated", 1)
        assert await it.look() == ("billed", [])


async def test_a_page_twice_with_other_content_is_kept_and_raises_an_incident(ledger_url: str) -> None:
    maker = RecordMaker(page=40)
    begin, between, end = maker.session()
    forged = replace(maker, page=41, previous=begin.record_id).make(Tx.CHARGING, "101.300")  # T42 again
    assert forged.page == between.page
    async with desk(ledger_url, maker) as it:
        await it.send("Started", 0, [begin])
        await it.send("Updated", 1, [between, forged])
        await it.send("Ended", 2, [end])
        state, (flag,) = await it.look()
        assert state == "withheld"
        assert flag.startswith("page used twice: page T42 of meter METER1 belongs to record")
        ((kind, _),) = await it.incidents()
        assert kind == "page used twice"
        texts = sa.select(SIGNED_VALUES.c.ocmf)
        kept = await it.database.read(lambda connection: connection.execute(texts).scalars().all())
    assert {between.ocmf, forged.ocmf} <= set(kept)


async def test_the_same_record_in_two_events_counts_once(ledger_url: str) -> None:
    maker = RecordMaker()
    begin, between, end = maker.session()
    again = replace(begin, ocmf=maker.sign(begin.ocmf.split("|")[1].encode()))  # the same payload signed once more
    assert again.ocmf != begin.ocmf
    async with desk(ledger_url, maker) as it:
        await it.send("Started", 0, [begin])
        await it.send("Updated", 1, [begin, again, between])
        await it.send("Ended", 2, [begin, between, end])
        assert await it.look() == ("billed", [])
        assert await it.count(SIGNED_VALUES) == 3


async def test_a_record_of_another_session_is_not_billed_again(ledger_url: str) -> None:
    maker = RecordMaker()
    records = maker.session()
    async with desk(ledger_url, maker) as it:
        await it.session(records)
        await it.session(records, "t2")
        state, flags = await it.look("t2")
        assert state == "withheld"
        assert any(flag.startswith("billed twice") for flag in flags)
        assert {kind for kind, _ in await it.incidents()} == {"record in two transactions"}
        assert len(await it.details()) == 1


async def test_a_seq_no_with_other_content_is_an_incident(ledger_url: str) -> None:
    maker = RecordMaker()
    begin, between, end = maker.session()
    async with desk(ledger_url, maker) as it:
        first = await it.send("Started", 0, [begin])
        assert await it.send("Started", 0, [between]) == first
        await it.send("Ended", 1, [end])
        state, flags = await it.look()
        assert state == "withheld"
        assert flags[0].startswith("message contradicted: event:t1:0 came with content")
        assert [kind for kind, _ in await it.incidents()] == ["message contradicted"]


async def test_a_key_that_comes_along_is_not_trusted(ledger_url: str) -> None:
    maker = RecordMaker()
    async with desk(ledger_url) as it:
        await it.session(maker.session())
        state, flags = await it.look()
        assert state == "withheld"
        assert flags[0] == f"key unknown: no key of meter {maker.meter} is registered"
        assert await it.incidents() == []  # nobody has done wrong yet
        assert await it.transactions.register_key(maker.gateway, maker.meter, maker.public_key)
        assert await it.look() == ("billed", [])
        assert not await it.transactions.register_key(maker.gateway, maker.meter, maker.public_key)
        assert len(await it.details()) == 1


async def test_a_record_of_another_key_is_an_incident(ledger_url: str) -> None:
    known, thief = RecordMaker(), RecordMaker()
    async with desk(ledger_url, known) as it:
        await it.session(thief.session())
        assert (await it.look())[0] == "withheld"
        assert {kind for kind, _ in await it.incidents()} == {"invalid signature"}
        assert await it.details() == []


async def test_a_new_key_of_a_meter_heals_what_the_old_one_did_not_verify(ledger_url: str) -> None:
    old, new = RecordMaker(), RecordMaker()
    async with desk(ledger_url, old) as it:
        await it.session(new.session())
        assert (await it.look())[0] == "withheld"
        await it.transactions.register_key(new.gateway, new.meter, new.public_key)
        assert await it.look() == ("billed", [])


class Crashing(Database):
    """Loses its process at one of its writes: before the commit, or after it and before the answer."""

    at: int | None = None
    after_commit = False
    writes = 0

    async def write(self, work: Any) -> Any:
        self.writes += 1
        crash = self.writes == self.at
        if crash and not self.after_commit:
            raise StoreError("crash before the commit")
        result = await super().write(work)
        if crash:
            raise StoreError("crash after the commit")
        return result


@pytest.mark.parametrize("after_commit", [False, True])
async def test_a_crash_at_any_write_costs_nothing(tmp_path: Path, after_commit: bool) -> None:
    """The station sends again what was not answered; at the end there is one bill, and every message once."""
    maker = RecordMaker()
    records = maker.session()
    crashes, at = 0, 0
    while crashes == at:  # until a session has fewer writes
        at += 1
        folder = tmp_path / str(at)
        folder.mkdir()
        async with desk(fresh_url(folder), maker, kind=Crashing) as it:
            database = it.database
            assert isinstance(database, Crashing)
            database.at, database.after_commit, database.writes = at, after_commit, 0
            for seq_no, (kind, record) in enumerate(zip(("Started", "Updated", "Ended"), records, strict=True)):
                try:
                    await it.send(kind, seq_no, [record])
                except StoreError:
                    crashes += 1
                    await it.send(kind, seq_no, [record])
            assert await it.look() == ("billed", [])
            assert len(await it.details()) == 1
            assert await it.count(MESSAGES) == await it.count(SIGNED_VALUES) == 3
            assert await it.count(OUTBOX) == 2
    assert at > 6


async def test_a_session_without_signed_values_is_not_billed(ledger_url: str) -> None:
    async with desk(ledger_url) as it:
        await it.send("Started", 0)
        await it.send("Ended", 1)
        assert await it.look() == ("withheld", ["no signed value verifies"])


async def test_an_end_without_its_begin_waits(ledger_url: str) -> None:
    maker = RecordMaker()
    begin, between, end = maker.session()
    async with desk(ledger_url, maker) as it:
        await it.send("Ended", 2, [end])
        state, flags = await it.look()
        assert state == "withheld"
        assert flags == ["its begin has not come", "no begin of a billed register"]
        await it.send("Updated", 1, [between])
        await it.send("Started", 0, [begin])
        assert await it.look() == ("billed", [])


async def test_what_comes_after_the_bill_is_an_incident(ledger_url: str) -> None:
    maker = RecordMaker()
    records = maker.session()
    late = maker.make(Tx.CHARGING, "104.000")
    async with desk(ledger_url, maker) as it:
        await it.session(records)
        await it.send("Updated", 5, [late])
        assert (await it.look())[0] == "billed"
        assert {kind for kind, _ in await it.incidents()} == {"after billing"}
        assert len(await it.details()) == 1


@given(data=st.data())
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_order_and_any_repeats_give_one_bill(tmp_path_factory: Any, data: st.DataObject) -> None:
    """Metamorphic: whatever is delivered twice or late, the charge detail is the same."""
    maker = _MAKER
    events = list(enumerate(_RECORDS))
    order = data.draw(st.permutations(events)) + data.draw(st.lists(st.sampled_from(events), max_size=4))
    url = fresh_url(tmp_path_factory.mktemp("any"))

    async def run() -> None:
        async with desk(url, maker) as it:
            for seq_no, record in order:
                kind = "Started" if seq_no == 0 else "Ended" if seq_no == len(events) - 1 else "Updated"
                await it.send(kind, seq_no, [record])
            assert await it.look() == ("billed", [])
            (detail,) = await it.details()
            assert detail.energy_kwh == Decimal("3.500")
            assert await it.count(MESSAGES) == len(events)

    asyncio.run(run())


_MAKER = RecordMaker()
_RECORDS = _MAKER.session()
