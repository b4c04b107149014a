"""What vehicles and links do wrong, and what the gateway makes of it: codes, times, records, and the next session."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from typing import Any

import pytest

from firmware_sim.vehicle.communication import Communication
from firmware_sim.vehicle.wish import Seconds
from gateway.transaction import State
from tests.gateway.secc.bench import Bench, on_bench
from v2g.session.faults import CutFrame, Drop, Fault, FaultPlan, ReplaceHeader, Silence, WrongOrder, WrongSession

AC = (
    *("SessionSetupReq", "ServiceDiscoveryReq", "PaymentServiceSelectionReq", "AuthorizationReq"),
    *("ChargeParameterDiscoveryReq", "PowerDeliveryReq", "ChargingStatusReq", "SessionStopReq"),
)
DC = (
    *("SessionSetupReq", "ServiceDiscoveryReq", "PaymentServiceSelectionReq", "AuthorizationReq"),
    *("ChargeParameterDiscoveryReq", "CableCheckReq", "PreChargeReq", "PowerDeliveryReq", "CurrentDemandReq"),
    *("WeldingDetectionReq", "SessionStopReq"),
)
ROUTES = [(False, name) for name in AC] + [(True, name) for name in DC]
JOINED = [route for route in ROUTES if route[1] != "SessionSetupReq"]  # a session begins with any id
IDS = [f"{'DC' if dc else 'AC'} {name}" for dc, name in ROUTES]


class Breaking:
    """A bench whose vehicle is broken in its first session; the ones after it are sound."""

    def __init__(self, *faults: Fault, **settings: Any) -> None:
        plans = iter([FaultPlan(faults)])
        settings.setdefault("evcc", {})
        settings["evcc"] |= {"hook": lambda: next(plans, FaultPlan(()))}
        self.settings = settings

    def run(self, check: Callable[[Bench], Any]) -> None:
        """The broken session, `check`, and a sound session after it."""

        async def main(bench: Bench) -> None:
            await bench.plug(Seconds(5))
            await bench.card()
            assert bench.evcc is not None
            await bench.soon(bench.evcc.idle(), 200) if bench.evcc.connection else await _fail_or_end(bench)
            check_result = check(bench)
            if check_result is not None:
                await check_result
            await _the_next_one(bench)

        on_bench(main, **self.settings)


async def _fail_or_end(bench: Bench) -> None:
    assert bench.evcc is not None
    await bench.clock.sleep(1)
    await bench.soon(bench.evcc.idle(), 200)


async def _the_next_one(bench: Bench) -> None:
    """The station is ready within 5 s, everything of the broken session is closed and signed."""
    assert bench.evcc is not None
    await bench.clock.sleep(5)
    state = bench.connector.machine.state
    assert state in (State.PLUGGED, State.OFFERED), state
    assert not bench.outlet.branch.closed
    if state is State.PLUGGED:
        for _, own in groupby(await bench.records(), lambda row: row[0]):
            assert [row[1] for row in own][-1] == "Transaction.End"
        await bench.card()
    bench.vehicle.want(Seconds(5))
    bench.evcc.try_again()
    await bench.charging()
    await bench.soon(bench.evcc.idle(), 200)
    assert bench.evcc.problem == ""
    await bench.state(State.PLUGGED)
    await bench.clock.sleep(1)
    assert bench.outcomes()[-1] == "terminated"
    energies = bench.verified_kwh()  # every record of every transaction
    total = sum(kwh for kwh in energies.values() if kwh is not None) * 1000
    assert abs(bench.point.electrical().energy_import_wh - total) < 1 + len(energies)


def answer(request: str) -> str:
    return request.removesuffix("Req") + "Res"


@pytest.mark.parametrize(("dc", "name"), JOINED, ids=[f"{'DC' if dc else 'AC'} {name}" for dc, name in JOINED])
@pytest.mark.parametrize("session_id", ["ffffffffffffffff", "0000000000000000", ""], ids=["other", "zero", "empty"])
def test_a_wrong_session_id_is_refused(dc: bool, name: str, session_id: str) -> None:
    """ISO 15118-4 families *_VTB_*, second case; EVerest's EvseV2G served zero and empty ids."""

    def check(bench: Bench) -> None:
        assert bench.codes(answer(name))[-1] == "FAILED_UnknownSession"
        assert bench.outcomes() == ["failed"]
        refused = bench.at("v2g.Refused", name=name)
        assert bench.at("tcp.closed") - refused <= 5

    Breaking(WrongSession(message=name, session_id=session_id), dc=dc).run(check)


@pytest.mark.parametrize(("dc", "name"), ROUTES, ids=IDS)
def test_a_wrong_message_is_refused(dc: bool, name: str) -> None:
    instead = "SessionStopReq" if name == "SessionSetupReq" else "SessionSetupReq"

    def check(bench: Bench) -> None:
        assert bench.codes(answer(instead))[-1] == "FAILED_SequenceError"
        assert bench.at("tcp.closed") - bench.at("v2g.Refused", name=instead) <= 5

    Breaking(WrongOrder(message=name, instead=instead), dc=dc).run(check)


@pytest.mark.parametrize(("dc", "name"), ROUTES, ids=IDS)
def test_silence_ends_the_session(dc: bool, name: str) -> None:
    """A vehicle that hears nothing closes by its message timer; the station is left with a dead connection."""

    def check(bench: Bench) -> None:
        assert bench.evcc is not None
        assert bench.evcc.outcomes[-1].outcome == "timed out"
        # until SessionSetupRes there is no session that could be lost
        assert bench.outcomes() == ([] if name == "SessionSetupReq" else ["lost"])

    Breaking(Silence(message=name), dc=dc).run(check)


HEADERS = {
    "length 0": ReplaceHeader(message="PowerDeliveryReq", length=0),
    "type 0x7001": ReplaceHeader(message="PowerDeliveryReq", payload_type=0x7001),
    "version 0xFF": ReplaceHeader(message="PowerDeliveryReq", version=0xFF),
    "wrong inverse": ReplaceHeader(message="PowerDeliveryReq", inverse=0x01),
    "6 of 8 octets": CutFrame(message="PowerDeliveryReq", octets=6),
    "never sent": Drop(message="PowerDeliveryReq"),
}


@pytest.mark.parametrize("fault", HEADERS)
@pytest.mark.parametrize("name", ["supportedAppProtocolReq", "SessionSetupReq", "PowerDeliveryReq"])
def test_a_malformed_header_is_ignored_until_the_time_is_up(name: str, fault: str) -> None:
    import msgspec

    def check(bench: Bench) -> None:
        assert answer(name) not in bench.messages()
        assert bench.evcc is not None
        assert bench.evcc.outcomes[-1].outcome == "timed out"
        assert not bench.told("session.crash")

    Breaking(msgspec.structs.replace(HEADERS[fault], message=name)).run(check)


def _freeze(bench: Bench) -> None:
    """The vehicle's controller hangs: it keeps the connection and the pilot, and never speaks again."""
    assert bench.evcc is not None
    assert bench.evcc.connection is not None
    machine: Any = bench.evcc.connection.machine
    machine._next = machine._answer_by = None
    machine._limits.clear()


def test_a_silent_vehicle_is_waited_for_60_s() -> None:
    async def main(bench: Bench) -> None:
        await bench.plug(Seconds(3600))
        await bench.card()
        await bench.charging()
        await bench.clock.sleep(5)
        last = bench.at("v2g.rx", role="SECC")
        _freeze(bench)
        await bench.state(State.PLUGGED, within=70)
        assert bench.outcomes() == ["timed out"]
        assert bench.at("secc.session", outcome="timed out") - last == pytest.approx(60, abs=0.01)
        await bench.clock.sleep(1)
        assert [row[2] for row in await bench.records()][-1] == "A"

    on_bench(main)


def test_a_new_session_of_the_vehicle_replaces_a_dead_one() -> None:
    async def main(bench: Bench) -> None:
        assert bench.evcc is not None
        await bench.plug(Seconds(3600))
        await bench.card()
        await bench.charging()
        await bench.clock.sleep(5)
        _freeze(bench)
        again = Communication(bench.vehicle, bench.evcc.setup, bench.clock)
        again.start()
        await bench.clock.sleep(5)
        assert bench.outcomes() == ["aborted"]
        assert bench.connector.machine.state is State.PLUGGED
        assert [row[2] for row in await bench.records()][-1] == "A"
        await bench.card()
        await bench.charging()
        await again.close()

    on_bench(main)
