"""The fault table: every row works, is undone, and is described; wrong use is explained."""

from __future__ import annotations

import pytest

from firmware_sim.fault_table import FAULTS, Fault
from firmware_sim.faults import Target, inject
from ports.charge_control import ContactorChanged, ControlFault, FaultChanged
from ports.errors import LocalError, PeerError
from tests.firmware_sim.bench import Bench, on_bench

# what each fault with its defaults does to a charging session: contactor reports after it, active faults
OUTCOMES: dict[str, tuple[list[bool], set[str]]] = {
    "DiodeFault": ([False], {"DiodeFault"}),
    "PilotFault.cp_pe_short": ([False], {"PilotFault"}),
    "PilotFault.drift": ([], set()),
    "PilotFault.c_pulse": ([], set()),  # it is in C already
    "GroundFailure.pe_lost": ([False], set()),
    "GroundFailure.no_earth": ([False], {"GroundFailure"}),
    "GroundFailure.residual_dc": ([False], {"GroundFailure"}),
    "GroundFailure.residual_ac": ([False], {"GroundFailure"}),
    "GroundFailure.self_test": ([], set()),
    "InvalidVehicleMode.ignores_pwm_off": ([], set()),
    "InvalidVehicleMode.draws_without_s2": ([], set()),
    "OverCurrentFailure": ([False], {"OverCurrentFailure"}),
    "ProximityFault.resistance": ([False], {"ProximityFault"}),
    "ProximityFault.removed": ([False], {"ProximityFault"}),
    "VentilationNotAvailable": ([False], {"VentilationNotAvailable"}),
    "EVSEContactorFault.welded": ([], set()),
    "EVSEContactorFault.late": ([], set()),
    "EVSEContactorFault.no_feedback": ([False], {"EVSEContactorFault"}),
    "EVSEContactorFault.bounce": ([], set()),
    "ConnectorLockFailure.jam": ([], set()),
    "BrokenLatch": ([False], {"ConnectorLockFailure"}),
    "HighTemperature": ([False], {"HighTemperature"}),
    "EmergencyStop": ([False], {"EmergencyStop"}),
    "PowerLoss": ([False], {"PowerLoss"}),
    "PowerLoss.phase": ([False], {"PowerLoss"}),
    "UnderVoltage": ([False], {"PowerLoss"}),
    "OverVoltage": ([], set()),
}
AC = {name: fault for name, fault in FAULTS.items() if fault.on != "dc"}  # the others: charger/test_dc_supply.py


@pytest.mark.parametrize("fault", AC.values(), ids=AC)
def test_outcome_while_charging_then_undo_and_a_new_session(fault: Fault) -> None:
    async def main(bench: Bench) -> None:
        await bench.charge(16)
        undo = bench.inject(fault.name)
        await bench.clock.sleep(15)
        opened, faults = OUTCOMES[fault.name]
        assert bench.contactor() == [True, *opened]
        assert {f.value for f in (await bench.charger.status()).faults} == faults
        assert faults <= {fault.reported}
        undo()
        undo()  # harmless
        await bench.clock.sleep(1)
        bench.vehicle.unplug()
        await bench.clock.sleep(1)
        bench.charger.board.reset()
        assert (await bench.charger.status()).faults - {ControlFault.LOCK} == frozenset()
        await bench.charger.offer_current(0)
        await bench.charge(16)
        assert bench.point.electrical().current_a == (16.0, 16.0, 16.0)
        assert [e.kind for e in bench.trace if e.layer == "fault"] == ["fault.injected", "fault.undone"]

    on_bench(main)


def test_residual_current_opens_as_soon_as_the_table_says() -> None:
    async def main(bench: Bench) -> None:
        await bench.charge(16)
        struck = bench.clock.monotonic()
        bench.inject("GroundFailure.residual_dc")
        await bench.clock.sleep(1)
        opened = bench.at(lambda event: isinstance(event, ContactorChanged) and not event.closed)
        told = bench.at(lambda event: isinstance(event, FaultChanged))
        assert opened - struck == pytest.approx(0.045)
        assert told - opened == pytest.approx(0.005)

    on_bench(main)


def test_the_list_of_outcomes_is_complete() -> None:
    assert set(OUTCOMES) == set(AC)


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_every_row_is_described(fault: Fault) -> None:
    assert fault.effect
    assert fault.undo
    assert fault.on in ("pilot", "vehicle", "charger", "dc", "mains")
    for parameter in fault.parameters:
        if parameter.choices:
            assert parameter.default in parameter.choices
        else:
            assert parameter.low <= float(parameter.default) <= parameter.high


@pytest.mark.parametrize(("volts", "fails"), [(0.9, False), (-0.9, False), (1.4, True), (-1.4, True)])
def test_drift_within_and_beyond_the_limits(volts: float, fails: bool) -> None:
    async def main(bench: Bench) -> None:
        await bench.charge(16)
        bench.inject("PilotFault.drift", volts=volts)
        await bench.clock.sleep(3)
        assert bench.contactor() == ([True, False] if fails else [True])
        assert bench.faults() == ([(ControlFault.PILOT, True)] if fails else [])

    on_bench(main)


@pytest.mark.parametrize(("seconds", "works"), [(0.5, True), (0.9, True), (1.1, False)])
def test_a_late_contactor(seconds: float, works: bool) -> None:
    async def main(bench: Bench) -> None:
        bench.inject("EVSEContactorFault.late", seconds=seconds)
        if works:
            await bench.charge()
            assert bench.contactor() == [True]
        else:
            with pytest.raises(PeerError, match="stays open"):
                await bench.charge()
            await bench.clock.sleep(5)
            assert bench.contactor() == []

    on_bench(main)


@pytest.mark.parametrize(("edges", "every_ms", "works"), [(5, 1, True), (20, 9, True), (200, 9, False)])
def test_bounce_is_reported_once_or_a_fault(edges: float, every_ms: float, works: bool) -> None:
    async def main(bench: Bench) -> None:
        bench.inject("EVSEContactorFault.bounce", edges=edges, every_ms=every_ms)
        if works:
            await bench.charge()
            assert bench.contactor() == [True]
        else:
            with pytest.raises(PeerError, match="stays open"):
                await bench.charge()

    on_bench(main)


def test_a_cable_between_two_ratings() -> None:
    async def main(bench: Bench) -> None:
        bench.inject("ProximityFault.resistance", ohm=350)
        await bench.charge(32)
        assert (await bench.charger.status()).cable_a == 20

    on_bench(main)


def test_wrong_use_is_explained() -> None:
    async def main(bench: Bench) -> None:
        with pytest.raises(LocalError, match="no fault 'Gremlins': there are DiodeFault, "):
            bench.inject("Gremlins")
        with pytest.raises(LocalError, match=r"PilotFault\.drift has no ohm: it has volts"):
            bench.inject("PilotFault.drift", ohm=3)
        with pytest.raises(LocalError, match="volts is 60, not between -6 and 6 V"):
            bench.inject("PilotFault.drift", volts=60)
        with pytest.raises(LocalError, match="kind is 'melted', not one of shorted, open, reversed"):
            bench.inject("DiodeFault", kind="melted")
        with pytest.raises(LocalError, match="c1 has no DC power stage: this fault goes with energy: dc"):
            bench.inject("CableCheckFault.insulation")
        with pytest.raises(LocalError, match="no vehicle at c1"):
            inject(Target(bench.plant, bench.connector), "DiodeFault")
        assert not [e for e in bench.trace if e.layer == "fault"]

    on_bench(main)


def test_the_vehicle_at_the_connector_is_found() -> None:
    async def main(bench: Bench) -> None:
        bench.vehicle.plug_in(bench.connector)
        inject(Target(bench.plant, bench.connector), "OverCurrentFailure", amperes=3)
        assert bench.vehicle.excess_a == 3

    on_bench(main)
