"""Modbus TCP: meters over the network, wrong servers, and servers that are away."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from hil_rigs.real_clock import RealClock
from meters.bus import Timing
from meters.modbus_meter import ModbusMeter
from meters.modbus_tcp import TcpBus, TcpMeterServer
from meters.model import load_model, model_names
from meters.plausibility import ImplausibleError
from meters.simulated import SERIAL, SimulatedMeter
from ports.errors import LocalError, PeerError, RigError
from tests.meters.plant import Plant
from wire.modbus_pdu import DeviceRefusedError, ReadRegisters, WriteRegisters

TIMING = Timing(max_response_s=0.8, late_window_s=0.0)
IMPATIENT = Timing(max_response_s=0.05, late_window_s=0.0)
READ = ReadRegisters(3, 0x5000, 4)


def simulated(name: str = "abb_b23") -> SimulatedMeter:
    plant = Plant(5_000)
    plant.extra_wh = Decimal("7654321")
    return SimulatedMeter(load_model(name), plant)


@pytest.mark.parametrize("name", model_names())
async def test_reads_every_model(name: str) -> None:
    sim = simulated(name)
    async with TcpMeterServer([sim]) as server:
        meter = ModbusMeter("m1", sim.model, TcpBus("127.0.0.1", RealClock(), server.port), RealClock())
        assert (await meter.identify()).serial == SERIAL
        assert (await meter.read_energy()).value == sim.shown("energy_import")
        assert set(await meter.read()) == {point.name for point in sim.model.points}
        sim.faults.inject("backwards", times=1)
        with pytest.raises(ImplausibleError):
            await meter.read_energy()
        await meter.close()
        await meter.close()


async def finish(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Wait until the client has gone, and leave nothing open."""
    await reader.read()
    writer.close()
    await writer.wait_closed()


async def test_refusals_and_unknown_devices() -> None:
    sim = simulated()
    async with TcpMeterServer([sim]) as server:
        bus = TcpBus("127.0.0.1", RealClock(), server.port)
        with pytest.raises(DeviceRefusedError, match=r"exception 2 \(illegal data address\)"):
            await bus.transact(1, ReadRegisters(3, 0x100, 2), TIMING)
        with pytest.raises(DeviceRefusedError, match="exception 11"):
            await bus.transact(9, READ, TIMING)
        with pytest.raises(DeviceRefusedError, match="exception 2"):
            await bus.transact(1, WriteRegisters(0x100, (1,)), TIMING)
        sim.faults.inject("dead", times=1)
        with pytest.raises(DeviceRefusedError, match="exception 11"):
            await bus.transact(1, READ, TIMING)
        assert await bus.transact(1, READ, TIMING) == sim.execute(READ)
        await bus.close()
        with pytest.raises(LocalError, match="closed"):
            await bus.transact(1, READ, TIMING)


async def test_nobody_listens_and_then_somebody_does() -> None:
    async with TcpMeterServer([simulated()]) as server:
        port = server.port
    clock = RealClock()
    bus = TcpBus("127.0.0.1", clock, port)
    with pytest.raises(RigError, match=f"no Modbus TCP server at 127.0.0.1:{port}"):
        await bus.transact(1, READ, TIMING)
    with pytest.raises(RigError, match="is away; next try in"):
        await bus.transact(1, READ, TIMING)
    sim = simulated()
    async with TcpMeterServer([sim], port=port):
        while True:
            try:
                assert await bus.transact(1, READ, TIMING) == sim.execute(READ)
                break
            except RigError:
                await clock.sleep(0.02)
        await bus.close()


async def test_a_port_that_is_taken_is_a_rig_error() -> None:
    async with TcpMeterServer([simulated()]) as server:
        with pytest.raises(RigError, match=f"cannot listen at 127.0.0.1:{server.port}"):
            await TcpMeterServer([simulated()], port=server.port).start()


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ("0003 01 03 00", "answer of device 1, function 3, 0 registers"),
        ("0005 01 03 02 0001", "answer of device 1, function 3, 1 registers"),
        ("000b 01 04 08 0001 0002 0003 0004", "function 4"),
        ("000b 02 03 08 0001 0002 0003 0004", "no answer"),
        ("", "no answer"),
    ],
)
async def test_wrong_answers_are_never_values(answer: str, says: str) -> None:
    """A server of our own making answers with the right transaction number and the wrong rest."""

    done = asyncio.Semaphore(0)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readexactly(12)
        if answer:
            writer.write(request[:4] + bytes.fromhex(answer))
        await finish(reader, writer)
        done.release()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        bus = TcpBus("127.0.0.1", RealClock(), server.sockets[0].getsockname()[1])
        with pytest.raises(PeerError, match=says):
            await bus.transact(1, READ, TIMING if answer else IMPATIENT)
        await bus.close()
        await done.acquire()


async def test_after_a_timeout_the_late_answer_has_nowhere_to_go() -> None:
    """The first answer comes while the second request waits: on a connection that is closed by then."""
    late = asyncio.Event()
    done = asyncio.Semaphore(0)
    served = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal served
        served += 1
        request = await reader.readexactly(12)
        if served == 1:
            await late.wait()
            value = b"\x00\x01" * 4
        else:
            late.set()
            value = b"\x00\x02" * 4
        writer.write(request[:4] + b"\x00\x0b\x01\x03\x08" + value)
        await finish(reader, writer)
        done.release()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        bus = TcpBus("127.0.0.1", RealClock(), server.sockets[0].getsockname()[1])
        with pytest.raises(PeerError, match="no answer"):
            await bus.transact(1, READ, IMPATIENT)
        assert await bus.transact(1, READ, TIMING) == (2, 2, 2, 2)
        await bus.close()
        for _ in range(served):
            await done.acquire()
