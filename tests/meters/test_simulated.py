"""Simulated meters against the driver: a model with every trap, writes, limits, and what a device keeps quiet about."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil_rigs.serial_line.memory_line import MemoryLine
from hil_rigs.virtual_clock import VirtualClock, run_virtual
from meters.faults import FAULTS, Faults
from meters.modbus_meter import ModbusMeter
from meters.model import load_model, model_names, parse_model
from meters.rtu_master import RtuMaster
from meters.simulated import SimulatedMeter
from meters.yaml_lines import PlacedYaml
from ports.errors import LocalError, RigError
from tests.meters.plant import Plant
from wire import rtu
from wire.modbus_pdu import DeviceRefusedError, ReadRegisters, WriteRegisters, encode_request

EVERYTHING = """\
model: everything
vendor: Maker
name: Traps
sources: [{title: "made up for tests", trust: bench}]
serial: {baud: 19200, format: 8E1, device: 42}
limits: {max_registers: 20, max_response_ms: 100, late_window_ms: 100, min_gap_ms: 5, max_write_registers: 4}
rating: {max_power_w: 50000}
defaults: {fc: 3}
identify:
  serial: {fc: 3, addr: 600, type: text, words: 6}
  firmware: {fc: 3, addr: 610, type: u16, form: dotted}
  code: {fc: 4, addr: 11, type: u16, expect: {340: Traps-340, 341: Traps-341}}
points:
  - {name: energy_import, addr: 100, type: u32, order: lsw, unit: Wh, kind: total, monotonic: true, billing: true,
     exp_from: {addr: 102}, nan: [0xFFFFFFFF]}
  - {name: energy_export, parts: [{addr: 110}, {addr: 114}], type: f64, unit: Wh, kind: total, digit: 0}
  - {name: power, parts: [{addr: 120}, {addr: 122, sign: -1}], type: u32, unit: W, exp: -1}
  - {name: voltage_l1, addr: 130, type: t5, unit: V}
  - {name: power_l1, addr: 132, type: t6, unit: W}
  - {name: current_l1, addr: 134, type: i16, unit: A, exp_from: {addr: 135, type: u16, add: -3}}
  - {name: power_import, addr: 140, type: f32, unit: kW}
  - {name: frequency, addr: 142, type: u16, unit: Hz, bits: [4, 12]}
  - {name: unknown_to_the_plant, addr: 150, type: i16, unit: V, nan: [0x8000], optional: true}
  - {name: energy_import_l1, addr: 152, type: acc32, unit: Wh, kind: total}
writes:
  - {name: tariff, addr: 700, words: 10, type: text, pad: space}
  - {name: command, addr: 720, words: 1, type: u16, function: 6}
"""


def everything() -> tuple[SimulatedMeter, Plant]:
    plant = Plant(-6_900)
    plant.extra_wh = Decimal("123456.789")
    model = parse_model(PlacedYaml(EVERYTHING, "everything.yaml"))
    return SimulatedMeter(model, plant, serial="ABC-77", firmware="3.14"), plant


def test_a_model_with_every_trap_reads_back_what_the_plant_has() -> None:
    async def main(clock: VirtualClock) -> None:
        sim, plant = everything()
        line = MemoryLine(sim.settings, [sim])
        master = RtuMaster(line.port())
        meter = ModbusMeter("m", sim.model, master, clock, settings=sim.settings)
        identity = await meter.identify()
        assert (identity.serial, identity.model, identity.firmware) == ("ABC-77", "Traps-340", "3.14")
        readings = await meter.read()
        values = {name: reading.value for name, reading in readings.items()}
        assert values.pop("energy_import") == Decimal("123456.00")  # counts whole Wh, register in hundredths
        assert values.pop("energy_export") == 0
        assert values.pop("power") == -6900
        assert values.pop("voltage_l1") == 230
        assert values.pop("power_l1") == -2300
        assert values.pop("current_l1") == Decimal("-10.00")
        assert values.pop("power_import") == 0
        assert values.pop("frequency") == 50
        assert values.pop("energy_import_l1") == 123456
        assert values == {}
        assert readings["power"].unit == readings["power_import"].unit == "W"
        assert plant.power_w == -6900
        line.close()

    run_virtual(main, start=datetime(2026, 1, 1, tzinfo=UTC))


def test_writes_are_padded_cut_and_kept() -> None:
    async def main(clock: VirtualClock) -> None:
        sim, _ = everything()
        line = MemoryLine(sim.settings, [sim])
        meter = ModbusMeter("m", sim.model, RtuMaster(line.port()), clock, settings=sim.settings)
        await meter.identify()
        asked = sim.requests
        await meter.write("tariff", "0.49 EUR/kWh")
        assert sim.requests - asked == 3  # 10 registers, 4 in a write
        held = sim.execute(ReadRegisters(3, 700, 10))
        assert b"".join(word.to_bytes(2, "big") for word in held) == b"0.49 EUR/kWh        "
        await meter.write("command", Decimal(7))
        assert sim.execute(ReadRegisters(3, 720, 1)) == (7,)
        with pytest.raises(LocalError, match="21 characters do not fit into 10 registers"):
            await meter.write("tariff", "x" * 21)
        with pytest.raises(LocalError, match="parameter command"):
            await meter.write("command", Decimal(70000))
        line.close()

    run_virtual(main, start=datetime(2026, 1, 1, tzinfo=UTC))


@given(st.decimals(0, 10**7, places=4), st.sampled_from(model_names()), st.integers(0, 10**6))
def test_the_register_shows_the_floor_of_the_energy_at_its_last_digit(energy: Decimal, name: str, start: int) -> None:
    plant = Plant()
    sim = SimulatedMeter(load_model(name), plant, start=Decimal(start))
    plant.extra_wh = energy
    point = sim.model.billing_point
    digit = Decimal(1).scaleb(point.digit if point.digit is not None else point.exp)
    assert sim.shown("energy_import") == start + energy / 1000 // digit * digit


@given(st.lists(st.decimals(0, 5000, places=3), max_size=20))
def test_phase_energies_add_up_to_the_total(steps: list[Decimal]) -> None:
    plant = Plant(9_000)
    sim = SimulatedMeter(load_model("eastron_sdm630"), plant)
    for step in steps:
        plant.extra_wh += step
        sim.execute(ReadRegisters(4, 0x48, 2))
    assert sum(sim._phases.import_wh) == plant.extra_wh


def test_a_start_between_two_digits_is_refused() -> None:
    with pytest.raises(RigError, match=r"start 1\.05 is no multiple of its last digit 0\.1"):
        SimulatedMeter(load_model("carlo_gavazzi_em340"), Plant(), start=Decimal("1.05"))


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (ReadRegisters(3, 100, 1), 2),  # half a value
        (ReadRegisters(3, 101, 2), 2),
        (ReadRegisters(3, 100, 21), 3),  # more than max_registers
        (ReadRegisters(3, 100, 5), 2),  # a hole at the end
        (ReadRegisters(4, 100, 2), 2),  # the other table
        (WriteRegisters(100, (1, 2)), 2),
        (WriteRegisters(708, (1, 2, 3)), 2),
        (WriteRegisters(700, (1, 2, 3, 4, 5)), 3),
    ],
)
def test_refusals(request_: ReadRegisters | WriteRegisters, code: int) -> None:
    sim, _ = everything()
    with pytest.raises(DeviceRefusedError) as caught:
        sim.execute(request_)
    assert caught.value.code == code


@given(st.binary(max_size=300))
def test_whatever_a_meter_hears_it_survives(octets: bytes) -> None:
    sim, _ = everything()
    for answer in sim.hear(octets, 0.0):
        assert rtu.is_frame(answer.octets)
    for answer in sim.hear(rtu.frame(42, octets[:250] or b"\x03"), 0.0):
        assert rtu.is_frame(answer.octets)


def test_a_meter_keeps_quiet_when_it_is_not_meant() -> None:
    sim, _ = everything()
    request = encode_request(ReadRegisters(3, 100, 2))
    assert sim.hear(rtu.frame(42, request), 0.0)
    assert sim.hear(rtu.frame(41, request), 0.0) == []
    assert sim.hear(rtu.frame(0, request), 0.0) == []  # broadcast
    assert sim.hear(rtu.frame(42, request)[:-1], 0.0) == []


def test_the_fault_table_is_documented_and_checked() -> None:
    for name, kind in FAULTS.items():
        assert kind.name == name
        assert kind.meaning
        assert kind.effect
    faults = Faults()
    with pytest.raises(RigError, match="no meter fault 'brokn'; there are exception, busy"):
        faults.inject("brokn")
    with pytest.raises(RigError, match="meter fault jump has no parameter 'to'; it has by"):
        faults.inject("jump", to=3)
    faults.inject("dead", times=2)
    assert [faults.strikes("dead") is not None for _ in range(3)] == [True, True, False]
    assert faults.hits == {"dead": 2}
    faults.inject("late")
    faults.clear("late")
    faults.inject("busy")
    faults.clear()
    assert faults.active == {}


def test_faults_by_chance_repeat_with_their_seed() -> None:
    def struck(seed: int) -> list[bool]:
        faults = Faults(seed)
        faults.inject("dead", times=5, probability=0.3)
        return [faults.strikes("dead") is not None for _ in range(200)]

    assert struck(1) == struck(1) != struck(2)
    assert sum(struck(1)) == 5


def test_faults_compose() -> None:
    sim, _ = everything()
    sim.faults.inject("late", delay_ms=250)
    sim.faults.inject("bad_crc")
    sim.faults.inject("wrong_id", by=3)
    (answer,) = sim.hear(rtu.frame(42, encode_request(ReadRegisters(3, 100, 2))), 0.0)
    assert answer.delay_s == 0.25
    assert answer.octets[0] == 45
    assert not rtu.is_frame(answer.octets)
