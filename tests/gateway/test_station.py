"""The gateway as a backend sees it: news that come once, transactions begun and ended from afar."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from gateway.policy import Policy
from gateway.transaction import RESTING, State
from hil_rigs.virtual_clock import VirtualClock, run_virtual
from ports.charge_control import ControlFault
from ports.station import Availability, ChargingState, ConnectorNews, Station, StationIdentity
from tests.gateway.point import CARD, START, Cable, CableMeter, Point


def play(folder: Path, session: Callable[[Point], Awaitable[None]], policy: Policy | None = None) -> Point:
    """Two connectors."""

    async def main(clock: VirtualClock) -> Point:
        point = Point(clock, folder, policy)
        second = Cable(clock, "c2")
        point.setups.append(
            replace(point.setup(), control=second, meter=CableMeter(clock, second, serial="M2"), point_id="DE*PLG*E2")
        )
        await point.start()
        await session(point)
        await point.controller.close()
        return point

    return run_virtual(main, start=START)


def test_the_news_tell_a_session_and_never_twice_the_same(tmp_path: Path) -> None:
    news: list[ConnectorNews] = []

    async def session(point: Point) -> None:
        station: Station = point.controller
        assert station.identity == StationIdentity("Plugbench", "Gateway", "GW1", "0.1")
        assert [(one.number, one.connector, one.evse_id) for one in station.connectors()] == [
            (1, "c1", "DE*PLG*E1"),
            (2, "c2", "DE*PLG*E2"),
        ]
        end = station.subscribe(news.append)
        point.cable.plug()
        await point.controller.wait_for("c1", State.PLUGGED)
        await point.controller.authorise("c1", CARD)
        await point.controller.wait_for("c1", State.CHARGING)
        await point.clock.sleep(20)
        point.cable.set_fault(ControlFault.OVER_CURRENT)
        await point.controller.wait_for("c1", *RESTING)
        point.cable.set_fault(ControlFault.OVER_CURRENT, active=False)
        point.cable.unplug()
        await point.controller.wait_for("c1", State.AVAILABLE)
        await point.clock.sleep(1)
        end()
        end()
        before = len(news)
        point.cable.plug()
        await point.controller.wait_for("c1", State.PLUGGED)
        assert len(news) == before

    play(tmp_path, session)
    assert {one.number for one in news} == {1}
    assert all(one != later for one, later in pairwise(news))
    states = list(dict.fromkeys((one.availability, one.charging) for one in news))
    assert states == [
        (Availability.OCCUPIED, ChargingState.CONNECTED),
        (Availability.OCCUPIED, ChargingState.SUSPENDED_EV),
        (Availability.OCCUPIED, ChargingState.CHARGING),
        (Availability.FAULTED, ChargingState.CHARGING),
        (Availability.FAULTED, ChargingState.CONNECTED),
        (Availability.AVAILABLE, ChargingState.IDLE),
    ]
    energies = [one.energy_kwh for one in news if one.energy_kwh is not None]
    assert energies == sorted(energies)
    assert len(set(energies)) > 10
    assert {one.transaction_id for one in news} == {"", "GW1-METER1-T1"}
    assert ("OverCurrentFailure",) in {one.faults for one in news}


@pytest.mark.parametrize("flag", ["OCPP_RS", "OCPP_RS_TLS"])
@pytest.mark.parametrize("number", [None, 2])
def test_a_remote_start_and_stop(tmp_path: Path, flag: str, number: int | None) -> None:
    async def session(point: Point) -> None:
        station: Station = point.controller
        cable = point.setups[1].control
        assert isinstance(cable, Cable)
        cable.plug()
        await point.controller.wait_for("c2", State.PLUGGED)
        answer = await station.request_start(number, "user-1", "CENTRAL", flag)
        assert answer.accepted
        await point.controller.wait_for("c2", State.CHARGING)
        assert not (await station.request_start(2, "user-2", "CENTRAL", flag)).accepted
        assert not (await station.request_stop("GW1-M2-T9")).accepted
        await point.clock.sleep(5)
        assert (await station.request_stop("GW1-M2-T1", "deauthorised by csms (Blocked)")).accepted
        assert point.controller.status()[1].stopped_by == "deauthorised by csms (Blocked)"
        await point.controller.wait_for("c2", *RESTING)
        assert not (await station.request_stop("GW1-M2-T1")).accepted

    point = play(tmp_path, session)
    assert "deauthorised by csms (Blocked)" in [
        event.data["why"] for event in point.events if event.kind == "session.state"
    ]
    payloads = [json.loads(record.ocmf.split("|")[1]) for record in point.backend.records]
    assert [payload["RD"][0]["TX"] for payload in payloads] == ["B", "R"]
    user = {key: payloads[0][key] for key in ("IS", "IL", "IF", "IT", "ID")}
    assert user == {"IS": True, "IL": "TRUSTED", "IF": ["RFID_NONE", flag], "IT": "CENTRAL", "ID": "USER1"}


def test_a_remote_start_may_come_before_the_plug(tmp_path: Path) -> None:
    async def session(point: Point) -> None:
        station: Station = point.controller
        assert (await station.request_start(1, "DEABCC123ABC56", "EMAID", "OCPP_RS")).accepted
        assert not (await station.request_start(1, "DEABCC123ABC56", "EMAID", "OCPP_RS")).accepted
        await point.clock.sleep(30)
        point.cable.plug()
        await point.controller.wait_for("c1", State.CHARGING)

    play(tmp_path, session)


REFUSED: dict[str, tuple[tuple[Any, ...], str]] = {
    "nobody waits": ((None, "U1", "CENTRAL", "OCPP_RS"), "no connector is plugged in and free"),
    "no such connector": ((3, "U1", "CENTRAL", "OCPP_RS"), "there is no connector 3"),
    "number 0": ((0, "U1", "CENTRAL", "OCPP_RS"), "there is no connector 0"),
    "a flag of cards": ((1, "U1", "CENTRAL", "RFID_PLAIN"), "flag 'RFID_PLAIN' is not one of"),
    "no such type": ((1, "U1", "NFC", "OCPP_RS"), "no identification of type 'NFC'"),
    "not an EMAID": ((1, "U1", "EMAID", "OCPP_RS"), "14 or 15 letters and digits"),
    "too long": ((1, "U" * 41, "CENTRAL", "OCPP_RS"), "more than 40 characters"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_remote_start_that_cannot_be_is_an_answer(tmp_path: Path, what: str) -> None:
    arguments, why = REFUSED[what]

    async def session(point: Point) -> None:
        answer = await point.controller.request_start(*arguments)
        assert not answer.accepted
        assert why in answer.detail

    assert play(tmp_path, session).backend.records == []


def test_who_listens_badly_harms_no_connector(tmp_path: Path) -> None:
    async def session(point: Point) -> None:
        seen: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: seen.append(context))

        def explode(news: ConnectorNews) -> None:
            raise RuntimeError(news.connector)

        point.controller.subscribe(explode)
        point.cable.plug()
        await point.controller.wait_for("c1", State.PLUGGED)
        await point.controller.authorise("c1", CARD)
        await point.controller.wait_for("c1", State.CHARGING)
        assert seen

    play(tmp_path, session)


def test_free_charging_asks_nobody_once_for_each_plug(tmp_path: Path) -> None:
    async def session(point: Point) -> None:
        for _ in range(2):
            point.cable.plug()
            await point.controller.wait_for("c1", State.CHARGING)
            await point.clock.sleep(10)
            point.controller.stop("c1")
            await point.controller.wait_for("c1", *RESTING)
            await point.clock.sleep(10)
            assert point.controller.status()[0].state is State.PLUGGED  # what was stopped stays so
            point.cable.unplug()
            await point.controller.wait_for("c1", State.AVAILABLE)

    point = play(tmp_path, session, Policy(free=True))
    payloads = [json.loads(record.ocmf.split("|")[1]) for record in point.backend.records]
    assert [payload["RD"][0]["TX"] for payload in payloads] == ["B", "R", "B", "R"]
    user = {key: payloads[0][key] for key in ("IS", "IL", "IF", "IT", "ID")}
    assert user == {"IS": False, "IL": "NONE", "IF": [], "IT": "NONE", "ID": ""}
