"""Modbus masters that we did not write read the simulated meters and get the values that our driver gets.

mbpoll (Debian package; C, libmodbus): RTU over the virtual line at 8N1, and Modbus TCP.
minimalmodbus (PyPI, Apache-2.0): RTU at 8N1 and, through the pyserial handler ptysim://, at 8E1.
pymodbus (PyPI, BSD) as RTU client: framing of its own, though its PDU classes are also ours.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

import minimalmodbus
import pytest
import serial
from pymodbus.client import AsyncModbusSerialClient

from hil_rigs.real_clock import RealClock
from hil_rigs.serial_line import VirtualLine
from meters import ptysim
from meters.modbus_meter import ModbusMeter
from meters.modbus_tcp import TcpBus, TcpMeterServer
from meters.model import load_model
from meters.rtu_master import RtuMaster
from meters.serial_port import SerialPort
from meters.simulated import SERIAL, SimulatedMeter
from ports.serial_line import SerialSettings
from tests.meters.plant import Plant

MBPOLL = shutil.which("mbpoll")
needs_mbpoll = pytest.mark.skipif(MBPOLL is None, reason="mbpoll is not installed: apt-get install mbpoll")


@dataclass(slots=True)
class Bench:
    """A meter whose plant stands still on a virtual line, and what our driver reads from it."""

    sim: SimulatedMeter
    line: VirtualLine
    settings: SerialSettings

    async def driver(self) -> dict[str, Decimal]:
        """All values, by our driver."""
        master = RtuMaster(SerialPort(self.line.path, self.settings))
        meter = ModbusMeter("m1", self.sim.model, master, RealClock(), settings=self.settings)
        try:
            assert (await meter.identify()).serial == SERIAL
            energy = await meter.read_energy()
            readings = await meter.read()
        finally:
            await meter.close()
        await RealClock().sleep(0.05)  # t3.5 after our last frame: the next program does not know of it
        assert energy.value == readings["energy_import"].value
        return {name: reading.value for name, reading in readings.items()}


def bench(name: str, settings: SerialSettings) -> Iterator[Bench]:
    plant = Plant(7_400)
    plant.extra_wh = Decimal("8765432.1")
    sim = SimulatedMeter(load_model(name), plant, settings=settings)
    with VirtualLine(settings, [sim]) as line:
        yield Bench(sim, line, settings)


@pytest.fixture(params=["eastron_sdm630", "abb_b23", "carlo_gavazzi_em340"])
def at_8n1(request: pytest.FixtureRequest) -> Iterator[Bench]:
    yield from bench(request.param, SerialSettings(19200, "8N1"))


@pytest.fixture(params=["eastron_sdm630", "abb_b23", "carlo_gavazzi_em340"])
def at_8e1(request: pytest.FixtureRequest) -> Iterator[Bench]:
    yield from bench(request.param, SerialSettings(19200, "8E1"))


# what the foreign master asks for, from the makers' register lists: point -> register, how, decimals
FLOATS = {"energy_import": 0x48, "power": 0x34, "voltage_l2": 0x02, "frequency": 0x46}
ABB = {"power": (0x5B14, -2), "voltage_l2": (0x5B02, -1), "current_l3": (0x5B10, -2)}
GAVAZZI = {"energy_import": (0x34, -1), "power": (0x28, -1), "voltage_l2": (0x02, -1), "current_l1": (0x0C, -3)}


def mbpoll(device: str, kind: str, address: int, count: int, *options: str) -> list[str]:
    """Values as mbpoll prints them: `[72]:  1234.56`."""
    assert MBPOLL is not None
    done = subprocess.run(
        [MBPOLL, "-1", "-0", "-o", "1", "-a", "1", "-t", kind, "-r", str(address), "-c", str(count), *options, device],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return [match[1].split()[0] for match in re.finditer(r"^\[\d+\]:\s+(\S.*)$", done.stdout, re.MULTILINE)]


@needs_mbpoll
async def test_mbpoll_over_rtu_at_8n1(at_8n1: Bench) -> None:
    ours = await at_8n1.driver()
    rtu = ["-m", "rtu", "-b", "19200", "-P", "none"]

    def ask(kind: str, address: int, count: int = 1, *options: str) -> list[str]:
        return mbpoll(at_8n1.line.path, kind, address, count, *rtu, *options)

    def compare() -> None:
        if at_8n1.sim.model.model == "eastron_sdm630":
            for name, address in FLOATS.items():
                (value,) = ask("3:float", address, 1, "-B")
                assert float(value) == pytest.approx(float(ours[name]), rel=5e-6)  # mbpoll prints six digits
        elif at_8n1.sim.model.model == "abb_b23":
            words = ask("4:hex", 0x5000, 4)
            assert (
                Decimal(int("".join(word.removeprefix("0x") for word in words), 16)).scaleb(-2) == ours["energy_import"]
            )
            for name, (address, exponent) in ABB.items():
                assert Decimal(ask("4:int", address, 1, "-B")[0]).scaleb(exponent) == ours[name]
        else:
            for name, (address, exponent) in GAVAZZI.items():
                assert Decimal(ask("3:int", address)[0]).scaleb(exponent) == ours[name]

    await asyncio.to_thread(compare)
    assert at_8n1.line.counters.garbled == 0


def minimal(port: str | serial.Serial, sim: SimulatedMeter, ours: dict[str, Decimal]) -> None:
    """Compare what minimalmodbus reads."""
    instrument = minimalmodbus.Instrument(port, 1)
    assert instrument.serial is not None
    instrument.serial.timeout = 1.0
    if sim.model.model == "eastron_sdm630":
        for name, address in FLOATS.items():
            value = instrument.read_float(address, functioncode=4)
            assert value == pytest.approx(float(ours[name]), rel=1e-7)
        assert instrument.read_long(0xFC00) == int(SERIAL)
    elif sim.model.model == "abb_b23":
        energy = instrument.read_long(0x5000, number_of_registers=4)
        assert Decimal(energy).scaleb(-2) == ours["energy_import"]
        for name, (address, exponent) in ABB.items():
            assert Decimal(instrument.read_long(address, signed=True)).scaleb(exponent) == ours[name]
        assert instrument.read_long(0x8900) == int(SERIAL)
    else:
        order = minimalmodbus.BYTEORDER_LITTLE_SWAP  # low word first, octets of a word in order
        for name, (address, exponent) in GAVAZZI.items():
            value = instrument.read_long(address, functioncode=4, signed=True, byteorder=order)
            assert Decimal(value).scaleb(exponent) == ours[name]
        assert instrument.read_string(0x5000, 7, functioncode=4).rstrip("\0") == SERIAL
    instrument.serial.close()


async def test_minimalmodbus_at_8n1(at_8n1: Bench) -> None:
    ours = await at_8n1.driver()

    def compare() -> None:
        with serial.Serial(at_8n1.line.path, 19200) as port:
            minimal(port, at_8n1.sim, ours)

    await asyncio.to_thread(compare)


async def test_minimalmodbus_at_8e1(at_8e1: Bench) -> None:
    """Opened twice: on a plain pty the second open at 8E1 fails or silently runs 8N1."""
    ours = await at_8e1.driver()
    ptysim.register()

    def compare() -> None:
        for _ in range(2):
            with serial.serial_for_url(at_8e1.line.url, 19200, parity="E") as port:
                minimal(port, at_8e1.sim, ours)

    await asyncio.to_thread(compare)
    assert at_8e1.line.counters.garbled == 0


async def test_pymodbus_at_8n1(at_8n1: Bench) -> None:
    ours = await at_8n1.driver()
    point = at_8n1.sim.model.point("power")
    client = AsyncModbusSerialClient(at_8n1.line.path, baudrate=19200, timeout=1)
    try:
        assert await client.connect()
        read = client.read_input_registers if point.function == 4 else client.read_holding_registers
        registers = (await read(point.addr, count=2, device_id=1)).registers
    finally:
        client.close()
    kinds = {"f32": client.DATATYPE.FLOAT32, "i32": client.DATATYPE.INT32}
    value = client.convert_from_registers(
        registers, kinds[point.type], word_order="big" if point.order == "be" else "little"
    )
    assert float(value) * 10.0**point.exp == pytest.approx(float(ours["power"]), rel=1e-7)


@needs_mbpoll
async def test_mbpoll_over_tcp() -> None:
    plant = Plant(7_400)
    plant.extra_wh = Decimal("8765432.1")
    sim = SimulatedMeter(load_model("carlo_gavazzi_em340"), plant)
    async with TcpMeterServer([sim]) as server:
        meter = ModbusMeter("m1", sim.model, TcpBus("127.0.0.1", RealClock(), server.port), RealClock())
        ours = await meter.read()
        for name, (address, exponent) in GAVAZZI.items():
            words = await asyncio.to_thread(
                mbpoll, "127.0.0.1", "3:int", address, 1, "-m", "tcp", "-p", str(server.port)
            )
            assert Decimal(words[0]).scaleb(exponent) == ours[name].value
        await meter.close()
