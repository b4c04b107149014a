"""A meter of each model, read over a virtual line in virtual time."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from hil_rigs.serial_line.memory_line import MemoryLine
from hil_rigs.virtual_clock import VirtualClock, run_virtual
from meters.modbus_meter import ModbusMeter
from meters.model import load_model, model_names
from meters.plausibility import ImplausibleError, MeterReplacedError
from meters.rtu_master import RtuMaster
from meters.simulated import OTHER_SERIAL, SERIAL, SimulatedMeter
from ports.errors import LocalError, PeerError, RigError
from ports.meter import Quality
from tests.meters.plant import Plant
from wire.modbus_pdu import DeviceRefusedError

START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class Bench:
    """A meter, its simulated device, and everything between."""

    clock: VirtualClock
    plant: Plant
    sim: SimulatedMeter
    line: MemoryLine
    master: RtuMaster
    meter: ModbusMeter


def on_bench(test: Callable[[Bench], Awaitable[None]], name: str = "eastron_sdm630", **options: object) -> None:
    """Run a test with a bench, in virtual time."""

    async def main(clock: VirtualClock) -> None:
        model = load_model(name)
        plant = Plant(11_000, clock.monotonic)
        plant.extra_wh = Decimal("1234567.89")
        sim = SimulatedMeter(model, plant, start=Decimal(100))
        line = MemoryLine(model.settings, [sim])
        master = RtuMaster(line.port())
        meter = ModbusMeter("m1", model, master, clock, settings=model.settings, **options)
        await test(Bench(clock, plant, sim, line, master, meter))
        line.close()

    run_virtual(main, start=START)


@pytest.mark.parametrize("name", model_names())
def test_reads_every_model(name: str) -> None:
    async def test(bench: Bench) -> None:
        bench.plant.freeze()
        identity = await bench.meter.identify()
        assert identity.serial == SERIAL
        energy = await bench.meter.read_energy()
        assert energy.value == bench.sim.shown("energy_import")
        assert energy.unit == "kWh"
        assert energy.obis == "1-b:1.8.0"
        assert energy.billing_grade
        assert energy.raw
        readings = await bench.meter.read()
        assert set(readings) == {point.name for point in bench.meter.model.points}
        assert abs(readings["power"].value - 11_000) < 1
        assert abs(readings["voltage_l2"].value - Decimal("231.5")) <= Decimal("0.1")
        assert bench.line.counters.violations == 0

    on_bench(test, name)


@pytest.mark.parametrize("name", model_names())
def test_register_is_the_floor_of_the_plant_energy_at_its_last_digit(name: str) -> None:
    async def test(bench: Bench) -> None:
        bench.plant.freeze()
        energy = await bench.meter.read_energy()
        digit = Decimal(1).scaleb(int(energy.value.as_tuple().exponent))
        for milliwatthours in (1, 4_999, 9_998, 9_999, 10_000, 3):
            bench.plant.extra_wh += Decimal(milliwatthours) / 1000
            reading = await bench.meter.read_energy()
            exact = 100 + bench.plant.energy_wh / 1000
            assert reading.value == exact // digit * digit

    on_bench(test, name)


def test_counter_running_backwards_names_register_and_both_values() -> None:
    async def test(bench: Bench) -> None:
        bench.plant.freeze()
        good = await bench.meter.read_energy()
        bench.sim.faults.inject("backwards", times=1, by=7)
        with pytest.raises(ImplausibleError, match=r"m1, energy_import \(input registers 0x0048-0x0049\)") as caught:
            await bench.meter.read_energy()
        assert f"backwards from {good.value} to {good.value - Decimal('0.07')} kWh" in str(caught.value)
        assert caught.value.quality is Quality.OUT_OF_RANGE
        assert (await bench.meter.read_energy()).value == good.value  # a momentary fault leaves nothing behind

    on_bench(test)


def test_jumping_counter_is_refused_and_the_next_good_value_taken() -> None:
    async def test(bench: Bench) -> None:
        good = await bench.meter.read_energy()
        bench.sim.faults.inject("jump", times=1)
        with pytest.raises(ImplausibleError, match=rf"jumped from {good.value} to .* more than 75900 W"):
            await bench.meter.read_energy()
        await bench.clock.sleep(60)
        assert (await bench.meter.read_energy()).value > good.value

    on_bench(test)


@pytest.mark.parametrize("fault", ["jump", "zero", "backwards"])
def test_a_wrong_first_reading_is_caught_by_its_confirmation(fault: str) -> None:
    async def test(bench: Bench) -> None:
        await bench.meter.identify()
        bench.sim.faults.inject(fault, times=1)
        with pytest.raises(ImplausibleError):
            await bench.meter.read_energy()
        assert (await bench.meter.read_energy()).value == bench.sim.shown("energy_import")

    on_bench(test)


def test_reset_meter_stays_refused_until_somebody_accepts_it() -> None:
    async def test(bench: Bench) -> None:
        await bench.meter.read_energy()
        bench.sim.faults.inject("reset")
        for _ in range(3):
            with pytest.raises(ImplausibleError, match="ran backwards"):
                await bench.meter.read_energy()
        bench.meter.forget()
        assert (await bench.meter.read_energy()).value == 0

    on_bench(test)


def test_replaced_meter_is_found_by_its_serial_number() -> None:
    async def test(bench: Bench) -> None:
        await bench.meter.read_energy()
        bench.sim.faults.inject("serial_change")
        for _ in range(2):
            with pytest.raises(MeterReplacedError, match=f"{SERIAL} before, {OTHER_SERIAL} now") as caught:
                await bench.meter.read_energy()
            assert caught.value.quality is Quality.EXCHANGED
        bench.sim.faults.clear()
        assert (await bench.meter.read_energy()).value == bench.sim.shown("energy_import")

    on_bench(test)


def test_another_meter_than_expected_is_refused() -> None:
    async def test(bench: Bench) -> None:
        with pytest.raises(MeterReplacedError, match="1234 before"):
            await bench.meter.read_energy()

    on_bench(test, expected_serial="1234")


def test_stuck_meter_reads_the_same_value() -> None:
    async def test(bench: Bench) -> None:
        bench.sim.faults.inject("stuck")
        first = await bench.meter.read_energy()
        await bench.clock.sleep(600)
        assert (await bench.meter.read_energy()).value == first.value
        assert first.value < bench.sim.shown("energy_import")

    on_bench(test)


@pytest.mark.parametrize("name", model_names())
def test_swapped_words_are_refused(name: str) -> None:
    async def test(bench: Bench) -> None:
        await bench.meter.read_energy()
        bench.sim.faults.inject("swapped_words", times=1)
        with pytest.raises(ImplausibleError):
            await bench.meter.read_energy()

    on_bench(test, name)


def test_busy_meter_is_asked_again() -> None:
    async def test(bench: Bench) -> None:
        bench.sim.faults.inject("busy", times=3)
        assert (await bench.meter.read_energy()).value == bench.sim.shown("energy_import")
        bench.sim.faults.inject("busy")
        with pytest.raises(DeviceRefusedError, match="meter m1: exception 6"):
            await bench.meter.read_energy()

    on_bench(test)


@pytest.mark.parametrize("code", [1, 2, 3, 4, 11])
def test_exceptions_are_named(code: int) -> None:
    async def test(bench: Bench) -> None:
        await bench.meter.identify()
        bench.sim.faults.inject("exception", code=code)
        with pytest.raises(DeviceRefusedError, match=rf"exception {code} \(") as caught:
            await bench.meter.read_energy()
        assert caught.value.code == code
        assert bench.master.counters.exceptions == 1

    on_bench(test)


def test_optional_points_that_a_device_lacks_are_left_out() -> None:
    async def test(bench: Bench) -> None:
        lacking = {key for key, point in bench.sim._owner.items() if point.name.startswith("energy_import_l")}
        for key in lacking:
            del bench.sim._owner[key]
        readings = await bench.meter.read()
        assert "energy_import_l1" not in readings
        assert "power" in readings
        asked = bench.sim.requests
        assert set(await bench.meter.read()) == set(readings)
        assert bench.sim.requests - asked <= 4  # it remembers what is missing

    on_bench(test)


def test_unknown_point_and_unknown_parameter() -> None:
    async def test(bench: Bench) -> None:
        with pytest.raises(RigError, match="no point 'enrgy'; it has energy_import"):
            await bench.meter.read(("enrgy",))
        with pytest.raises(LocalError, match="no parameter 'x' to write"):
            await bench.meter.write("x", "y")

    on_bench(test)


def test_a_dead_meter_is_logged_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    async def test(bench: Bench) -> None:
        await bench.meter.identify()
        bench.sim.faults.inject("dead")
        began = bench.clock.monotonic()
        while bench.clock.monotonic() < began + 290:
            with pytest.raises(PeerError, match="no answer"):
                await bench.meter.read_energy()
            await bench.clock.sleep(1)
        warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
        assert len(warnings) == 5
        bench.sim.faults.clear()
        assert (await bench.meter.read_energy()).value == bench.sim.shown("energy_import")
        assert "answers again after" in caplog.records[-1].getMessage()

    with caplog.at_level(logging.INFO, "meters"):
        on_bench(test)


def test_a_float_counter_beyond_its_exact_limit_is_not_billing_grade() -> None:
    async def test(bench: Bench) -> None:
        bench.plant.freeze()
        for shown, exact in (("131071.99", True), ("131072.00", False), ("200000.01", False)):
            bench.meter.forget()
            bench.plant.extra_wh = (Decimal(shown) - 100) * 1000
            assert (await bench.meter.read_energy()).billing_grade is exact

    on_bench(test)
