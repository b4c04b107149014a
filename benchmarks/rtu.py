"""How much of a serial line's own speed an RTU master uses; the line runs in a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import statistics
import time
from collections.abc import Awaitable, Callable
from decimal import Decimal

from pymodbus.client import AsyncModbusSerialClient

from benchmarks.report import Report
from hil_rigs.serial_line import LineProcess
from meters.batch import Slot, plan, slots_of, time_on_line
from meters.bus import Timing
from meters.model import load_model
from meters.rtu_master import RtuMaster
from meters.serial_port import SerialPort
from meters.simulated import SimulatedMeter
from ports.energy import Electrical
from ports.serial_line import LineDevice, SerialSettings
from wire.modbus_pdu import ReadRegisters

TITLE = "Modbus RTU cycle against the line's limit, and beside pymodbus with the same pause"

FLOORS = {9600: 0.97, 19200: 0.97, 115200: 0.95}
REGISTERS = 2
ROUNDS = 5
SECONDS_A_ROUND = 0.8
TIMING = Timing(max_response_s=0.3, late_window_s=0.3)
READ = ReadRegisters(4, 0x48, REGISTERS)

# Eastron SDM630 Modbus protocol: the block of basic values, two registers each
SDM630_BLOCK = [*range(0x00, 0x2C, 2), 0x2E, 0x30, 0x34, 0x38, 0x3C, 0x3E, 0x42, 0x46, 0x48, 0x4A]

Poll = Callable[[], Awaitable[object]]


class _Standing:
    """A measuring point where nothing flows."""

    def electrical(self) -> Electrical:
        """Always the same."""
        zero = (0.0, 0.0, 0.0)
        return Electrical((230.0, 230.0, 230.0), zero, zero, 50.0, Decimal(1000), Decimal(0))


def make_devices(baud: int) -> list[LineDevice]:
    """Called in the line's process."""
    return [SimulatedMeter(load_model("eastron_sdm630"), _Standing(), settings=SerialSettings(baud, "8N1"))]


def run(report: Report) -> None:
    """Measure all baud rates."""
    for baud, floor in FLOORS.items():
        asyncio.run(_measure(report, baud, floor))
    _batches(report)


def _batches(report: Report) -> None:
    """What reading together saves, by the line's arithmetic (the cycles above show that it is kept)."""
    model = load_model("eastron_sdm630")
    settings = SerialSettings(9600, "8N1")
    sets = {
        "SDM630, 32 values at 0000-004B": [Slot(4, address, 2) for address in SDM630_BLOCK],
        "SDM630, all points of our model": [slot for point in model.points for slot in slots_of(point)],
    }
    for index, (name, slots) in enumerate(sets.items()):
        reads = plan(slots, model.limits, settings)
        together = time_on_line(reads, settings)
        singly = time_on_line((ReadRegisters(*slot) for slot in slots), settings)
        report.ratio(
            f"{name}: line time planned / one by one",
            together,
            singly,
            ceiling=0.30 if index == 0 else None,
            detail=f"{len(slots)} values in {len(reads)} reads, {together * 1000:.0f} ms at 9600",
        )


async def _measure(report: Report, baud: int, floor: float) -> None:
    settings = SerialSettings(baud, "8N1")
    limit = (13 + 2 * REGISTERS) * settings.character_s + 2 * settings.silence_s
    polls = max(10, int(SECONDS_A_ROUND / limit))
    report.progress(f"{baud} baud: {2 * ROUNDS} rounds of {polls} polls")
    with (
        LineProcess(settings, make_devices, (baud,)) as our_line,
        LineProcess(settings, make_devices, (baud,)) as other,
    ):
        master = RtuMaster(SerialPort(our_line.path, settings))
        client = AsyncModbusSerialClient(other.path, baudrate=baud, timeout=1, retries=0)
        await client.connect()

        async def ours() -> object:
            return await master.transact(1, READ, TIMING)

        async def theirs() -> object:
            answer = await client.read_input_registers(READ.address, count=READ.count, device_id=1)
            await asyncio.sleep(settings.silence_s)
            return answer

        cycles: dict[str, list[float]] = {"ours": [], "theirs": []}
        cpu = {"ours": 0.0, "theirs": 0.0}
        for side in (ours, theirs):  # first requests open ports and learn about echoes
            await side()
            await side()
        for _ in range(ROUNDS):
            for name, poll in (("ours", ours), ("theirs", theirs)):
                cpu[name] += await _round(poll, polls, cycles[name])
        await master.close()
        client.close()
        violations = our_line.counters.violations, other.counters.violations
    # the median of the round that other programs on the machine disturbed least, for both sides alike
    median = {
        name: min(statistics.median(times[i : i + polls]) for i in range(0, len(times), polls))
        for name, times in cycles.items()
    }
    report.ratio(
        f"{baud} baud: line limit / our cycle",
        limit,
        median["ours"],
        floor=floor,
        detail=f"{1 / median['ours']:.1f} of {1 / limit:.1f} polls/s",
    )
    report.ratio(f"{baud} baud: line limit / pymodbus + sleep(t3.5)", limit, median["theirs"])
    report.ratio(f"{baud} baud: pymodbus cycle / our cycle", median["theirs"], median["ours"])
    report.ratio(f"{baud} baud: our CPU / pymodbus' CPU for a poll", cpu["ours"], cpu["theirs"])
    report.ratio(f"{baud} baud: our requests inside t3.5", violations[0], 1, ceiling=0, detail="a count, not a ratio")
    report.value(f"{baud} baud: pymodbus' requests inside t3.5", violations[1], "")


async def _round(poll: Poll, polls: int, cycles: list[float]) -> float:
    """CPU seconds of so many polls; their times go to `cycles`."""
    before = resource.getrusage(resource.RUSAGE_SELF)
    last = time.perf_counter()
    for _ in range(polls):
        with contextlib.suppress(Exception):  # a library that loses an answer pays with its timeout
            await poll()
        now = time.perf_counter()
        cycles.append(now - last)
        last = now
    after = resource.getrusage(resource.RUSAGE_SELF)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
