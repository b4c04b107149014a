"""What the vehicle does by itself, on a whole bench."""

from __future__ import annotations

from decimal import Decimal

import pytest

from firmware_sim.vehicle.script import Step
from firmware_sim.vehicle.settings import VehicleSettings
from firmware_sim.vehicle.transitions import NEXT, VEHICLE_TRANSITIONS, Phase
from firmware_sim.vehicle.wish import Energy, Seconds, ToSoc
from ports.errors import LocalError
from tests.firmware_sim.bench import Bench, on_bench


def test_the_table_is_sound() -> None:
    assert len(NEXT) == len(VEHICLE_TRANSITIONS)
    for phase in Phase:
        assert phase is Phase.UNPLUGGED or (phase, "unplug") in NEXT


def test_charge_to_a_state_of_charge() -> None:
    async def main(bench: Bench) -> None:
        bench.vehicle.want(ToSoc(50))
        await bench.charge()
        await bench.vehicle.until(Phase.STOPPING)
        assert bench.vehicle.soc == pytest.approx(50, abs=1e-9)
        wh = bench.point.electrical().energy_import_wh
        assert wh == pytest.approx(Decimal(60_000) * Decimal("0.2") / Decimal("0.9"), abs=Decimal("1e-6"))

    on_bench(main)


def test_charge_an_energy() -> None:
    async def main(bench: Bench) -> None:
        bench.vehicle.want(Energy(Decimal("1234.5")))
        await bench.charge()
        await bench.vehicle.until(Phase.CONNECTED)
        wh = bench.point.electrical().energy_import_wh
        assert 0 <= wh - Decimal("1234.5") < Decimal("1e-8")  # one nanosecond of 11 kW at most

    on_bench(main)


def test_charge_for_a_time() -> None:
    async def main(bench: Bench) -> None:
        bench.vehicle.want(Seconds(1800))
        await bench.charge()
        began = next(e.at for e in bench.traced("pilot.vehicle") if e.data["phase"] == "charging")
        await bench.vehicle.until(Phase.STOPPING)
        assert bench.clock.monotonic() - began == pytest.approx(1800)
        assert bench.point.electrical().energy_import_wh == Decimal(5520)

    on_bench(main)


def test_an_interruption_does_not_prolong_the_time() -> None:
    async def main(bench: Bench) -> None:
        bench.vehicle.want(Seconds(1800))
        await bench.charge()
        began = next(e.at for e in bench.traced("pilot.vehicle") if e.data["phase"] == "charging")
        await bench.charger.set_contactor(False)
        await bench.clock.sleep(600)
        await bench.charger.set_contactor(True)
        await bench.vehicle.until(Phase.STOPPING)
        assert bench.clock.monotonic() - began == pytest.approx(1800)

    on_bench(main)


def test_a_second_wish_charges_on() -> None:
    async def main(bench: Bench) -> None:
        bench.vehicle.want(Energy(Decimal(100)))
        await bench.charge()
        await bench.vehicle.until(Phase.CONNECTED)
        bench.vehicle.want(Energy(Decimal(50)))
        await bench.until_pilot("C2")
        await bench.charger.set_contactor(True)
        await bench.vehicle.until(Phase.STOPPING)
        assert bench.point.electrical().energy_import_wh == pytest.approx(Decimal(150), abs=Decimal("1e-7"))

    on_bench(main)


def test_full_is_full() -> None:
    async def main(bench: Bench) -> None:
        await bench.charge()
        await bench.vehicle.until(Phase.STOPPING)
        assert bench.vehicle.battery.full
        currents = [e.data["milliamperes"][0] for e in bench.traced("power.flow")]  # type: ignore[index]
        taper = currents[currents.index(16000) :]
        assert taper == sorted(taper, reverse=True)
        assert len(set(taper)) == 11  # ten steps and nothing
        await bench.clock.sleep(3600)
        assert bench.vehicle.phase is Phase.CONNECTED

    on_bench(main, vehicle=VehicleSettings(soc=80))


@pytest.mark.parametrize(("phases", "amperes"), [(1, (16, 0, 0)), (2, (16, 16, 0)), (3, (16, 16, 16))])
def test_phases(phases: int, amperes: tuple[float, ...]) -> None:
    async def main(bench: Bench) -> None:
        await bench.charge()
        assert bench.point.electrical().current_a == amperes

    on_bench(main, vehicle=VehicleSettings(phases=phases))


def test_it_follows_the_duty_in_time_and_never_draws_more() -> None:
    async def main(bench: Bench) -> None:
        await bench.charge(32)
        for offer in (10, 32, 6, 13.5, 7.3):
            await bench.clock.sleep(5)
            await bench.charger.offer_current(offer)
            await bench.clock.sleep(bench.vehicle.settings.adapt_after_s + 1e-6)
            assert bench.vehicle.amperes == min(offer, 20)

    on_bench(main, vehicle=VehicleSettings(max_a=20))


def test_an_offer_below_six_amperes_is_none() -> None:
    async def main(bench: Bench) -> None:
        await bench.charge(16)
        await bench.charger.offer_duty(7.5)  # no current is defined for it
        await bench.clock.sleep(10)
        assert bench.vehicle.phase is Phase.CONNECTED

    on_bench(main)


def test_digital_duty_needs_a_digital_limit() -> None:
    async def main(bench: Bench) -> None:
        bench.vehicle.plug_in(bench.connector)
        await bench.until_pilot("B1")
        await bench.charger.set_lock(True)
        await bench.charger.offer_duty(5)
        await bench.clock.sleep(60)
        assert bench.pilots() == ["B1", "B2"]
        bench.vehicle.set_digital_limit(12.5)
        await bench.until_pilot("C2")
        await bench.charger.set_contactor(True)
        await bench.clock.sleep(2)
        assert bench.point.electrical().current_a[0] == 12.5
        bench.vehicle.set_digital_limit(None)
        await bench.until_pilot("B2")

    on_bench(main)


def test_a_script() -> None:
    async def main(bench: Bench) -> None:
        steps = [Step(1, "plug"), Step(10, "charge_wh", "500"), Step(3600, "stop"), Step(3610, "unplug")]
        bench.vehicle.play(steps, bench.connector)
        await bench.until_pilot("B1")
        await bench.charger.set_lock(True)
        await bench.charger.offer_current(16)
        await bench.until_pilot("C2")
        await bench.charger.set_contactor(True)
        await bench.vehicle.until(Phase.UNPLUGGED)
        assert bench.point.electrical().energy_import_wh > 500
        await bench.clock.sleep(1)
        assert bench.pilots()[-2:] == ["A2", "A1"]  # no plug, no PWM

    on_bench(main)


def test_a_script_with_an_unknown_word() -> None:
    with pytest.raises(LocalError, match="a vehicle cannot 'fly'"):
        Step(0, "fly")


def test_one_plug_at_a_time() -> None:
    async def main(bench: Bench) -> None:
        bench.vehicle.plug_in(bench.connector)
        with pytest.raises(LocalError, match="plugged in at c1 already"):
            bench.vehicle.plug_in(bench.connector)
        other = bench.plant.add_vehicle("other")
        with pytest.raises(LocalError, match="c1 is taken"):
            other.plug_in(bench.connector)
        bench.vehicle.unplug()
        bench.vehicle.unplug()
        other.plug_in(bench.connector)
        assert other.outlet is bench.connector

    on_bench(main)


def test_it_moves_to_another_outlet_with_its_battery() -> None:
    async def main(bench: Bench) -> None:
        await bench.charge()
        await bench.clock.sleep(3600)
        soc = bench.vehicle.soc
        assert soc > 45
        bench.vehicle.unplug()
        bench.vehicle.plug_in(bench.plant.add_connector("c2"))
        await bench.clock.sleep(3600)
        assert bench.vehicle.soc == soc

    on_bench(main)
