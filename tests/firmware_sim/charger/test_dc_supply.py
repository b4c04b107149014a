"""The DC power stage in the plant: ramp, limits, isolation, and what the meters at both ends of it count."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from firmware_sim.charger.settings import ChargerSettings
from firmware_sim.circuit import Circuit
from firmware_sim.faults import Target, inject
from hil_rigs.virtual_clock import VirtualClock, run_virtual
from ports.charge_control import ControlFault
from ports.dc_supply import DcMeasured, DcRating, Isolation
from tests.firmware_sim.bench import START

RATING = DcRating(max_voltage_v=500.0, min_voltage_v=150.0, max_current_a=100.0, max_power_w=50_000.0)


def on_plant(main: Any) -> None:
    async def run(clock: VirtualClock) -> None:
        async with Circuit(clock) as plant:
            outlet = plant.add_connector("c1", ChargerSettings(tethered=True), dc=RATING)
            await main(clock, plant, outlet)

    run_virtual(run, start=START)


def test_it_goes_along_a_ramp_and_back() -> None:
    async def main(clock: VirtualClock, _plant: Circuit, outlet: Any) -> None:
        outlet.dc.set_output(400.0, 10.0)
        await clock.sleep(0.2)
        assert 180 <= outlet.dc.measured().voltage_v <= 240
        await clock.sleep(0.3)
        assert outlet.dc.measured() == DcMeasured(400.0, 0.0)
        outlet.dc.set_output(0.0, 0.0)
        await clock.sleep(0.5)
        assert outlet.dc.measured() == DcMeasured(0.0, 0.0)

    on_plant(main)


def test_it_never_leaves_its_rating() -> None:
    async def main(clock: VirtualClock, plant: Circuit, outlet: Any) -> None:
        plant.set_contactor("c1", True)
        plant.set_demand(outlet.branch, (900_000, 0, 0))
        outlet.dc.set_output(2000.0, 2000.0)
        await clock.sleep(5)
        assert outlet.dc.measured() == DcMeasured(500.0, 100.0)
        outlet.dc.set_output(-5.0, -5.0)
        await clock.sleep(5)
        assert outlet.dc.measured() == DcMeasured(0.0, 0.0)

    on_plant(main)


def test_both_meters_count_the_same_energy_in_their_own_volts() -> None:
    async def main(clock: VirtualClock, plant: Circuit, outlet: Any) -> None:
        outlet.dc.set_output(400.0, 60.0)
        await clock.sleep(1)
        plant.set_contactor("c1", True)
        plant.set_demand(outlet.branch, (50_000, 0, 0))
        await clock.sleep(3600)
        behind, before = plant.point("c1").electrical(), plant.point().electrical()
        assert behind.energy_import_wh == before.energy_import_wh == Decimal(20_000)
        assert (behind.voltage_v[0], behind.current_a[0], behind.power_w[0]) == (400.0, 50.0, 20_000.0)
        assert before.voltage_v == (230.0, 230.0, 230.0)
        assert sum(before.power_w) == pytest.approx(20_000, rel=1e-4)
        outlet.dc.set_output(400.0, 20.0)  # the limit holds at once
        assert outlet.dc.measured().current_a == 20.0

    on_plant(main)


def test_without_mains_nothing_flows_and_the_board_says_so() -> None:
    async def main(clock: VirtualClock, plant: Circuit, outlet: Any) -> None:
        outlet.dc.set_output(400.0, 60.0)
        await clock.sleep(1)
        plant.set_contactor("c1", True)
        plant.set_demand(outlet.branch, (50_000, 0, 0))
        plant.change_mains(lambda: setattr(plant.mains, "level", 0.0))
        await clock.sleep(1)
        assert outlet.dc.measured().current_a == 0.0
        assert ControlFault.POWER_LOSS in (await outlet.charger.status()).faults

    on_plant(main)


@pytest.mark.parametrize(
    ("kohm", "verdict"), [(2000.0, Isolation.VALID), (200.0, Isolation.WARNING), (20.0, Isolation.FAULT)]
)
def test_the_isolation_is_judged_by_ohms_per_volt(kohm: float, verdict: Isolation) -> None:
    async def main(clock: VirtualClock, _plant: Circuit, outlet: Any) -> None:
        outlet.dc.insulation_kohm = kohm
        test = asyncio.ensure_future(outlet.dc.test_isolation())
        await clock.sleep(1)
        assert outlet.dc.measured().voltage_v == 500.0
        assert await test is verdict
        await clock.sleep(1)
        assert outlet.dc.measured().voltage_v == 0.0

    on_plant(main)


def test_a_leak_under_way_opens_the_contactor_by_itself() -> None:
    async def main(clock: VirtualClock, plant: Circuit, outlet: Any) -> None:
        vehicle = plant.add_vehicle("ev")
        vehicle.plug_in(outlet)
        await clock.sleep(1)
        await outlet.charger.set_lock(True)
        await outlet.charger.offer_current(16)
        await clock.sleep(4)
        await outlet.charger.set_contactor(True)
        undo = inject(Target(plant, outlet), "CableCheckFault.insulation", kohm=200)
        await clock.sleep(1)
        assert outlet.branch.closed  # a warning only
        inject(Target(plant, outlet), "CableCheckFault.insulation", kohm=20)
        await clock.sleep(1)
        assert not outlet.branch.closed
        assert ControlFault.GROUND in (await outlet.charger.status()).faults
        undo()
        assert outlet.dc.insulation_kohm == 2000.0

    on_plant(main)


def test_a_slow_test_takes_its_time() -> None:
    async def main(clock: VirtualClock, plant: Circuit, outlet: Any) -> None:
        undo = inject(Target(plant, outlet), "CableCheckFault.slow", seconds=35)
        began = clock.monotonic()
        assert await outlet.dc.test_isolation() is Isolation.VALID
        assert clock.monotonic() - began == pytest.approx(36.5, abs=0.1)
        undo()
        began = clock.monotonic()
        await outlet.dc.test_isolation()
        assert clock.monotonic() - began == pytest.approx(1.5, abs=0.6)  # from 500 V, perhaps still falling

    on_plant(main)


def test_a_weak_stage_does_not_reach_its_voltage() -> None:
    async def main(clock: VirtualClock, plant: Circuit, outlet: Any) -> None:
        undo = inject(Target(plant, outlet), "UnderVoltage.dc_output", per_cent=50)
        outlet.dc.set_output(400.0, 10.0)
        await clock.sleep(2)
        assert outlet.dc.measured().voltage_v == 200.0
        undo()
        outlet.dc.set_output(400.0, 10.0)
        await clock.sleep(2)
        assert outlet.dc.measured().voltage_v == 400.0

    on_plant(main)
