"""The asyncio shell: `ChargeControl` as the gateway uses it."""

from __future__ import annotations

import asyncio

import pytest

from firmware_sim.charger.settings import ChargerSettings
from firmware_sim.circuit import Circuit
from firmware_sim.vehicle.settings import VehicleSettings
from firmware_sim.vehicle.transitions import Phase
from firmware_sim.vehicle.wish import Seconds
from hil_rigs.real_clock import RealClock
from ports.charge_control import ChargeControl, ContactorChanged, ControlEvent, ControlFault, ControlStatus, PilotState
from ports.errors import LocalError, PeerError
from tests.firmware_sim.bench import Bench, on_bench


def test_it_is_a_charge_control() -> None:
    async def main(bench: Bench) -> None:
        control: ChargeControl = bench.charger  # the type checker's business
        assert control.connector == "c1"
        assert await control.status() == ControlStatus(PilotState.A, 100.0, False, False, 0, frozenset())

    on_bench(main)


def test_status_of_a_station_with_its_own_cable() -> None:
    async def main(bench: Bench) -> None:
        await bench.charger.set_lock(True)  # there is nothing to lock
        await bench.charge(16)
        status = await bench.charger.status()
        assert (status.cable_a, status.locked, status.contactor_closed) == (None, False, True)

    on_bench(main, charger=ChargerSettings(tethered=True))


def test_a_second_consumer_takes_over() -> None:
    async def main(bench: Bench) -> None:
        second = bench.charger.events()
        bench.vehicle.plug_in(bench.connector)
        event = await anext(second)
        assert isinstance(event, ControlEvent)
        assert bench.events == []  # the first ended before

    on_bench(main)


def test_events_from_the_call_on_not_from_the_first_wait() -> None:
    async def main(bench: Bench) -> None:
        events = bench.charger.events()
        bench.vehicle.plug_in(bench.connector)
        await bench.clock.sleep(10)
        bench.vehicle.unplug()
        await bench.clock.sleep(10)
        assert [(await anext(events)).state for _ in range(2)] == ["B", "A"]  # type: ignore[attr-defined]

    on_bench(main)


def test_a_cancelled_command_harms_nobody() -> None:
    async def main(bench: Bench) -> None:
        await bench.charge()
        opening = asyncio.ensure_future(bench.charger.set_contactor(False))
        await asyncio.sleep(0)
        opening.cancel()
        await bench.clock.sleep(5)
        assert bench.contactor() == [True, False]
        await bench.charger.set_contactor(False)

    on_bench(main)


def test_a_jammed_lock() -> None:
    async def main(bench: Bench) -> None:
        undo = bench.inject("ConnectorLockFailure.jam")
        bench.vehicle.plug_in(bench.connector)
        with pytest.raises(PeerError, match="the lock does not close"):
            await bench.charger.set_lock(True)
        assert (await bench.charger.status()).faults == {ControlFault.LOCK}
        undo()
        await bench.charger.set_lock(True)
        assert (await bench.charger.status()).faults == frozenset()

    on_bench(main)


def test_close_opens_and_ends_the_events() -> None:
    async def main(bench: Bench) -> None:
        await bench.charge()
        events = bench.charger.events()
        await bench.charger.close()
        await bench.charger.close()
        assert [event.closed async for event in events if isinstance(event, ContactorChanged)] == [False]
        assert (await bench.charger.status()).duty == 100

    on_bench(main)


def test_a_new_gateway_may_take_the_board_over() -> None:
    async def main(bench: Bench) -> None:
        await bench.charge()
        await bench.charger.close()
        await bench.clock.sleep(5)
        collecting = asyncio.ensure_future(bench.collect())
        await asyncio.sleep(0)
        await bench.charger.offer_current(16)
        await bench.until_pilot("C2")
        await bench.charger.set_contactor(True)
        await bench.charger.close()
        await collecting

    on_bench(main)


def test_close_with_a_welded_contactor_returns() -> None:
    async def main(bench: Bench) -> None:
        await bench.charge()
        bench.inject("EVSEContactorFault.welded")
        await bench.charger.close()
        assert (await bench.charger.status()).contactor_closed

    on_bench(main)


def test_switching_the_plant_off_tells_who_waits() -> None:
    async def main(bench: Bench) -> None:
        await bench.charge()
        opening = asyncio.ensure_future(bench.charger.set_contactor(False))
        await asyncio.sleep(0)
        await bench.plant.close()
        with pytest.raises(PeerError, match="switched off"):
            await opening
        assert [event async for event in bench.charger.events()] == []
        with pytest.raises(PeerError, match="switched off"):
            await bench.charger.set_lock(True)
        await bench.charger.close()

    on_bench(main)


def test_wrong_offers_are_the_callers_fault() -> None:
    async def main(bench: Bench) -> None:
        with pytest.raises(LocalError, match="6 to 80 A"):
            await bench.charger.offer_current(3)
        with pytest.raises(LocalError, match="is no duty"):
            await bench.charger.offer_duty(0)

    on_bench(main)


async def test_a_session_in_real_time() -> None:
    quick = VehicleSettings(ready_after_s=0.02, draw_after_s=0.01, open_after_s=0.01)
    async with Circuit(RealClock()) as plant:
        connector, vehicle = plant.add_connector("c1"), plant.add_vehicle("ev", quick)
        control, events = connector.charger, connector.charger.events()
        vehicle.want(Seconds(0.05))
        vehicle.plug_in(connector)
        assert (await anext(events)).state is PilotState.B  # type: ignore[attr-defined]
        assert (await control.status()).cable_a == 32
        await control.set_lock(True)
        await control.offer_current(16)
        while (await control.status()).pilot is not PilotState.C:
            await anext(events)
        await control.set_contactor(True)
        await vehicle.until(Phase.STOPPING)
        async for event in events:
            if isinstance(event, ContactorChanged) and not event.closed:
                break
        assert plant.point("c1").electrical().energy_import_wh > 0
        await control.set_lock(False)
        vehicle.unplug()
        await control.close()
