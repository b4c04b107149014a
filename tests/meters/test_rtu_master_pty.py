"""The master on a real serial port object and a pty: busy, missing, unplugged and back."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from hil_rigs.real_clock import RealClock
from hil_rigs.serial_line import VirtualLine
from meters.bus import Call, Timing
from meters.rtu_master import RtuMaster
from meters.serial_port import SerialPort
from meters.simulated import SimulatedMeter
from ports.errors import PeerError, RigError
from ports.serial_line import SerialSettings
from tests.meters.fault_matrix import MODEL, SYNC
from tests.meters.plant import Plant
from wire.modbus_pdu import ReadRegisters

ENERGY = ReadRegisters(4, 0x48, 2)
TIMING = Timing(max_response_s=0.5, late_window_s=0.1)


@pytest.mark.parametrize("form", ["8N1", "8E1", "8O1", "8N2"])
async def test_every_format_opens_again_and_again(form: str) -> None:
    settings = SerialSettings(115200, form)
    sim = SimulatedMeter(MODEL, Plant(), settings=settings)
    async with VirtualLine(settings, [sim]) as line:
        for _ in range(5):
            master = RtuMaster(SerialPort(line.path, settings))
            await RealClock().sleep(0.002)  # t3.5 after the last master's frame
            assert await master.transact(1, ENERGY, TIMING) == sim.execute(ENERGY)
            await master.close()
        assert line.counters.garbled == line.counters.violations == 0


async def test_missing_busy_unplugged_and_back(tmp_path: Path) -> None:
    settings = SerialSettings(115200, "8E1")
    sim = SimulatedMeter(MODEL, Plant(), settings=settings)
    link = tmp_path / "ttyMeter"
    master = RtuMaster(SerialPort(link, settings))
    with pytest.raises(RigError, match="ttyMeter is not there"):
        await master.transact(1, ENERGY, TIMING)
    async with VirtualLine(settings, [sim], link=link) as line:
        await _until_answered(master, sim)
        other = RtuMaster(SerialPort(link, settings))
        with pytest.raises(RigError, match="in use"):
            await other.transact(1, ENERGY, TIMING)
        await asyncio.to_thread(line.unplug)
        with pytest.raises(RigError, match=r"unplugged|not there"):
            await master.transact(1, ENERGY, TIMING)
        await asyncio.to_thread(line.plug)
        await _until_answered(master, sim)
        assert master.counters.opened == 2
        await master.close()


async def _until_answered(master: RtuMaster, sim: SimulatedMeter) -> None:
    while True:
        try:
            assert await master.transact(1, ENERGY, TIMING, Call(sync=SYNC)) == sim.execute(ENERGY)
            return
        except (RigError, PeerError):
            await RealClock().sleep(0.02)
