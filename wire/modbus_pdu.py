"""Modbus PDUs (Modbus Application Protocol V1.1b3), encoded and decoded by pymodbus behind these few names."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TypeAlias

from pymodbus.exceptions import ModbusException as PymodbusException
from pymodbus.pdu import DecodePDU, ExceptionResponse
from pymodbus.pdu.register_message import (
    ReadHoldingRegistersRequest,
    ReadHoldingRegistersResponse,
    ReadInputRegistersRequest,
    ReadInputRegistersResponse,
    WriteMultipleRegistersRequest,
    WriteMultipleRegistersResponse,
    WriteSingleRegisterRequest,
    WriteSingleRegisterResponse,
)

from ports.errors import LocalError, PeerError

READ_HOLDING = 3
READ_INPUT = 4
WRITE_SINGLE = 6
WRITE_MULTIPLE = 16
EXCEPTION_BIT = 0x80

MAX_READ_REGISTERS = 125  # V1.1b3 6.3
MAX_WRITE_REGISTERS = 123  # V1.1b3 6.12

EXCEPTIONS = {  # V1.1b3 chapter 7
    1: "illegal function",
    2: "illegal data address",
    3: "illegal data value",
    4: "server device failure",
    5: "acknowledge",
    6: "server device busy",
    8: "memory parity error",
    10: "gateway path unavailable",
    11: "gateway target device failed to respond",
}
BUSY = frozenset({5, 6})

_READS = {READ_HOLDING: ReadHoldingRegistersRequest, READ_INPUT: ReadInputRegistersRequest}
_READ_ANSWERS = {READ_HOLDING: ReadHoldingRegistersResponse, READ_INPUT: ReadInputRegistersResponse}
_ANSWERS = DecodePDU(False)
_REQUESTS = DecodePDU(True)


class DeviceRefusedError(PeerError):
    """The device answered with a Modbus exception; `code` is its number (V1.1b3 chapter 7)."""

    def __init__(self, message: str, code: int, received: bytes = b"") -> None:
        super().__init__(message, received)
        self.code = code


@dataclass(frozen=True, slots=True)
class ReadRegisters:
    """Read `count` registers from the PDU address `address` (0-based). function: 3 holding, 4 input."""

    function: int
    address: int
    count: int

    def __post_init__(self) -> None:
        if self.function not in _READS:
            raise LocalError(f"function {self.function} does not read registers: 3 or 4 do")
        if not 1 <= self.count <= MAX_READ_REGISTERS or not 0 <= self.address <= 0x10000 - self.count:
            raise LocalError(f"cannot read {self.count} registers at {self.address:#06x}: 1-125, up to address 0xffff")

    @property
    def answer_header(self) -> bytes:
        """What the PDU of the only right answer begins with: function, byte count."""
        return bytes((self.function, 2 * self.count))

    @property
    def answer_length(self) -> int:
        """Octets of the PDU of the right answer."""
        return 2 + 2 * self.count


@dataclass(frozen=True, slots=True)
class WriteRegisters:
    """Write registers from `address` on with function 16."""

    address: int
    registers: tuple[int, ...]
    function: int = WRITE_MULTIPLE

    def __post_init__(self) -> None:
        if self.function not in (WRITE_MULTIPLE, WRITE_SINGLE):
            raise LocalError(f"function {self.function} does not write registers: 6 or 16 do")
        if not 1 <= len(self.registers) <= (MAX_WRITE_REGISTERS if self.function == WRITE_MULTIPLE else 1):
            raise LocalError(f"cannot write {len(self.registers)} registers with function {self.function}")
        if any(not 0 <= register <= 0xFFFF for register in self.registers):
            raise LocalError("a register holds 0-65535")

    @property
    def answer_header(self) -> bytes:
        """Function and address, then the count (16) or the value (6)."""
        last = len(self.registers) if self.function == WRITE_MULTIPLE else self.registers[0]
        return struct.pack(">BHH", self.function, self.address, last)

    @property
    def answer_length(self) -> int:
        """Octets of the PDU of the right answer."""
        return 5


Request: TypeAlias = ReadRegisters | WriteRegisters


def encode_request(request: Request) -> bytes:
    """The PDU, function code first."""
    if isinstance(request, ReadRegisters):
        body = _READS[request.function](address=request.address, count=request.count).encode()
    elif request.function == WRITE_SINGLE:
        body = WriteSingleRegisterRequest(address=request.address, registers=list(request.registers)).encode()
    else:
        registers = list(request.registers)
        body = WriteMultipleRegistersRequest(
            address=request.address, count=len(registers), registers=registers
        ).encode()
    return bytes((request.function,)) + body


def decode_request(pdu: bytes) -> Request:
    """The request in a PDU. Raises DeviceRefusedError with the code that a device has to answer."""
    if not pdu:
        raise DeviceRefusedError("empty PDU", 1, pdu)
    function = pdu[0]
    if function not in (*_READS, WRITE_SINGLE, WRITE_MULTIPLE):
        raise DeviceRefusedError(f"function {function} is not offered", 1, pdu)
    count = int.from_bytes(pdu[3:5], "big")
    limit, length = {WRITE_SINGLE: (0xFFFF, 5), WRITE_MULTIPLE: (MAX_WRITE_REGISTERS, 6 + 2 * count)}.get(
        function, (MAX_READ_REGISTERS, 5)
    )
    decoded = _decode(_REQUESTS, pdu) if len(pdu) == length and count <= limit else None
    if decoded is None:
        raise DeviceRefusedError(f"malformed request of function {function}", 3, pdu)
    try:
        if function in _READS:
            return ReadRegisters(function, decoded.address, decoded.count)
        return WriteRegisters(decoded.address, tuple(decoded.registers), function)
    except LocalError as error:
        raise DeviceRefusedError(str(error), 3, pdu) from error


def encode_answer(request: Request, registers: tuple[int, ...] = ()) -> bytes:
    """The PDU that answers `request`; registers: what was read (reads only)."""
    if isinstance(request, ReadRegisters):
        body = _READ_ANSWERS[request.function](registers=list(registers)).encode()
    elif request.function == WRITE_SINGLE:
        body = WriteSingleRegisterResponse(address=request.address, registers=list(request.registers)).encode()
    else:
        body = WriteMultipleRegistersResponse(address=request.address, count=len(request.registers)).encode()
    return bytes((request.function,)) + body


def encode_exception(function: int, code: int) -> bytes:
    """The PDU of an exception answer."""
    return bytes((function | EXCEPTION_BIT,)) + ExceptionResponse(function, code).encode()


def decode_answer(request: Request, pdu: bytes) -> tuple[int, ...]:
    """Registers read, or () for a write.

    Raises DeviceRefusedError (the device refused) or PeerError (this is no answer to `request`).
    """
    if len(pdu) == 2 and pdu[0] == request.function | EXCEPTION_BIT:
        code = pdu[1]
        meaning = EXCEPTIONS.get(code, "unknown code")
        raise DeviceRefusedError(f"exception {code} ({meaning}) to {describe(request)}", code, pdu)
    if len(pdu) != request.answer_length or not pdu.startswith(request.answer_header):
        raise PeerError(f"no answer to {describe(request)}: {pdu.hex()}", pdu)
    decoded = _decode(_ANSWERS, pdu)
    if decoded is None:
        raise PeerError(f"malformed answer to {describe(request)}: {pdu.hex()}", pdu)
    return tuple(decoded.registers) if isinstance(request, ReadRegisters) else ()


def describe(request: Request) -> str:
    """The request in words, for errors: "input registers 0x0048-0x0049"."""
    kind = "input" if request.function == READ_INPUT else "holding"
    count = request.count if isinstance(request, ReadRegisters) else len(request.registers)
    verb = "" if isinstance(request, ReadRegisters) else "write of "
    last = f"-{request.address + count - 1:#06x}" if count > 1 else ""
    return f"{verb}{kind} register{'s' if count > 1 else ''} {request.address:#06x}{last}"


def _decode(decoder: DecodePDU, pdu: bytes):  # type: ignore[no-untyped-def]  # the class is pymodbus's own
    try:
        return decoder.decode(pdu)
    except (PymodbusException, struct.error, IndexError, ValueError):
        return None
