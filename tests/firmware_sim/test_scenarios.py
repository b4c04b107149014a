"""The electrical scenarios, from plug to unplug, with their exact outcomes on the charger's level."""

from __future__ import annotations

import itertools
from decimal import Decimal

import pytest

from firmware_sim.charger.settings import ChargerSettings
from firmware_sim.vehicle.settings import VehicleSettings
from firmware_sim.vehicle.transitions import Phase
from ports.charge_control import ContactorChanged, ControlEvent, ControlFault, FaultChanged, PilotState
from ports.errors import PeerError
from tests.firmware_sim.bench import Bench, on_bench


def opened(event: ControlEvent) -> bool:
    return isinstance(event, ContactorChanged) and not event.closed


def faulty(event: ControlEvent) -> bool:
    return isinstance(event, FaultChanged) and event.active


def test_basic_charging_without_digital_communication() -> None:
    async def main(bench: Bench) -> None:
        await bench.charge(32)
        assert bench.pilots() == ["B1", "B2", "C2"]
        status = await bench.charger.status()
        assert status.duty == pytest.approx(53.33, abs=0.01)
        assert status.cable_a == 32
        c2 = bench.at(lambda e: getattr(e, "state", "") == "C")
        closed = bench.at(lambda e: isinstance(e, ContactorChanged) and e.closed)
        assert 0 < closed - c2 <= 3  # A.6 4
        await bench.clock.sleep(3600)
        electrical = bench.point.electrical()
        assert electrical.current_a == (16.0, 16.0, 16.0)
        assert electrical.power_w == (3680.0, 3680.0, 3680.0)
        bench.vehicle.stop()
        ceased = bench.clock.monotonic()
        await bench.until_pilot("B2")
        s2_open = ceased + bench.vehicle.settings.open_after_s
        assert (await bench.until(opened)).at - s2_open <= 0.1  # A.6 8.1
        end = bench.point.electrical().energy_import_wh
        await bench.clock.sleep(3600)
        assert bench.point.electrical().energy_import_wh == end
        nanoseconds = round((ceased - bench.traced("pilot.vehicle")[2].at) * 1e9)
        assert end == (Decimal(11040) * nanoseconds / Decimal(3600 * 10**9)).quantize(Decimal("1e-12"), "ROUND_DOWN")
        assert not bench.faults()

    on_bench(main)


def test_the_duty_changes_at_most_every_five_seconds() -> None:
    async def main(bench: Bench) -> None:
        await bench.charge(32)
        for amperes in (16, 10, 20, 6, 32, 8, 25):
            await bench.charger.offer_current(amperes)
            await bench.clock.sleep(1.3)
        await bench.clock.sleep(20)
        shown = [(e.at, e.data["duty"]) for e in bench.traced("pilot.output")]
        gaps = [later[0] - earlier[0] for earlier, later in itertools.pairwise(shown)]
        assert min(gaps) >= 5 - 1e-9
        assert shown[-1][1] == pytest.approx(25 / 0.6, abs=0.001)
        assert len(shown) == 4  # 32; 16, then the latest wish at each 5 s

    on_bench(main)


@pytest.mark.parametrize("kind", ["shorted", "reversed"])
def test_a_bad_diode_is_known_before_anything_closes(kind: str) -> None:
    async def main(bench: Bench) -> None:
        bench.inject("DiodeFault", kind=kind)
        bench.vehicle.plug_in(bench.connector)
        await bench.clock.sleep(1)
        assert not bench.faults()  # only PWM can tell
        await bench.charger.offer_duty(5)
        began = bench.clock.monotonic()
        fault = await bench.until(faulty)
        assert fault.at - began <= 1.5
        assert bench.faults() == [(ControlFault.DIODE, True)]
        assert (await bench.charger.status()).duty == 100
        with pytest.raises(PeerError, match="DiodeFault"):
            await bench.charger.set_contactor(True)
        bench.vehicle.unplug()
        await bench.clock.sleep(1)
        assert bench.faults()[-1] == (ControlFault.DIODE, False)
        assert bench.contactor() == []

    on_bench(main)


def test_an_open_diode_hides_the_vehicle() -> None:
    async def main(bench: Bench) -> None:
        bench.inject("DiodeFault", kind="open")
        bench.vehicle.plug_in(bench.connector)
        await bench.clock.sleep(5)
        assert bench.pilots() == []

    on_bench(main)


def test_pilot_shorted_to_earth_while_charging() -> None:
    async def main(bench: Bench) -> None:
        await bench.charge()
        undo = bench.inject("PilotFault.cp_pe_short")
        began = bench.clock.monotonic()
        assert (await bench.until(opened)).at - began <= 0.1
        assert bench.pilots()[-1] == "E1"
        assert bench.faults() == [(ControlFault.PILOT, True)]
        assert bench.point.electrical().power_w == (0.0, 0.0, 0.0)
        undo()
        await bench.clock.sleep(10)
        assert bench.faults()[-1] == (ControlFault.PILOT, False)
        assert bench.contactor() == [True, False]  # nothing closes by itself
        assert (await bench.charger.status()).duty == 100

    on_bench(main)


def test_earth_lost_while_charging() -> None:
    async def main(bench: Bench) -> None:
        await bench.charge()
        bench.inject("GroundFailure.pe_lost")
        began = bench.clock.monotonic()
        assert (await bench.until(opened)).at - began <= 0.1
        assert (await bench.charger.status()).pilot is PilotState.A

    on_bench(main)


@pytest.mark.parametrize("ignores", [True, False])
def test_pwm_off_while_charging(ignores: bool) -> None:
    async def main(bench: Bench) -> None:
        await bench.charge()
        if ignores:
            bench.inject("InvalidVehicleMode.ignores_pwm_off")
        await bench.charger.offer_current(0)
        began = bench.clock.monotonic()
        gone = await bench.until(opened)
        if ignores:
            assert bench.pilots()[-1] == "C1"
            assert gone.at - began == pytest.approx(6.025)  # 6 s, then contacts and their debounce
            (forced,) = bench.traced("power.forced_open_under_load")
            assert forced.data["amperes"] == 16.0
            assert forced.at - began == pytest.approx(6.0)
        else:
            assert gone.at - began < 3
            assert bench.traced("power.forced_open_under_load") == []

    on_bench(main)


@pytest.mark.parametrize(("fault", "holds", "trips"), [("residual_dc", 5.9, 6.1), ("residual_ac", 29.0, 31.0)])
def test_residual_current_opens_before_the_gateway_knows(fault: str, holds: float, trips: float) -> None:
    async def main(bench: Bench) -> None:
        await bench.charge()
        bench.inject(f"GroundFailure.{fault}", milliamperes=holds)
        await bench.clock.sleep(60)
        assert bench.contactor() == [True]
        undo = bench.inject(f"GroundFailure.{fault}", milliamperes=trips)
        began = bench.clock.monotonic()
        fault_event = await bench.until(faulty)
        assert [type(e).__name__ for e in bench.events if e.at > began][:2] == ["ContactorChanged", "FaultChanged"]
        off = next(e for e in bench.traced("power.flow") if e.at > began and not e.data["closed"])
        assert off.at - began <= 0.04
        assert off.at < fault_event.at
        assert bench.faults() == [(ControlFault.GROUND, True)]
        undo()
        await bench.clock.sleep(60)
        with pytest.raises(PeerError, match="GroundFailure"):
            await bench.charger.set_contactor(True)
        bench.charger.board.reset()
        await bench.charger.offer_current(16)
        await bench.until_pilot("C2")
        await bench.charger.set_contactor(True)
        assert bench.contactor() == [True, False, True]

    on_bench(main)


def test_a_failed_self_test_blocks_the_close() -> None:
    async def main(bench: Bench) -> None:
        bench.inject("GroundFailure.self_test")
        with pytest.raises(PeerError, match="GroundFailure"):
            await bench.charge()
        await bench.clock.sleep(0.1)
        assert bench.contactor() == []
        assert bench.faults() == [(ControlFault.GROUND, True)]

    on_bench(main)


def test_a_welded_contactor_stays_locked_and_its_energy_is_counted() -> None:
    async def main(bench: Bench) -> None:
        await bench.charge()
        undo = bench.inject("EVSEContactorFault.welded")
        bench.inject("InvalidVehicleMode.draws_without_s2", amperes=6)
        bench.vehicle.stop()
        with pytest.raises(PeerError, match="welded"):
            await bench.charger.set_contactor(False)
        status = await bench.charger.status()
        assert status.contactor_closed
        assert status.faults == {ControlFault.CONTACTOR}
        with pytest.raises(PeerError, match="the contactor is closed"):
            await bench.charger.set_lock(False)
        assert (await bench.charger.status()).locked
        before = bench.point.electrical().energy_import_wh
        await bench.clock.sleep(3600)
        assert bench.point.electrical().energy_import_wh - before == Decimal(3 * 6 * 230)
        bench.charger.board.reset()
        assert (await bench.charger.status()).faults == {ControlFault.CONTACTOR}
        with pytest.raises(PeerError, match="EVSEContactorFault"):
            await bench.charger.set_contactor(True)
        undo()
        await bench.clock.sleep(1)
        bench.charger.board.reset()
        assert (await bench.charger.status()).faults == frozenset()
        assert bench.contactor() == [True, False]

    on_bench(main)


def test_heat_takes_current_before_it_stops() -> None:
    async def main(bench: Bench) -> None:
        await bench.charge(32)
        undo = bench.inject("HighTemperature", from_c=25, to_c=72, seconds=47 * 60)
        start = bench.clock.monotonic()

        async def duty_at(celsius: float) -> float:
            await bench.clock.sleep(start + (celsius - 25) * 60 + 10 - bench.clock.monotonic())
            return (await bench.charger.status()).duty

        assert await duty_at(64) == pytest.approx(53.333, abs=0.001)
        assert await duty_at(65) == pytest.approx(26.667, abs=0.001)
        assert await duty_at(68) == pytest.approx(13.333, abs=0.001)
        assert await duty_at(70) == pytest.approx(13.333, abs=0.001)
        assert bench.faults() == []
        await bench.until(faulty, within=600)
        trip = bench.clock.monotonic()
        assert (await bench.charger.status()).duty == 100
        gone = await bench.until(opened)
        assert gone.at - trip <= 5.1
        undo()
        await bench.clock.sleep(60)
        assert (await bench.charger.status()).faults == {ControlFault.HIGH_TEMPERATURE}  # until unplugged
        bench.vehicle.unplug()
        await bench.clock.sleep(1)
        assert (await bench.charger.status()).faults == frozenset()

    on_bench(main)


def test_cooling_to_62_degrees_restores_the_current() -> None:
    async def main(bench: Bench) -> None:
        await bench.charge(32)
        for celsius, amperes in ((66, 16), (69, 8), (66, 8), (63, 8), (62, 32)):
            bench.charger.board.heat(celsius)
            await bench.clock.sleep(6)
            assert (await bench.charger.status()).duty == pytest.approx(amperes / 0.6)

    on_bench(main)


@pytest.mark.parametrize("ventilated", [False, True])
def test_state_d(ventilated: bool) -> None:
    async def main(bench: Bench) -> None:
        if ventilated:
            await bench.charge(ready="D2")
            assert bench.pilots() == ["B1", "B2", "D2"]
            assert bench.point.electrical().current_a[0] == 16.0
            assert bench.faults() == []
            return
        bench.vehicle.plug_in(bench.connector)
        await bench.until_pilot("B1")
        await bench.charger.set_lock(True)
        await bench.charger.offer_current(16)
        await bench.until(faulty)
        assert bench.faults() == [(ControlFault.VENTILATION, True)]
        with pytest.raises(PeerError, match="VentilationNotAvailable"):
            await bench.charger.set_contactor(True)
        bench.vehicle.stop()
        await bench.clock.sleep(5)
        assert bench.faults()[-1] == (ControlFault.VENTILATION, False)
        assert bench.contactor() == []

    on_bench(main, charger=ChargerSettings(ventilated=ventilated), vehicle=VehicleSettings(needs_ventilation=True))


def test_a_20_ampere_cable_caps_the_offer_and_its_plug_ends_the_session() -> None:
    async def main(bench: Bench) -> None:
        await bench.charge(32)
        status = await bench.charger.status()
        assert status.cable_a == 20
        assert status.duty == pytest.approx(33.333, abs=0.001)
        await bench.charger.offer_duty(60)  # nor by the back door
        await bench.clock.sleep(6)
        assert (await bench.charger.status()).duty == pytest.approx(33.333, abs=0.001)
        bench.inject("ProximityFault.removed")
        began = bench.clock.monotonic()
        assert (await bench.until(opened)).at - began <= 0.1
        assert bench.faults() == [(ControlFault.PROXIMITY, True)]

    on_bench(main, vehicle=VehicleSettings(cable_a=20, max_a=32))


@pytest.mark.parametrize(("c_ms", "counted"), [(120, 0), (200, 2), (300, 2), (400, 2), (450, 0)])
def test_wake_up_pulses(c_ms: int, counted: int) -> None:
    async def main(bench: Bench) -> None:
        bench.vehicle.stop()
        bench.vehicle.plug_in(bench.connector)
        await bench.until_pilot("B1")
        bench.vehicle.toggle(2, c_ms=c_ms, b_ms=300)
        await bench.clock.sleep(5)
        assert bench.pilots() == ["B1", "C1", "B1", "C1", "B1"]  # a filter must not swallow them
        assert max([0, *(e.data["toggles"] for e in bench.traced("pilot.wakeup"))]) == counted

    on_bench(main)


def test_state_f_lasts_four_seconds_and_unlocks() -> None:
    async def main(bench: Bench) -> None:
        await bench.charge()
        await bench.charger.set_unavailable(True)
        began = bench.clock.monotonic()
        assert (await bench.until(opened)).at - began <= 0.1
        await bench.charger.set_unavailable(False)
        await bench.until(lambda e: getattr(e, "state", "F") != "F")
        assert bench.clock.monotonic() - began == pytest.approx(4.03)
        await bench.charger.set_unavailable(True)
        assert (await bench.charger.status()).locked
        await bench.clock.sleep(5.5)
        status = await bench.charger.status()
        assert (status.pilot, status.locked) == (PilotState.F, False)

    on_bench(main)


def test_mains_gone_and_back() -> None:
    async def main(bench: Bench) -> None:
        await bench.charge()
        undo = bench.inject("PowerLoss")
        began = bench.clock.monotonic()
        assert (await bench.until(opened)).at - began <= 0.1
        assert bench.faults() == [(ControlFault.POWER_LOSS, True)]
        assert bench.point.electrical().voltage_v == (0.0, 0.0, 0.0)
        before = bench.point.electrical().energy_import_wh
        await bench.clock.sleep(600)
        undo()
        await bench.clock.sleep(600)
        assert bench.faults()[-1] == (ControlFault.POWER_LOSS, False)
        assert bench.point.electrical().energy_import_wh == before
        assert bench.contactor() == [True, False]
        await bench.charger.offer_current(10)
        await bench.until_pilot("C2")
        await bench.charger.set_contactor(True)
        await bench.clock.sleep(5)
        assert bench.point.electrical().current_a == (10.0, 10.0, 10.0)

    on_bench(main)


def test_unplugging_under_load() -> None:
    async def main(bench: Bench) -> None:
        await bench.charge()
        bench.vehicle.unplug()
        began = bench.clock.monotonic()
        assert bench.point.electrical().power_w == (0.0, 0.0, 0.0)
        assert (await bench.until(opened)).at - began <= 0.1
        assert bench.faults() == []
        assert bench.vehicle.phase is Phase.UNPLUGGED

    on_bench(main)


def test_an_offer_before_the_plug_never_exceeds_the_cable() -> None:
    async def main(bench: Bench) -> None:
        await bench.charger.offer_current(32)
        await bench.clock.sleep(60)
        assert (await bench.charger.status()).duty == 100  # no cable, no PWM
        bench.vehicle.plug_in(bench.connector)
        await bench.clock.sleep(60)
        assert [e.data["duty"] for e in bench.traced("pilot.output")] == [pytest.approx(20 / 0.6, abs=0.001)]

    on_bench(main, vehicle=VehicleSettings(cable_a=20))


@pytest.mark.parametrize(
    ("fault", "method"),
    [
        ("GroundFailure.residual_dc", "residual_trip"),
        ("EmergencyStop", "emergency_stop"),
        ("PowerLoss", "supply"),
    ],
)
def test_the_hardware_opens_also_when_firmware_hangs(fault: str, method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(bench: Bench) -> None:
        await bench.charge()
        monkeypatch.setattr(bench.charger.board.machine, method, lambda _at, _what: [])
        bench.inject(fault)
        await bench.clock.sleep(0.04)
        assert not bench.connector.branch.closed

    on_bench(main)
