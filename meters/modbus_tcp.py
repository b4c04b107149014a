"""Modbus TCP through pymodbus: the bus of a driver, and a server for simulated meters."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from pymodbus.client import AsyncModbusTcpClient
from pymodbus.constants import ExcCodes
from pymodbus.exceptions import ModbusException
from pymodbus.pdu import ExceptionResponse, ModbusPDU
from pymodbus.simulator import DataType, SimData, SimDevice

from meters.bus import Backoff, Call, Timing
from meters.turns import Turns
from ports.clock import Clock
from ports.errors import LocalError, PeerError, RigError
from wire.modbus_pdu import (
    READ_INPUT,
    WRITE_SINGLE,
    DeviceRefusedError,
    ReadRegisters,
    Request,
    WriteRegisters,
    decode_answer,
    describe,
    encode_exception,
)

CONNECT_S = 3.0
NETWORK_S = 0.2  # on top of the device's own response time, for the way there and back
_EVERYTHING = SimData(0, count=0x10000, values=0, datatype=DataType.REGISTERS)

if TYPE_CHECKING:
    from pymodbus.server import ModbusTcpServer


class TcpBus:
    """Meters behind one TCP address (`meters.bus.Bus`): a meter with a network port, or a gateway to RS485.

    A transaction that failed closes the connection, so that a late answer has nowhere to go.
    """

    def __init__(self, host: str, clock: Clock, port: int = 502) -> None:
        self._host, self._port = host, port
        self._clock = clock
        self._turns = Turns()
        self._backoff = Backoff()
        self._client: AsyncModbusTcpClient | None = None
        self._closed = False

    @property
    def name(self) -> str:
        """host:port."""
        return f"{self._host}:{self._port}"

    async def transact(
        self, device: int, request: Request, timing: Timing, call: Call | None = None
    ) -> tuple[int, ...]:
        """See `meters.bus.Bus.transact`."""
        async with self._turns.turn((call or Call()).priority):
            client = await self._connected()
            try:
                async with asyncio.timeout(timing.max_response_s + NETWORK_S):
                    answer = await _send(client, device, request)
            except TimeoutError:
                self._drop()
                raise PeerError(f"{self.name} device {device}, {describe(request)}: no answer") from None
            except ModbusException as error:
                self._drop()
                raise PeerError(f"{self.name} device {device}, {describe(request)}: {error}") from error
            except BaseException:
                self._drop()
                raise
            try:
                return _registers(self.name, device, request, answer)
            except DeviceRefusedError:
                raise
            except PeerError:
                self._drop()
                raise

    async def close(self) -> None:
        """Close the connection; harmless when closed."""
        self._closed = True
        self._drop()

    async def _connected(self) -> AsyncModbusTcpClient:
        if self._closed:
            raise LocalError(f"{self.name}: this bus was closed")
        if self._client is not None and self._client.connected:
            return self._client
        self._drop()
        now = self._clock.monotonic()
        self._backoff.check(now, self.name)
        client = AsyncModbusTcpClient(
            self._host, port=self._port, timeout=CONNECT_S, retries=0, reconnect_delay=0, name=self.name
        )
        if not await client.connect():
            client.close()
            self._backoff.failed(now)
            raise RigError(f"no Modbus TCP server at {self.name}: check address, port and network")
        self._backoff.succeeded()
        self._client = client
        return client

    def _drop(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()


async def _send(client: AsyncModbusTcpClient, device: int, request: Request) -> ModbusPDU:
    if isinstance(request, WriteRegisters):
        if request.function == WRITE_SINGLE:
            return await client.write_register(request.address, request.registers[0], device_id=device)
        return await client.write_registers(request.address, list(request.registers), device_id=device)
    read = client.read_input_registers if request.function == READ_INPUT else client.read_holding_registers
    return await read(request.address, count=request.count, device_id=device)


def _registers(name: str, device: int, request: Request, answer: ModbusPDU) -> tuple[int, ...]:
    """What a device answered, when it is exactly what was asked for."""
    if isinstance(answer, ExceptionResponse):
        return decode_answer(request, encode_exception(request.function, answer.exception_code))
    wanted = request.count if isinstance(request, ReadRegisters) else None
    registers = tuple(answer.registers)
    if answer.function_code != request.function or answer.dev_id != device or wanted not in (None, len(registers)):
        raise PeerError(
            f"{name} device {device}, {describe(request)}: answer of device {answer.dev_id}, function"
            f" {answer.function_code}, {len(registers)} registers"
        )
    return registers if wanted is not None else ()


class TcpDevice(Protocol):
    """A simulated device that a TCP server can offer (`meters.simulated.SimulatedMeter` is one)."""

    device: int

    def serve(self, request: Request) -> tuple[int, ...] | None:
        """Registers read (() for a write), None for no answer. Raises DeviceRefusedError."""


class TcpMeterServer:
    """Simulated meters behind one TCP address; use it as `async with`. port 0 takes a free one, see `port`."""

    def __init__(self, devices: Sequence[TcpDevice], host: str = "127.0.0.1", port: int = 0) -> None:
        self._devices = devices
        self._host, self._wanted = host, port
        self._server: ModbusTcpServer | None = None
        self.port = port

    async def start(self) -> None:
        """Listen. Raises RigError when the address is taken."""
        from pymodbus.server import ModbusTcpServer  # with it comes an HTTP server: half a second that few need

        self._server = ModbusTcpServer(
            [*(_sim_device(device) for device in self._devices), _nobody()], address=(self._host, self._wanted)
        )
        try:
            await self._server.serve_forever(background=True)
        except RuntimeError as error:
            raise RigError(f"cannot listen at {self._host}:{self._wanted}: is the port taken?") from error
        transport: Any = self._server.transport  # asyncio.Server, or the one of virtual time; pymodbus declares less
        self.port = transport.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Stop listening; harmless when closed."""
        if self._server is not None:
            await self._server.shutdown()  # type: ignore[no-untyped-call]
            self._server = None

    async def __aenter__(self) -> TcpMeterServer:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def _sim_device(device: TcpDevice) -> SimDevice:
    """pymodbus' device: it checks addresses and framing; what registers hold is asked of ours at every request."""

    async def action(
        function: int,
        start: int,
        address: int,
        count: int,
        current: list[int],
        values: list[int] | list[bool] | None,
    ) -> ExcCodes | None:
        request: Request
        try:
            if values is None:
                request = ReadRegisters(function, address, count)
            else:
                request = WriteRegisters(address, tuple(int(value) for value in values))
            registers = device.serve(request)
        except DeviceRefusedError as refusal:
            return ExcCodes(refusal.code)
        if registers is None:
            return ExcCodes.GATEWAY_NO_RESPONSE
        for index, register in enumerate(registers):
            current[address - start + index] = register
        return None

    return SimDevice(id=device.device, simdata=[_EVERYTHING], action=action)


def _nobody() -> SimDevice:
    """Device 0 stands for every id that nobody has: a gateway answers exception 11 for it."""

    async def action(*_: object) -> ExcCodes:
        return ExcCodes.GATEWAY_NO_RESPONSE

    return SimDevice(id=0, simdata=[_EVERYTHING], action=action)
