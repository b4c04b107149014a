from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from random import Random

import pytest

from backends.operators.cpo.leases import LEASE_S, Leases
from backends.operators.cpo.outbox import LOOK_AGAIN_S, detail_of
from backends.operators.cpo.schema import CHARGE_DETAILS, INCIDENTS, OUTBOX
from hil_rigs.virtual_clock import VirtualClock
from ports.errors import LocalError, PeerError, RigError
from tests.backends.operators.cpo.parts import Cpo, Taker, Wire, event, fresh_url, running_cpo, station, virtual
from tests.backends.signed_records import RecordMaker


async def charge(cpo: Cpo, wire: Wire, maker: RecordMaker, transaction: str = "t1") -> None:
    await cpo.register(maker)
    for seq_no, (kind, record) in enumerate(zip(("Started", "Updated", "Ended"), maker.session(), strict=True)):
        await wire.ask("TransactionEvent", event(kind, seq_no, [record], transaction))


@virtual
async def test_a_taker_that_is_away_is_asked_again_with_growing_pauses(tmp_path: Path, clock: VirtualClock) -> None:
    away, here = Taker(failures=[RigError("no route")] * 5), Taker()
    async with running_cpo(tmp_path, clock, sinks={"away": away, "here": here}) as cpo, station(cpo.running) as wire:
        await charge(cpo, wire, RecordMaker())
        await clock.sleep(1)
        assert len(here.taken) == 1  # nobody waits for somebody else
        await clock.sleep(600)
        assert [one.id for one in away.taken] == [one.id for one in here.taken]
        tries = [event.at for event in cpo.events if event.kind == "cpo.charge_detail" and event.data["sink"] == "away"]
        pauses = [after - before for before, after in pairwise(tries)]
        assert len(pauses) == 5
        for pause, least in zip(pauses, (2, 4, 8, 16, 32), strict=True):
            assert least - 1 <= pause <= least * 1.2 + 2
        states = {row["sink"]: (row["state"], row["attempts"]) for row in await cpo.rows(OUTBOX)}
        assert states == {"away": ("delivered", 6), "here": ("delivered", 1)}


@pytest.mark.parametrize("error", [PeerError("unknown EVSE"), LocalError("the record is too long for OCPI")])
@virtual
async def test_a_refusal_is_final_and_the_next_one_goes_on(
    tmp_path: Path, clock: VirtualClock, error: PeerError | LocalError
) -> None:
    taker, maker = Taker(failures=[error]), RecordMaker()
    async with running_cpo(tmp_path, clock, taker=taker) as cpo, station(cpo.running) as wire:
        await charge(cpo, wire, maker)
        await charge(cpo, wire, maker, "t2")
        await clock.sleep(120)
        assert [one.transaction_id for one in taker.taken] == ["t2"]
        assert [row["state"] for row in await cpo.rows(OUTBOX)] == ["refused", "delivered"]
        (incident,) = await cpo.rows(INCIDENTS)
        assert incident["kind"] == "charge detail refused"
        assert incident["detail"].endswith(str(error))


@virtual
async def test_what_was_not_delivered_is_after_a_restart(tmp_path: Path, clock: VirtualClock) -> None:
    url, away = fresh_url(tmp_path), Taker(failures=[RigError("no route")])
    async with running_cpo(tmp_path, clock, url=url, taker=away) as cpo, station(cpo.running) as wire:
        await charge(cpo, wire, RecordMaker())
        await clock.sleep(1)
        (made,) = [detail_of(row["body"]) for row in await cpo.rows(CHARGE_DETAILS)]
    assert away.taken == []
    taker = Taker()
    async with running_cpo(tmp_path, clock, url=url, taker=taker):
        await clock.sleep(10)
    assert taker.taken == [made]


@virtual
async def test_a_mistake_in_one_sink_ends_nothing(
    tmp_path: Path, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    broken, here = Taker(failures=[ZeroDivisionError("by nought")] * 3), Taker()  # type: ignore[list-item]
    async with running_cpo(tmp_path, clock, sinks={"broken": broken, "here": here}) as cpo, station(cpo.running) as one:
        await charge(cpo, one, RecordMaker())
        await clock.sleep(1)
        assert len(here.taken) == 1
        await charge(cpo, one, RecordMaker(gateway="GW2"), "t2")
        await clock.sleep(60)
        assert [taker.taken for taker in (broken, here)] == [here.taken] * 2
        assert len(here.taken) == 2
        (incident,) = await cpo.rows(INCIDENTS)
        assert (incident["kind"], incident["transaction_id"]) == ("charge detail stuck", "t1")
        assert incident["detail"].endswith("ZeroDivisionError: by nought")
    assert len(caplog.records) == 3


@virtual
async def test_of_two_processes_on_one_database_one_delivers(tmp_path: Path, clock: VirtualClock) -> None:
    url, first, second = fresh_url(tmp_path), Taker(), Taker()
    async with running_cpo(tmp_path, clock, url=url, taker=second, random=Random(2)) as other:
        async with running_cpo(tmp_path, clock, url=url, taker=first) as cpo, station(cpo.running) as wire:
            await charge(cpo, wire, RecordMaker())
            await clock.sleep(1)
            async with station(other.running) as there:
                await charge(other, there, RecordMaker(gateway="GW2"), "t2")
            await clock.sleep(LOOK_AGAIN_S)  # the first one has the lease, and takes what came in at the other
            assert [one.transaction_id for one in first.taken] == ["t1", "t2"]
            assert second.taken == []
        async with station(other.running) as there:  # it has closed: at once
            await charge(other, there, RecordMaker(gateway="GW3"), "t3")
        await clock.sleep(1)
        assert [one.transaction_id for one in second.taken] == ["t3"]


@virtual
async def test_a_process_that_died_is_replaced(tmp_path: Path, clock: VirtualClock) -> None:
    url, taker = fresh_url(tmp_path), Taker()
    async with running_cpo(tmp_path, clock, url=url, taker=taker) as cpo, station(cpo.running) as wire:
        dead = Leases(cpo.database, clock, "of a process that was killed")
        assert await dead.hold("mo")
        await charge(cpo, wire, RecordMaker())
        await clock.sleep(LEASE_S / 2)
        assert taker.taken == []
        await clock.sleep(LEASE_S)
        assert [one.transaction_id for one in taker.taken] == ["t1"]
        assert not await dead.hold("mo")
