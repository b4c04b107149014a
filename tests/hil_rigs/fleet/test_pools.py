"""What stands before the pools: the station in the path, and its faults."""

import asyncio
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hil_rigs.fleet.plan import Faults
from hil_rigs.fleet.pools import CONTRACT_PATH, OF_STATION, FleetPools
from hil_rigs.virtual_clock import VirtualClock, run_virtual
from ports.trace import TraceEvent

START = datetime(2026, 1, 1, tzinfo=UTC)


async def app(scope: dict[str, Any], _receive: Any, send: Any) -> None:
    """The pools, as far as they matter here: a contract for everybody, and nothing else."""
    status = 200 if scope["path"] == CONTRACT_PATH else 404
    assert scope.get("raw_path", b"") in (b"", scope["path"].encode())
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": b"{}"})


async def ask(front: Any, path: str) -> list[int]:
    """Statuses that came back: one, or none when the client went away without an answer."""
    statuses: list[int] = []

    async def send(message: dict[str, Any]) -> None:
        if "status" in message:
            statuses.append(message["status"])

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(5)
        return {"type": "http.disconnect"}

    await front({"type": "http", "path": path}, receive, send)
    return statuses


def asked(faults: Faults, path: str, times: int, others: int = 0) -> tuple[FleetPools, list[int], list[TraceEvent]]:
    events: list[TraceEvent] = []

    async def main(clock: VirtualClock) -> tuple[FleetPools, list[int]]:
        pools = FleetPools(faults, Path("unused"), clock, events.append)
        front = pools.before(app)
        answers = []
        for _ in range(times):
            answers += await ask(front, f"{OF_STATION}A{path}") or [0]
            for _ in range(others):
                await ask(front, f"{OF_STATION}B{path}")
        return pools, answers

    return *run_virtual(main, start=START, seed=3), events


def test_the_pools_see_the_path_without_the_station_and_contracts_are_counted() -> None:
    pools, answers, events = asked(Faults(errors=0, lost_acks=0), CONTRACT_PATH, 2)
    assert answers == [200, 200]
    assert pools.handed_out == Counter({"A": 2})
    assert events[0].data == {"station": "A", "path": CONTRACT_PATH, "status": 200, "fault": "none"}
    pools, answers, _ = asked(Faults(errors=0, lost_acks=0), "/v1/ccp/other", 1)
    assert answers == [404]
    assert not +pools.handed_out


def test_faults_come_in_their_shares_and_what_is_lost_has_been_handed_out() -> None:
    pools, answers, _ = asked(Faults(errors=0.1, lost_acks=0.05), CONTRACT_PATH, 1000)
    found = Counter(answers)
    assert 70 < found[503] == pools.hit["pool errors"] < 130
    assert 30 < found[0] == pools.hit["lost pool answers"] < 70
    assert pools.handed_out["A"] == found[200] + found[0]


def test_each_station_has_faults_of_its_own() -> None:
    alone = asked(Faults(errors=0.2, lost_acks=0.2), CONTRACT_PATH, 50)[1]
    assert alone == asked(Faults(errors=0.2, lost_acks=0.2), CONTRACT_PATH, 50, others=3)[1]


def test_what_is_no_request_goes_on() -> None:
    seen: list[str] = []

    async def lifespan(scope: dict[str, Any], _receive: Any, _send: Any) -> None:
        seen.append(scope["type"])

    async def main(clock: VirtualClock) -> None:
        pools = FleetPools(Faults(), Path("unused"), clock, lambda _event: None)
        await pools.before(lifespan)({"type": "lifespan"}, None, None)
        await pools.stop()  # harmless when it does not run

    run_virtual(main, start=START)
    assert seen == ["lifespan"]


def test_what_no_station_asks_has_no_faults() -> None:
    async def main(clock: VirtualClock) -> list[int]:
        pools = FleetPools(Faults(errors=0.5, lost_acks=0.5), Path("unused"), clock, lambda _event: None)
        front = pools.before(app)
        answers = [status for _ in range(20) for status in await ask(front, CONTRACT_PATH)]
        assert not +pools.hit
        assert not +pools.handed_out
        return answers

    assert run_virtual(main, start=START) == [200] * 20
