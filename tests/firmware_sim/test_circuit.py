"""The plant: energy is the integral of what flowed, at every point, whatever happened in between."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_sim.agenda import S
from firmware_sim.branch import BranchSettings
from firmware_sim.charger.settings import ChargerSettings
from firmware_sim.circuit import Circuit
from firmware_sim.energy_counter import from_wh, to_wh
from firmware_sim.fault_table import FAULTS
from firmware_sim.mains import MainsSettings
from firmware_sim.vehicle.settings import VehicleSettings
from firmware_sim.vehicle.transitions import Phase
from firmware_sim.vehicle.wish import Seconds
from hil_rigs.virtual_clock import VirtualClock, run_virtual
from ports.charge_control import ContactorChanged, ControlFault
from ports.energy import EnergySource
from ports.errors import LocalError, PeerError
from ports.trace import TraceEvent
from tests.doubles import ManualClock
from tests.firmware_sim.bench import START, Bench, on_bench


def integral(trace: list[TraceEvent], connector: str, until: float) -> Fraction:
    """Wh from the reported voltages and currents alone, by exact fractions."""
    flows = [e for e in trace if e.kind == "power.flow" and e.source == connector]
    times = [round(e.at * 10**9) for e in flows] + [round(until * 10**9)]
    wh = Fraction(0)
    for flow, (begin, end) in zip(flows, itertools.pairwise(times), strict=True):
        millivolts, milliamperes = flow.data["millivolts"], flow.data["milliamperes"]
        microwatts = sum(u * i for u, i in zip(millivolts, milliamperes, strict=True))  # type: ignore[call-overload]
        wh += Fraction(microwatts * (end - begin), 10**6 * 3600 * 10**9)
    return wh


def check_energy(bench: Bench) -> None:
    counted = bench.point.electrical().energy_import_wh
    expected = integral(bench.trace, "c1", bench.clock.monotonic())
    assert 0 <= expected - Fraction(counted) < Fraction(1, 10**12)


def test_the_points_are_energy_sources() -> None:
    async def main(bench: Bench) -> None:
        source: EnergySource = bench.point  # the type checker's business
        assert source.electrical().voltage_v == (230.0, 230.0, 230.0)
        assert source.electrical().energy_import_wh == 0

    on_bench(main)


def test_an_eight_hour_session_is_exact_and_cheap() -> None:
    async def main(bench: Bench) -> None:
        await bench.charge()
        await bench.clock.sleep(8 * 3600)
        check_energy(bench)
        assert len(bench.trace) < 50  # nothing ticks

    on_bench(main)


def test_asking_often_changes_nothing() -> None:
    async def session(bench: Bench, queries: int) -> Decimal:
        await bench.charge()
        for _ in range(queries):
            bench.point.electrical()
            await bench.clock.sleep(0.1)
        await bench.clock.sleep(360 - queries * 0.1)
        return bench.vehicle.battery.delivered, bench.point.electrical().energy_import_wh  # type: ignore[return-value]

    once = on_bench(lambda bench: session(bench, 0))
    often = on_bench(lambda bench: session(bench, 3600))
    assert once == often


def test_two_connectors_on_one_mains() -> None:
    async def main(clock: VirtualClock) -> None:
        async with Circuit(clock) as plant:
            energies = []
            for name, amperes in (("c1", 16), ("c2", 10)):
                connector = plant.add_connector(name, ChargerSettings(tethered=True))
                vehicle = plant.add_vehicle(f"ev {name}", VehicleSettings(phases=1 if name == "c2" else 3))
                vehicle.plug_in(connector)
                await clock.sleep(1)
                await connector.charger.offer_current(amperes)
                await vehicle.until(Phase.READY)
                await clock.sleep(0.1)
                await connector.charger.set_contactor(True)
            await clock.sleep(3600)
            whole = plant.point().electrical()
            parts = [plant.point(name).electrical() for name in ("c1", "c2")]
            assert parts[0].current_a == (16.0, 16.0, 16.0)
            assert parts[1].current_a == (10.0, 0.0, 0.0)
            assert whole.current_a == (26.0, 16.0, 16.0)
            assert whole.power_w == (26 * 230.0, 16 * 230.0, 16 * 230.0)
            energies = [part.energy_import_wh for part in parts]
            assert abs(sum(energies) - whole.energy_import_wh) <= Decimal("1e-12")  # each cut at its last digit
            assert min(energies) > 2000

    run_virtual(main, start=START)


def test_the_whole_mains_nets_import_against_export() -> None:
    async def main(clock: VirtualClock) -> None:
        async with Circuit(clock) as plant:
            for name, demand in (("c1", 10_000), ("c2", -4_000)):
                connector = plant.add_connector(name)
                plant.set_contactor(name, True)
                plant.set_demand(connector.branch, (demand, 0, 0))
            await clock.sleep(3600)
            electrical = {name: plant.point(name).electrical() for name in ("", "c1", "c2")}
            assert electrical["c1"].energy_import_wh == 2300
            assert (electrical["c2"].energy_import_wh, electrical["c2"].energy_export_wh) == (0, 920)
            assert (electrical[""].energy_import_wh, electrical[""].energy_export_wh) == (1380, 0)

    run_virtual(main, start=START)


def test_standing_consumption_is_metered_not_delivered() -> None:
    async def main(bench: Bench) -> None:
        await bench.clock.sleep(3600)
        electrical = bench.point.electrical()
        assert electrical.energy_import_wh == Decimal("7.5")
        assert electrical.power_w == (7.5, 0, 0)
        assert electrical.current_a[0] == pytest.approx(7.5 / 230)
        bench.inject("PowerLoss")
        await bench.clock.sleep(3600)
        assert bench.point.electrical().energy_import_wh == Decimal("7.5")

    on_bench(main, branch=BranchSettings(standing_w=7.5))


def test_the_cable_s_loss_is_between_meter_and_vehicle() -> None:
    async def main(bench: Bench) -> None:
        await bench.charge()
        await bench.vehicle.until(Phase.STOPPING)
        metered = bench.point.electrical().energy_import_wh
        delivered = to_wh(bench.vehicle.battery.delivered)
        # 16 A through 50 mohm: 12.8 W per phase of 3680 W
        assert (metered - delivered) / metered == pytest.approx(Decimal("12.8") / 3680, rel=Decimal("1e-3"))

    on_bench(main, branch=BranchSettings(cable_mohm=50), vehicle=VehicleSettings(soc=50, taper_from=100))


def test_a_leak_flows_while_the_contactor_is_closed() -> None:
    async def main(bench: Bench) -> None:
        await bench.charge()
        assert bench.point.electrical().current_a == (16.02, 16.0, 16.0)
        await bench.charger.set_contactor(False)
        assert bench.point.electrical().current_a == (0.0, 0.0, 0.0)

    on_bench(main, branch=BranchSettings(leak_ma=20))


def test_noise_is_seeded_and_the_sum_stays_exact() -> None:
    async def main(bench: Bench) -> list[TraceEvent]:
        await bench.charge()
        await bench.clock.sleep(1800)
        check_energy(bench)
        return bench.trace

    noisy = MainsSettings(noise_v=4.0, noise_every_s=5.0)
    one, same, other = (on_bench(main, mains=noisy, seed=seed) for seed in (1, 1, 2))
    assert one == same
    assert one != other
    volts = [mv for e in one if e.kind == "power.flow" for mv in e.data["millivolts"]]  # type: ignore[attr-defined]
    assert 226_000 <= min(volts) < 228_000
    assert 232_000 < max(volts) <= 234_000


def test_a_missing_phase() -> None:
    async def main(bench: Bench) -> None:
        await bench.charge()
        bench.inject("PowerLoss.phase", phase="L3")
        assert bench.point.electrical().voltage_v == (230.0, 230.0, 0.0)
        assert bench.point.electrical().current_a == (16.0, 16.0, 0.0)
        await bench.clock.sleep(1)
        assert bench.contactor() == [True, False]
        assert bench.faults() == [(ControlFault.POWER_LOSS, True)]

    on_bench(main)


def test_a_single_phase_station_does_not_miss_the_others() -> None:
    async def main(bench: Bench) -> None:
        await bench.charge()
        bench.inject("PowerLoss.phase", phase="L3")
        await bench.clock.sleep(10)
        assert bench.contactor() == [True]

    on_bench(main, charger=ChargerSettings(phases=1), vehicle=VehicleSettings(phases=1))


@pytest.mark.parametrize(("per_cent", "opens"), [(80, False), (74, True)])
def test_brown_out(per_cent: float, opens: bool) -> None:
    async def main(bench: Bench) -> None:
        await bench.charge()
        bench.inject("UnderVoltage", per_cent=per_cent)
        assert bench.point.electrical().voltage_v[0] == 2.3 * per_cent
        await bench.clock.sleep(1)
        assert bench.contactor() == ([True, False] if opens else [True])
        check_energy(bench)

    on_bench(main)


def test_names_are_taken_once() -> None:
    async def main(bench: Bench) -> None:
        with pytest.raises(LocalError, match="connector 'c1' already"):
            bench.plant.add_connector("c1")
        with pytest.raises(LocalError, match="vehicle 'ev' already"):
            bench.plant.add_vehicle("ev")
        with pytest.raises(LocalError, match="no connector 'c9': there are c1"):
            bench.plant.point("c9")

    on_bench(main)


def test_a_question_first_lets_happen_what_is_due() -> None:
    clock = ManualClock()
    plant = Circuit(clock)  # nobody runs its agenda
    connector = plant.add_connector("c1")
    plant.set_contactor("c1", True)
    plant.set_demand(connector.branch, (10_000, 0, 0))
    plant.agenda.after(60 * S, lambda: plant.set_contactor("c1", False))
    clock.advance(3600)
    electrical = plant.point("c1").electrical()
    assert electrical.current_a[0] == 0
    assert electrical.energy_import_wh == to_wh(from_wh(Decimal(2300)) // 60)


class Sluggish:
    """A clock whose program sleeps too long: everything due comes up to two seconds late."""

    is_virtual = True

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self._late = clock.fork_random("late")

    def __getattr__(self, name: str) -> object:
        return getattr(self._clock, name)

    async def sleep(self, seconds: float) -> None:
        await self._clock.sleep(seconds + self._late.uniform(0, 2))


def test_a_busy_machine_changes_no_outcome() -> None:
    def session(sluggish: bool) -> list[tuple[float, str, object]]:
        async def main(clock: VirtualClock) -> list[tuple[float, str, object]]:
            trace: list[TraceEvent] = []
            plant = Circuit(Sluggish(clock) if sluggish else clock, tracer=trace.append)  # type: ignore[arg-type]
            connector, vehicle = plant.add_connector("c1", ChargerSettings(tethered=True)), plant.add_vehicle("ev")
            async with plant:
                vehicle.want(Seconds(600))
                vehicle.plug_in(connector)
                await clock.sleep(10)
                await connector.charger.offer_current(16)
                await clock.sleep(10)
                closing = asyncio.ensure_future(connector.charger.set_contactor(True))
                await clock.sleep(3600)
                await closing
                assert plant.point("c1").electrical().energy_import_wh == Decimal(1840)
                return [(event.at, event.kind, event.data) for event in trace]

        return run_virtual(main, start=START)

    assert session(True) == session(False)


STEPS = st.one_of(
    st.tuples(st.just("wait"), st.sampled_from([0.0, 0.01, 0.04, 0.3, 1.1, 5.0, 600.0])),
    st.tuples(st.just("plug"), st.none()),
    st.tuples(st.just("unplug"), st.none()),
    st.tuples(st.just("stop"), st.none()),
    st.tuples(st.just("toggle"), st.integers(1, 3)),
    st.tuples(st.just("want"), st.sampled_from([1, 60, 3600])),
    st.tuples(st.just("offer"), st.sampled_from([0, 6, 10, 32])),
    st.tuples(st.just("charge"), st.none()),
    st.tuples(st.just("lock"), st.booleans()),
    st.tuples(st.just("contactor"), st.booleans()),
    st.tuples(st.just("unavailable"), st.booleans()),
    st.tuples(st.just("inject"), st.sampled_from(sorted(name for name, fault in FAULTS.items() if fault.on != "dc"))),
    st.tuples(st.just("undo"), st.integers(0, 5)),
    st.tuples(st.just("reset"), st.none()),
)


@settings(max_examples=120, deadline=None)
@given(st.lists(STEPS, max_size=30), st.booleans())
def test_whatever_happens_energy_is_the_integral(steps: list[tuple[str, object]], charging: bool) -> None:
    async def attempt(bench: Bench, step: str, value: object, undos: list) -> None:  # type: ignore[type-arg]
        match step, value:
            case "wait", float(seconds):
                await bench.clock.sleep(seconds)
            case "plug", _:
                bench.vehicle.plug_in(bench.connector)
            case "unplug", _:
                bench.vehicle.unplug()
            case "stop", _:
                bench.vehicle.stop()
            case "toggle", int(count):
                bench.vehicle.toggle(count)
            case "want", int(seconds):
                bench.vehicle.want(Seconds(seconds))
            case "offer", int(amperes):
                await bench.charger.offer_current(amperes)
            case "charge", _:
                await bench.charge()
            case "lock", bool(locked):
                await bench.charger.set_lock(locked)
            case "contactor", bool(closed):
                await bench.charger.set_contactor(closed)
            case "unavailable", bool(on):
                await bench.charger.set_unavailable(on)
            case "inject", str(name):
                undos.append(bench.inject(name))
            case "undo", int(n) if undos:
                undos[n % len(undos)]()
            case "reset", _:
                bench.charger.board.reset()

    async def main(bench: Bench) -> None:
        undos: list[object] = []
        last = Decimal(0)
        if charging:
            await bench.charge()
        welding = {"EVSEContactorFault.welded", "EVSEContactorFault.late", "EVSEContactorFault.no_feedback"}
        for step, value in steps:
            with contextlib.suppress(PeerError, LocalError, TimeoutError):  # refused; the shell must live on
                await attempt(bench, step, value, undos)
            now = bench.point.electrical().energy_import_wh
            assert now >= last
            last = now
            if not welding & {str(v) for s, v in steps if s == "inject"}:
                assert ControlFault.CONTACTOR not in (await bench.charger.status()).faults
        await bench.clock.sleep(30)
        check_energy(bench)
        changes = [e.closed for e in bench.events if isinstance(e, ContactorChanged)]
        assert changes == [n % 2 == 0 for n in range(len(changes))]

    on_bench(main)
