"""The line in memory, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any, TypeVar

import pytest

from hil_rigs.serial_line import FaultPlan, MemoryLine, MemoryPort
from hil_rigs.serial_line.simple_devices import Babbler, Repeater
from hil_rigs.virtual_clock import VirtualClock, run_virtual
from meters.serial_faults import PortBusy, PortMissing, PortUnplugged
from ports.errors import LocalError
from ports.serial_line import BytePort, SerialSettings

S = SerialSettings(19200, "8E1")
T = TypeVar("T")


def run(main: Coroutine[Any, Any, T]) -> T:
    return run_virtual(main, start=datetime(2026, 1, 1, tzinfo=UTC))


async def read(port: BytePort, size: int, seconds: float = 1.0) -> bytes:
    octets, until = b"", port.time() + seconds
    while len(octets) < size and (more := await port.receive(until)):
        octets += more
    return octets


def test_a_turn_takes_exactly_the_time_of_the_line() -> None:
    async def main() -> None:
        async with MemoryLine(S, [Repeater(S, 0.01)]) as line:
            port = line.port()
            port.open()
            for _ in range(1000):
                began = port.time()
                sent = port.write(b"12345678")
                assert sent == pytest.approx(began + 8 * S.character_s)
                assert await read(port, 8) == b"12345678"
                assert port.time() == pytest.approx(sent + 0.01 + 8 * S.character_s)
                await port.wait_until(port.time() + S.silence_s)
            assert line.counters.violations == 0
            assert line.counters.answers == 1000

    run(main())


def test_it_runs_on_the_clock_of_the_rig() -> None:
    async def main(clock: VirtualClock) -> None:
        await clock.sleep(0.123456789)
        async with MemoryLine(S, [Repeater(S, 0.01)], time=clock.monotonic) as line:
            port = line.port()
            port.open()
            for _ in range(500):
                port.write(b"x")
                assert await read(port, 1) == b"x"
                await port.wait_until(port.time() + S.silence_s)
            assert port.time() == clock.monotonic()
            assert line.counters.violations == 0

    run_virtual(main, start=datetime(2026, 1, 1, tzinfo=UTC))


def test_the_same_seed_gives_the_same_run() -> None:
    async def main(seed: int) -> list[tuple[float, bytes]]:
        plan = FaultPlan(seed)
        plan.inject("corrupt", probability=0.3)
        plan.inject("late", spread_s=0.05)
        result = []
        async with MemoryLine(S, [Repeater(S), Babbler(S, 0.7, seed=seed)], faults=plan, seed=seed) as line:
            port = line.port()
            port.open()
            for n in range(50):
                port.write(bytes((n,)) * 5)
                octets = await port.receive(port.time() + 0.3)
                result.append((port.time(), octets))
                await port.wait_until(port.time() + 0.1)
        return result

    assert run(main(7)) == run(main(7))
    assert run(main(7)) != run(main(8))


def test_nothing_comes_until_the_time_is_over() -> None:
    async def main() -> None:
        async with MemoryLine(S) as line:
            port = line.port()
            port.open()
            until = port.time() + 5
            assert await port.receive(until) == b""
            assert port.time() == pytest.approx(until)

    run(main())


def test_what_nobody_reads_is_flushed() -> None:
    async def main() -> None:
        async with MemoryLine(S, [Repeater(S)]) as line:
            port = line.port()
            port.open()
            port.write(b"abc")
            await port.wait_until(port.time() + 1)
            assert port.flush_input() == b"abc"
            assert port.flush_input() == b""
            port.write(b"abc")
            port.close()
            port.close()
            await asyncio.sleep(1)
            port.open()
            assert port.flush_input() == b""
            assert line.counters.octets_lost == 3

    run(main())


def test_one_user_at_a_time() -> None:
    async def main() -> None:
        async with MemoryLine(S, name="bus") as line:
            first, second = line.port(), line.port()
            with pytest.raises(LocalError, match="before open"):
                first.write(b"x")
            first.open()
            first.open()
            with pytest.raises(PortBusy, match="bus is in use"):
                second.open()
            first.close()
            second.open()
            assert second.is_open
            assert not first.is_open
            task = asyncio.create_task(second.receive(second.time() + 1))
            await asyncio.sleep(0)
            with pytest.raises(LocalError, match="two tasks"):
                await second.wait_until(second.time() + 1)
            await task

    run(main())


def test_unplugged_and_back() -> None:
    async def main() -> None:
        plan = FaultPlan()
        plan.inject("unplug", times=1, for_s=2.0)
        async with MemoryLine(S, [Repeater(S)], faults=plan) as line:
            port = line.port()
            port.open()
            port.write(b"abc")
            with pytest.raises(PortUnplugged, match="line was unplugged"):
                await read(port, 3)
            assert not port.is_open
            with pytest.raises(PortUnplugged):
                port.write(b"abc")
            with pytest.raises(PortMissing, match="ports found: none"):
                port.open()
            await asyncio.sleep(2)
            port.open()
            port.write(b"abc")
            assert await read(port, 3) == b"abc"

    run(main())


def test_back_under_another_name() -> None:
    async def main() -> None:
        plan = FaultPlan()
        plan.inject("unplug", times=1, for_s=1.0, name="ttyUSB1")
        async with MemoryLine(S, [Repeater(S)], faults=plan, name="ttyUSB0") as line:
            port = line.port()
            port.open()
            port.write(b"abc")
            await asyncio.sleep(2)
            with pytest.raises(PortMissing, match="ports found: ttyUSB1"):
                port.open()
            moved = line.port()
            moved.open()
            moved.write(b"abc")
            assert await read(moved, 3) == b"abc"

    run(main())


@pytest.mark.parametrize("format_", ["8N1", "8O1", "8E2"])
def test_the_format_may_change_while_open(format_: str) -> None:
    async def main() -> None:
        async with MemoryLine(S, [Repeater(S)]) as line:
            port = line.port(SerialSettings(19200, format_))
            port.open()
            port.write(b"\x01\x03\x00\x01")
            assert (await read(port, 4) == b"") == (format_ != "8E2")
            port.settings = S
            await port.wait_until(port.time() + S.silence_s)
            port.write(b"\x01\x03\x00\x01")
            assert await read(port, 4) == b"\x01\x03\x00\x01"

    run(main())


def test_a_port_is_a_byte_port() -> None:
    async def main() -> None:
        async with MemoryLine(S) as line:
            port: BytePort = line.port(name="m1")
            assert isinstance(port, MemoryPort)
            assert (port.name, port.settings) == ("m1", S)

    run(main())
