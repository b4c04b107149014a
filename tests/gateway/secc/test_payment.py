"""Who pays at a station that speaks V2G: cards, free charging, and what is left when the station's certificate ends."""

from __future__ import annotations

import json
from datetime import timedelta
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import pytest

from firmware_sim.vehicle.wish import Seconds
from gateway.card_desk import ReaderSetup
from gateway.policy import Policy
from gateway.transaction import State
from ocmf.terms import Level
from ports.errors import RigError
from tests.gateway.backend_doubles import Cards, Words
from tests.gateway.secc.bench import CARD, VEHICLE, Bench, find, on_bench
from tests.gateway.secc.test_contract import plug_and_wait, pnc
from tests.gateway.secc.test_contract_backends import ONLY_CARDS, settings
from tests.v2g.link.chains import made, write_chain
from v2g.link.sdp_client import TlsWish, find_station
from v2g.link.sdp_server import TlsPolicy
from v2g.link.tls_settings import Chain, StationTls
from v2g.sdp import Security


def user(bench: Bench, record: int = 0) -> dict[str, Any]:
    payload: dict[str, Any] = json.loads(bench.backend.records[record].ocmf.split("|")[1])
    return {key: payload[key] for key in ("IS", "IL", "IF", "IT", "ID")}


def test_a_card_that_a_slow_backend_knows_pays_and_another_does_not_end_it() -> None:
    words, cards = Words(flag="OCPP_AUTH"), Cards()
    words.delay_s = 10.0

    async def main(bench: Bench) -> None:
        await bench.plug(Seconds(600))
        await bench.clock.sleep(3)
        cards.show("0A0B0C0D")
        await bench.charging()
        assert len(words.asked) == 1
        # meanwhile the vehicle was told to wait for its driver, again and again
        waiting = [e for e in bench.told("v2g.tx") if e.data["message"] == "AuthorizationRes"]
        assert len(waiting) > 30
        assert find(waiting[5].data["decoded"], "EVSEProcessing") == "Ongoing_WaitingForCustomerInteraction"
        cards.show("0F0F0F0F")
        await bench.clock.sleep(5)
        (refused,) = bench.told("session.refused")
        assert refused.data["level"] is Level.MISMATCH
        assert bench.connector.machine.state is State.CHARGING
        cards.show("0A0B0C0D")
        await bench.state(State.PLUGGED)
        await bench.clock.sleep(5)
        assert bench.outcomes() == ["terminated"]
        assert user(bench) == {
            "IS": True,
            "IL": "TRUSTED",
            "IF": ["RFID_PLAIN", "OCPP_AUTH"],
            "IT": "ISO14443",
            "ID": "0A0B0C0D",
        }

    on_bench(main, controller={"authorisers": [words], "readers": [ReaderSetup(cards)]}, cards=ONLY_CARDS)


def test_a_refused_card_leaves_the_vehicle_waiting_for_the_next() -> None:
    words, cards = Words(RigError("away")), Cards()

    async def main(bench: Bench) -> None:
        await bench.plug(Seconds(30))
        cards.show("0A0B0C0D")
        await bench.clock.sleep(65)  # longer than a contract would be waited for
        assert bench.told("session.refused")
        cards.show(CARD.key[1])
        await bench.charging()
        assert bench.outcomes() == []

    on_bench(main, controller={"authorisers": [words], "readers": [ReaderSetup(cards)]}, cards=ONLY_CARDS)


def test_remote_start_and_stop_of_a_v2g_session() -> None:
    async def main(bench: Bench) -> None:
        await bench.plug(Seconds(3600))
        await bench.clock.sleep(5)
        assert (await bench.controller.request_start(None, "U1", "CENTRAL", "OCPP_RS_TLS")).accepted
        await bench.charging()
        await bench.clock.sleep(5)
        (news,) = bench.controller.connectors()
        assert (await bench.controller.request_stop(news.transaction_id)).accepted
        assert bench.outlet.branch.closed  # the vehicle is asked first
        await bench.state(State.PLUGGED)
        await bench.clock.sleep(5)
        assert bench.outcomes() == ["terminated"]
        assert [row[2] for row in await bench.records()][-1] == "R"

    on_bench(main)


FREE = {"IS": False, "IL": "NONE", "IF": [], "IT": "NONE", "ID": ""}


@pytest.mark.parametrize("dc", [False, True], ids=["AC", "DC"])
def test_free_charging_says_so_and_asks_nobody(dc: bool) -> None:
    words = Words()

    async def main(bench: Bench) -> None:
        assert bench.evcc is not None
        await plug_and_wait(bench)
        assert bench.outcomes() == ["terminated"]
        assert words.asked == []
        assert user(bench) == FREE
        (found,) = [e for e in bench.told("v2g.tx") if e.data["message"] == "ServiceDiscoveryRes"]
        assert find(found.data["decoded"], "FreeService") is True
        assert bench.verified_kwh().popitem()[1]
        bench.vehicle.want(Seconds(30))
        bench.evcc.try_again()  # another session of the same plugging-in
        await bench.charging()
        assert len({r.transaction_id for r in bench.backend.records}) == 2

    on_bench(main, dc=dc, policy=Policy(free=True), controller={"authorisers": [words]})


def test_free_charging_by_the_duty_and_over_tls(tmp_path: Path) -> None:
    async def by_duty(bench: Bench) -> None:
        await bench.plug(Seconds(30))
        await bench.charging()
        assert bench.modes() == ["asking", "basic"]

    on_bench(by_duty, talks=False, policy=Policy(free=True))

    async def over_tls(bench: Bench) -> None:
        await plug_and_wait(bench)
        assert bench.outcomes() == ["terminated"]
        assert "PaymentDetailsReq" not in bench.messages()
        assert user(bench) == FREE

    on_bench(over_tls, **(pnc(tmp_path) | {"policy": Policy(free=True)}))


EXPIRED = made("A")[2].not_valid_after_utc + timedelta(seconds=1)


def test_an_expired_station_offers_neither_tls_nor_contracts_and_cards_still_pay(tmp_path: Path) -> None:
    found = settings(tmp_path, Words())
    found["secc"] |= {"tls_policy": TlsPolicy.OFFERED}
    found["evcc"] |= {"tls_wish": TlsWish.PREFERRED, "fallback": True}

    async def main(bench: Bench) -> None:
        station = bench.secc.station
        assert station is not None
        assert set(station.ports()) == {Security.NONE}
        answer = await find_station(VEHICLE, TlsWish.PREFERRED, bench.clock)
        assert answer.security == Security.NONE
        await bench.plug(Seconds(30))
        await bench.clock.sleep(3)
        assert [e.data["payments"] for e in bench.told("v2g.StationFound")] == [["ExternalPayment"]]
        await bench.card()
        await bench.charging()
        (told, *_) = bench.told("tls.unavailable")
        assert "SECC A expired" in str(told.data["why"])
        assert told.data["advice"] == "renew the SECC certificate"

    on_bench(main, **(found | {"start": EXPIRED}))


def test_an_expired_station_that_requires_tls_charges_by_card_and_duty(tmp_path: Path) -> None:
    async def main(bench: Bench) -> None:
        assert bench.evcc is not None
        await bench.plug(Seconds(30))
        await bench.clock.sleep(25)
        assert bench.told("sdp.silent")
        assert bench.modes()[-1] == "basic"
        await bench.card()
        await bench.state(State.CHARGING)
        assert bench.told("tls.unavailable")

    on_bench(main, **(settings(tmp_path, Words()) | {"start": EXPIRED}))


def test_a_certificate_that_ends_takes_the_contracts_with_it(tmp_path: Path) -> None:
    """Before its end it still pays, afterwards it does not; with a new one it does again."""
    found = settings(tmp_path, Words())
    found["secc"] |= {"tls_policy": TlsPolicy.OFFERED}

    async def main(bench: Bench) -> None:
        await plug_and_wait(bench)
        assert bench.outcomes() == ["terminated"]
        bench.clock.set(EXPIRED)
        assert bench.secc.station is not None
        assert bench.secc.station.tls_problem()
        (offered,) = [e.data["payments"] for e in bench.told("v2g.StationFound")]
        assert "Contract" in offered
        assert Security.TLS not in bench.secc.station.ports()
        with pytest.raises(RigError, match="No such file"):
            bench.secc.renew(StationTls((Chain(tmp_path / "none.pem", tmp_path / "none.key"),)))
        (tmp_path / "new").mkdir()
        bench.secc.renew(StationTls((write_chain(tmp_path / "new", "A", end=400),)))
        assert Security.TLS in bench.secc.station.ports()
        assert bench.told("tls.renewed")[-1].data["problem"] == ""

    on_bench(main, **(found | {"start": EXPIRED - timedelta(seconds=61)}))


def test_a_vehicle_that_kept_the_port_of_tls_is_offered_no_contract_either(tmp_path: Path) -> None:
    """The certificate ends between SDP and the session."""
    found = settings(tmp_path, Words())
    found["evcc"] |= {"fallback": True}

    async def main(bench: Bench) -> None:
        station = bench.secc.station
        assert station is not None
        problems = chain(["", ""], repeat("SECC A expired"))
        station.tls_problem = lambda: next(problems)  # type: ignore[method-assign]
        assert Security.TLS in station.ports()
        await bench.plug(Seconds(30))
        await bench.clock.sleep(3)
        assert [e.data["payments"] for e in bench.told("v2g.StationFound")] == [["ExternalPayment"]]
        await bench.card()
        await bench.charging()

    on_bench(main, **found)


@pytest.mark.parametrize("free", [True, False])
def test_what_has_ended_does_not_begin_again_by_itself(free: bool) -> None:
    """The vehicle has what it wanted, and the station falls back to the duty later on."""

    async def main(bench: Bench) -> None:
        await bench.plug(Seconds(30))
        if not free:
            await bench.card()
        await bench.charging()
        assert bench.evcc is not None
        await bench.soon(bench.evcc.idle(), 300)
        await bench.clock.sleep(120)
        assert bench.modes()[-1] == "basic"
        assert bench.connector.machine.state is State.PLUGGED
        assert len({r.transaction_id for r in bench.backend.records}) == 1

    on_bench(main, policy=Policy(free=free))


def test_a_station_for_contracts_is_not_talked_down(tmp_path: Path) -> None:
    """TLS is required: whatever a vehicle asks for, it is never sent to a port without TLS."""

    async def main(bench: Bench) -> None:
        for wish in (TlsWish.OFF, TlsWish.PREFERRED, TlsWish.REQUIRED):
            answer = await find_station(VEHICLE, wish, bench.clock)
            assert answer.security == Security.TLS
        responses = bench.told("sdp.response")
        assert {e.data["security"] for e in responses} == {"TLS"}

    on_bench(main, **settings(tmp_path, Words()), talks=False)
