from decimal import Decimal
from multiprocessing import Pipe
from pathlib import Path

import msgspec
import pytest

from hil_rigs.fleet.event_hashes import combined
from hil_rigs.fleet.plan import Iso15118
from hil_rigs.fleet.run import listen, prepare, run_fleet, share_out
from hil_rigs.fleet.shard import Hour, ShardResult, run_shard
from ports.errors import RigError
from tests.hil_rigs.fleet.conftest import PLAN, Ran


def test_nothing_is_lost_or_doubled_although_answers_and_the_csms_are_missing(ran: Ran) -> None:
    result = ran.result
    assert (result.verdict, result.problems) == ("pass", ())
    assert (result.transactions, result.billed) == (6, 6)
    assert result.signed == result.kept
    assert (result.lost, result.doubled, result.gaps) == (0, 0, 0)
    # begin, 15, 30 and 45 minutes, no more current, end; by ISO 15118 the vehicle is a loop late: 60 minutes, too
    assert result.signed == 2 * 6 + 4 * 7
    assert result.billed_kwh == 6 * Decimal("11.04")


def test_the_faults_have_bitten(ran: Ran) -> None:
    faults = ran.result.faults
    assert faults["call errors"] > 3
    assert faults["lost acks"] > 3
    assert ran.result.repeated > 0  # values whose acknowledgement was lost came again, and changed nothing


def test_contracts_are_installed_once_although_answers_and_the_pools_are_missing(ran: Ran) -> None:
    result = ran.result
    assert result.contracts == 2
    assert result.handed_out == 3  # the answer to the first request was lost, and the vehicle came again
    assert result.by_contract == 3  # no pools when the second vehicle began: its driver showed a card, that time
    assert result.faults["lost pool answers"] == 1
    assert result.faults["pool errors"] >= 1


def test_every_hour_is_told_and_records_wait_in_the_outage(ran: Ran) -> None:
    assert [hours[0].hour for hours in ran.hours] == [1, 2, 3, 4, 5, 6]
    assert max(hours[0].waiting for hours in ran.hours[1:3]) > 0
    assert ran.hours[-1][0].signed == ran.result.signed


def test_the_same_seed_gives_the_same_events_however_stations_are_shared_out(ran: Ran, tmp_path: Path) -> None:
    prepare(PLAN, tmp_path)
    shards = [
        run_shard(PLAN, number, numbers, tmp_path, lambda _hour: None)
        for number, numbers in enumerate(share_out(PLAN.stations, 2))
    ]
    assert [sorted(one.hashes) for one in shards] == [["FLEET-00000", "FLEET-00002"], ["FLEET-00001"]]
    assert sum(one.events for one in shards) == ran.result.events
    assert combined(shards[0].hashes | shards[1].hashes) == ran.result.event_hash


def test_another_seed_gives_other_events_and_without_contracts_there_are_no_pools(ran: Ran, tmp_path: Path) -> None:
    plan = msgspec.structs.replace(
        PLAN,
        seed=18,
        stations=1,
        hours=3,
        session_h=0.5,
        outages=[],
        iso15118=Iso15118(stations=1, contracts=False),
    )
    other = run_fleet(plan, tmp_path, lambda _hours: None)
    assert other.verdict == "pass"
    assert (other.contracts, other.handed_out, other.by_contract) == (0, 0, 0)
    assert not (tmp_path / "pools").exists()
    assert other.event_hash != ran.result.event_hash


def test_a_fleet_begins_with_new_journals(tmp_path: Path) -> None:
    (tmp_path / "something").touch()
    with pytest.raises(RigError, match="not empty"):
        run_fleet(PLAN, tmp_path, lambda _hours: None)


def test_stations_are_shared_out_evenly() -> None:
    shards = share_out(7, 3)
    assert sorted(number for shard in shards for number in shard) == list(range(7))
    assert {len(shard) for shard in shards} == {2, 3}
    assert len(share_out(2, 8)) == 2


def test_the_hours_of_all_processes_are_told_together() -> None:
    pipes = [Pipe(duplex=False) for _ in range(2)]
    for shard, (_, theirs) in enumerate(pipes):
        for hour in (1, 2):
            theirs.send(Hour(shard, hour, 10 * hour, 0, 100.0, 1.0))
        theirs.send(ShardResult(shard, {f"S{shard}": "ab"}, 5, {}, {}, []))
        theirs.close()
    told: list[list[Hour]] = []
    results = listen({ours: shard for shard, (ours, _) in enumerate(pipes)}, told.append)
    assert [one.shard for one in results] == [0, 1]
    assert [(len(hours), hours[0].hour) for hours in told] == [(2, 1), (2, 2)]


@pytest.mark.parametrize(("said", "message"), [([], "ended before its time"), (["RigError: no room"], "no room")])
def test_a_process_that_fails_is_an_error(said: list[str], message: str) -> None:
    ours, theirs = Pipe(duplex=False)
    for text in said:
        theirs.send(text)
    theirs.close()
    with pytest.raises(RigError, match=f"process 4 of the fleet.*{message}"):
        listen({ours: 4}, lambda _hours: None)
