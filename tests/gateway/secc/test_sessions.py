"""Whole charging sessions with the gateway behind them: messages, pilot, contactor, meter and records agree."""

from __future__ import annotations

from decimal import Decimal
from itertools import groupby

import pytest

from firmware_sim.vehicle.evcc_setup import Plan
from firmware_sim.vehicle.transitions import Phase
from firmware_sim.vehicle.wish import Energy, Seconds, ToSoc
from gateway.authorisation import RefusedError
from gateway.policy import Policy
from gateway.transaction import State
from tests.gateway.secc.bench import Bench, find, on_bench

BEFORE = ["supportedAppProtocol", "SessionSetup", "ServiceDiscovery"]
AC = [
    *(*BEFORE, "PaymentServiceSelection", "Authorization", "ChargeParameterDiscovery"),
    *("PowerDelivery", "ChargingStatus", "PowerDelivery", "SessionStop"),
]
DC = [
    *(*BEFORE, "PaymentServiceSelection", "Authorization", "ChargeParameterDiscovery", "CableCheck", "PreCharge"),
    *("PowerDelivery", "CurrentDemand", "PowerDelivery", "WeldingDetection", "SessionStop"),
]
DIN = [
    {"PaymentServiceSelection": "ServicePaymentSelection", "Authorization": "ContractAuthentication"}.get(m, m)
    for m in DC
]


def route(bench: Bench) -> list[str]:
    """Names of requests, repetitions folded."""
    return [name for name, _ in groupby(m.removesuffix("Req") for m in bench.messages() if m.endswith("Req"))]


@pytest.mark.parametrize(
    ("dc", "protocol", "expected"),
    [(False, "iso2", AC), (True, "iso2", DC), (True, "din", DIN)],
    ids=["AC", "DC", "DIN"],
)
def test_a_whole_session(dc: bool, protocol: str, expected: list[str]) -> None:
    async def main(bench: Bench) -> None:
        await bench.session(Seconds(60))
        await bench.clock.sleep(5)
        assert route(bench) == expected
        for name in set(expected) - {"supportedAppProtocol"}:
            assert {code[:2] for code in bench.codes(f"{name}Res")} == {"OK"}, name
        assert bench.outcomes() == ["terminated"]
        assert bench.told("tcp.closed")
        ((_, kwh),) = bench.verified_kwh().items()
        plant = bench.point.electrical().energy_import_wh
        assert kwh is not None
        assert 0 <= plant - kwh * 1000 < 1
        assert kwh > Decimal("0.18")
        records = [row[1:] for row in await bench.records()]
        assert records[0] == ("Transaction.Begin", "B")
        assert records[-1] == ("Transaction.End", "E")
        # nothing flows before the begin record is signed, and the end is read after the contactor opened
        offered = bench.at("session.state", state=State.OFFERED)
        closed = next(e.at for e in bench.told("power.contactor") if e.data["closed"])
        opened = next(e.at for e in reversed(bench.told("power.contactor")) if not e.data["closed"])
        assert offered < closed
        assert opened <= bench.at("session.state", state=State.READING_END) + 1e-6
        assert await bench.controller.wait_for("c1", State.PLUGGED)
        assert bench.modes() == ["asking", "talking", "asking"]
        await bench.unplug()
        assert bench.modes()[-1] == "free"

    on_bench(main, dc=dc, evcc={"protocols": (protocol,)})


def test_the_vehicle_sees_the_register_of_the_meter() -> None:
    async def main(bench: Bench) -> None:
        await bench.session(Seconds(60))
        shown = [e.data["decoded"] for e in bench.told("v2g.tx") if e.data["message"] == "ChargingStatusRes"]
        infos = [find(one, "MeterInfo") for one in shown]
        readings = [info["MeterReading"] for info in infos]
        assert {info["MeterID"] for info in infos} == {"METER1"}
        assert readings == sorted(readings)
        assert readings[0] == 1_000_000
        assert 0 <= 1_000_000 + bench.point.electrical().energy_import_wh - readings[-1] < 10  # one poll behind
        assert all(info["TMeter"] for info in infos)

    on_bench(main)


@pytest.mark.parametrize(
    ("wish", "kwh"), [(Energy(Decimal(100)), Decimal("0.1")), (ToSoc(30.5), Decimal("0.333"))], ids=["energy", "SoC"]
)
@pytest.mark.parametrize("dc", [False, True], ids=["AC", "DC"])
def test_wishes_of_the_driver(dc: bool, wish: Energy | ToSoc, kwh: Decimal) -> None:
    async def main(bench: Bench) -> None:
        await bench.session(wish)
        await bench.clock.sleep(1)
        ((_, found),) = bench.verified_kwh().items()
        assert found == kwh

    on_bench(main, dc=dc)


def test_no_power_without_a_card() -> None:
    async def main(bench: Bench) -> None:
        await bench.plug()
        await bench.clock.sleep(120)
        assert "PowerDeliveryReq" not in bench.messages()
        assert set(bench.codes("AuthorizationRes")) == {"OK"}
        assert not bench.told("power.contactor")
        await bench.card()
        await bench.charging()

    on_bench(main)


def test_the_card_ends_it_and_the_vehicle_is_asked_first() -> None:
    async def main(bench: Bench) -> None:
        await bench.plug(Seconds(3600))
        await bench.card()
        await bench.charging()
        await bench.clock.sleep(10)
        await bench.card()
        assert await bench.state(State.WINDING_DOWN) is State.WINDING_DOWN
        assert bench.outlet.branch.closed
        await bench.state(State.PLUGGED)
        await bench.clock.sleep(5)
        assert bench.outcomes() == ["terminated"]
        assert [row[2] for row in await bench.records()][-1] == "L"
        assert not bench.told("power.forced_open_under_load")

    on_bench(main)


def test_a_vehicle_that_cannot_talk_charges_by_the_duty() -> None:
    async def main(bench: Bench) -> None:
        await bench.plug(Seconds(60))
        await bench.card()
        await bench.clock.sleep(19)
        assert bench.outlet.cable.vehicle_duty() == 5.0
        assert bench.vehicle.phase is Phase.CONNECTED
        await bench.charging()
        assert bench.modes() == ["asking", "basic"]
        assert bench.outlet.cable.vehicle_duty() == pytest.approx(16 / 0.6)
        await bench.soon(bench.vehicle.until(Phase.CONNECTED), 120)
        await bench.card()
        await bench.state(State.PLUGGED)
        await bench.unplug()
        await bench.clock.sleep(1)
        assert bench.verified_kwh().popitem()[1] == Decimal("0.184")
        # and the next vehicle is asked again
        bench.vehicle.plug_in(bench.outlet)
        await bench.clock.sleep(2)
        assert bench.outlet.cable.vehicle_duty() == 5.0

    on_bench(main, talks=False)


def test_the_fallback_may_come_before_the_card() -> None:
    async def main(bench: Bench) -> None:
        await bench.plug(Seconds(60))
        await bench.clock.sleep(30)
        assert bench.outlet.cable.vehicle_duty() is None
        await bench.card()
        await bench.charging()

    on_bench(main, talks=False)


def test_pause_sleep_wake_up_and_resume_in_one_transaction() -> None:
    async def main(bench: Bench) -> None:
        assert bench.evcc is not None
        bench.evcc.plan = Plan(pause_after_s=60, pause_s=300)
        await bench.plug(Energy(Decimal(400)))
        await bench.card()
        await bench.charging()
        await bench.state(State.SUSPENDED, within=120)
        await bench.clock.sleep(60)
        assert bench.modes()[-1] == "asleep"
        assert bench.outlet.cable.vehicle_duty() is None  # x1
        assert not bench.outlet.branch.closed
        # a C of 120 ms is no wake-up signal
        bench.vehicle.toggle(2, c_ms=120, b_ms=300)
        await bench.clock.sleep(5)
        assert bench.modes()[-1] == "asleep"
        await bench.soon(bench.evcc.idle(), 3600)
        await bench.state(State.PLUGGED)
        await bench.clock.sleep(1)
        assert bench.codes("SessionSetupRes") == ["OK_NewSessionEstablished", "OK_OldSessionJoined"]
        assert bench.outcomes() == ["paused", "terminated"]
        ((_, kwh),) = bench.verified_kwh().items()
        assert kwh == Decimal("0.4")
        codes = [row[2] for row in await bench.records()]
        assert codes[0] == "B"
        assert "S" in codes
        assert codes[-1] == "E"
        # the vehicle woke the station with two toggles of 300 ms
        woken = [e for e in bench.told("pilot.wakeup") if e.at > bench.at("secc.session", outcome="paused") + 100]
        assert [e.data["toggles"] for e in woken] == [1, 2]

    on_bench(main)


def test_a_pause_ends_with_the_plug() -> None:
    async def main(bench: Bench) -> None:
        assert bench.evcc is not None
        bench.evcc.plan = Plan(pause_after_s=30, pause_s=3000)
        await bench.plug(Seconds(3600))
        await bench.card()
        await bench.state(State.SUSPENDED, within=120)
        await bench.clock.sleep(5)
        assert bench.modes()[-1] == "asleep"
        await bench.unplug()
        await bench.clock.sleep(1)
        assert [row[2] for row in await bench.records()][-1] == "E"
        assert bench.secc.paused is None

    on_bench(main)


def test_a_vehicle_that_forgot_its_pause_has_to_pay_again() -> None:
    async def main(bench: Bench) -> None:
        assert bench.evcc is not None
        bench.evcc.plan = Plan(pause_after_s=30, pause_s=100_000)
        await bench.plug(Seconds(3600))
        await bench.card()
        await bench.state(State.SUSPENDED, within=120)
        await bench.clock.sleep(5)
        await bench.evcc.close()  # its controller loses its memory
        bench.evcc.plan = Plan()
        bench.evcc.start()
        bench.vehicle.toggle()
        await bench.state(State.PLUGGED)
        await bench.clock.sleep(2)
        assert bench.codes("SessionSetupRes") == ["OK_NewSessionEstablished"] * 2
        assert [row[2] for row in await bench.records()][-1] == "E"
        assert bench.vehicle.phase is Phase.CONNECTED
        await bench.card()
        await bench.charging()

    on_bench(main)


@pytest.mark.parametrize("dc", [False, True], ids=["AC", "DC"])
def test_both_sides_may_negotiate_anew(dc: bool) -> None:
    async def main(bench: Bench) -> None:
        assert bench.evcc is not None
        bench.evcc.plan = Plan(renegotiate_after_s=20)
        await bench.plug(Seconds(60))
        await bench.card()
        await bench.charging()
        await bench.clock.sleep(30)
        assert bench.messages().count("ChargeParameterDiscoveryReq") in (3, 4)
        bench.secc.renegotiate(10.0)
        await bench.clock.sleep(10)
        assert bench.vehicle.amperes == pytest.approx(10.0)
        await bench.soon(bench.evcc.idle(), 600)
        await bench.clock.sleep(2)
        assert bench.outcomes() == ["terminated"]
        assert len(bench.verified_kwh()) == 1

    on_bench(main, dc=dc)


FAULTS = {
    "CP to PE": ("cp_pe_short", "A"),
    "PE lost": ("pe_lost", "E"),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("dc", [False, True], ids=["AC", "DC"])
def test_an_electrical_fault_opens_at_once_and_ends_the_session(fault: str, dc: bool) -> None:
    attribute, code = FAULTS[fault]

    async def main(bench: Bench) -> None:
        await bench.plug(Seconds(3600))
        await bench.card()
        await bench.charging()
        await bench.clock.sleep(10)
        struck = bench.clock.monotonic()
        bench.outlet.cable.change(**{attribute: True})
        await bench.clock.sleep(0.1)
        assert not bench.outlet.branch.closed
        await bench.clock.sleep(4.9)
        assert bench.outcomes() == ["aborted"]
        assert bench.at("tcp.closed") - struck <= 5
        assert [row[2] for row in await bench.records()][-1] == code

    on_bench(main, dc=dc)


def test_another_fault_is_told_before_the_session_is_cut_off() -> None:
    async def main(bench: Bench) -> None:
        await bench.plug(Seconds(3600))
        await bench.card()
        await bench.charging()
        await bench.clock.sleep(10)
        bench.outlet.charger.board.residual.sense(dc_ma=7.0)
        await bench.clock.sleep(5)
        assert bench.outcomes() in (["terminated"], ["aborted"])
        assert [row[2] for row in await bench.records()][-1] == "A"
        assert await bench.state(State.FAULTED) is State.FAULTED
        assert not bench.outlet.branch.closed

    on_bench(main)


def test_a_bad_isolation_delivers_nothing() -> None:
    async def main(bench: Bench) -> None:
        assert bench.outlet.dc is not None
        assert bench.evcc is not None
        bench.outlet.dc.insulation_kohm = 20.0
        await bench.plug()
        await bench.card()
        await bench.soon(bench.evcc.failure())
        await bench.state(State.PLUGGED)
        await bench.clock.sleep(1)
        assert bench.codes("CableCheckRes")[-1] == "FAILED"
        ((_, kwh),) = bench.verified_kwh().items()
        assert kwh == 0
        assert [row[2] for row in await bench.records()] == ["B", "A"]
        bench.outlet.dc.insulation_kohm = 2000.0
        await bench.card()
        bench.evcc.try_again()
        await bench.charging()

    on_bench(main, dc=True)


def test_a_leak_while_current_flows_is_told() -> None:
    def status(bench: Bench) -> tuple[str, str]:
        last = [e.data["decoded"] for e in bench.told("v2g.tx") if e.data["message"] == "CurrentDemandRes"][-1]
        return find(last, "EVSEIsolationStatus"), find(last, "EVSEStatusCode")

    async def main(bench: Bench) -> None:
        assert bench.outlet.dc is not None
        await bench.plug()
        await bench.card()
        await bench.charging()
        await bench.clock.sleep(10)
        assert status(bench) == ("Valid", "EVSE_Ready")
        bench.outlet.dc.leak(20.0)
        await bench.clock.sleep(1)
        assert not bench.outlet.branch.closed
        assert status(bench) == ("Fault", "EVSE_Malfunction")

    on_bench(main, dc=True)


def test_a_token_that_is_away_lets_nobody_charge() -> None:
    async def main(bench: Bench) -> None:
        bench.signer.away = True
        await bench.plug()
        await bench.card()
        await bench.clock.sleep(25)
        assert "PowerDeliveryReq" not in bench.messages()
        assert not bench.told("power.contactor")
        bench.signer.away = False
        await bench.charging()

    on_bench(main, policy=Policy(token_s=300))


def test_another_card_does_not_end_it() -> None:
    async def main(bench: Bench) -> None:
        from gateway.authorisation import IdToken

        await bench.plug(Seconds(600))
        await bench.card()
        await bench.charging()
        with pytest.raises(RefusedError):
            await bench.controller.authorise("c1", IdToken("04FFFFFF"))
        await bench.clock.sleep(5)
        assert bench.vehicle.phase is Phase.CHARGING

    on_bench(main)
