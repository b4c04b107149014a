"""Modbus RTU frames (Modbus over Serial Line V1.02, 2.5.1): CRC, framing, and which frame answers which request.

RTU has no transaction number, so an answer is believed only when device, function and byte count are exactly
those that the request asks for, and the CRC is right. The search for it goes on at any offset of what was
received; what was skipped is noise, and counted.
"""

from __future__ import annotations

from dataclasses import dataclass

from ports.errors import LocalError, PeerError
from wire.modbus_pdu import EXCEPTION_BIT, EXCEPTIONS, Request

MIN_FRAME = 4  # device, function, CRC
MAX_FRAME = 256  # V1.02 2.5.1
EXCEPTION_FRAME = 5


def _crc_table() -> tuple[int, ...]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (0xA001 if value & 1 else 0)  # V1.02 appendix B: polynomial reflected
        table.append(value)
    return tuple(table)


_TABLE = _crc_table()


def crc16(octets: bytes) -> int:
    """CRC-16/MODBUS; goes on the wire low octet first (V1.02 6.2.2)."""
    crc = 0xFFFF
    for octet in octets:
        crc = (crc >> 8) ^ _TABLE[(crc ^ octet) & 0xFF]
    return crc


def frame(device: int, pdu: bytes) -> bytes:
    """The frame of one PDU for (or from) `device`, 0-255; 0 is broadcast."""
    if not 0 <= device <= 255:
        raise LocalError(f"device id {device}: 0-255")
    body = bytes((device,)) + pdu
    return body + crc16(body).to_bytes(2, "little")


def is_frame(octets: bytes) -> bool:
    """Whether these octets are one frame with the right CRC."""
    return MIN_FRAME <= len(octets) <= MAX_FRAME and crc16(octets[:-2]) == int.from_bytes(octets[-2:], "little")


def open_frame(octets: bytes) -> tuple[int, bytes]:
    """Device id and PDU of a whole frame. Raises PeerError: too short, too long, wrong CRC."""
    if not MIN_FRAME <= len(octets) <= MAX_FRAME:
        raise PeerError(f"an RTU frame has {MIN_FRAME}-{MAX_FRAME} octets, got {len(octets)}", octets)
    if not is_frame(octets):
        raise PeerError(f"CRC {octets[-2:].hex()} is wrong, expected {crc16(octets[:-2]):04x} low first", octets)
    return octets[0], octets[1:-2]


@dataclass(frozen=True, slots=True)
class FoundAnswer:
    """An answer in the octets received: its PDU, the octets before it, and where it ends."""

    pdu: bytes
    skipped: int
    end: int

    @property
    def is_exception(self) -> bool:
        """Whether the device refused."""
        return bool(self.pdu[0] & EXCEPTION_BIT)


def answer_size(request: Request) -> int:
    """Octets of the frame that answers `request`."""
    return request.answer_length + 3


def find_answer(
    buffer: bytes, device: int, request: Request, *, final: bool = False, max_skip: int = MAX_FRAME
) -> FoundAnswer | None:
    """The answer to `request` in `buffer`, at any offset up to `max_skip`; None when it is not (yet) there.

    A candidate that may still grow hides later ones, because octets inside it could look like a shorter
    answer; `final` says that nothing more will come.
    """
    forms = (
        (bytes((device,)) + request.answer_header, answer_size(request)),
        (bytes((device, request.function | EXCEPTION_BIT)), EXCEPTION_FRAME),
    )
    offset = buffer.find(device)
    while 0 <= offset <= max_skip:
        for header, size in forms:
            if not buffer.startswith(header, offset):
                continue
            candidate = buffer[offset : offset + size]
            if len(candidate) < size:
                if not final:
                    return None
            elif is_frame(candidate) and (size > EXCEPTION_FRAME or _answers(candidate, request)):
                return FoundAnswer(candidate[1:-2], offset, offset + size)
        offset = buffer.find(device, offset + 1)
    return None


def _answers(candidate: bytes, request: Request) -> bool:
    """A five-octet frame is an exception with a code that exists (no other answer is that short)."""
    return candidate[1] == request.function | EXCEPTION_BIT and candidate[2] in EXCEPTIONS


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Why octets are no answer. kind: "crc", "device", "function", "length", "noise", "truncated", "silence".

    settled: the right answer has come, damaged: the device owes nothing more.
    complete: there is nothing to wait for once the line is quiet.
    """

    kind: str
    text: str
    settled: bool = False
    complete: bool = False


def diagnose(buffer: bytes, device: int, request: Request) -> Diagnosis:
    """Say what came instead of the answer to `request`."""
    size = answer_size(request)
    header = bytes((device,)) + request.answer_header
    if not buffer:
        return Diagnosis("silence", "no answer")
    at = buffer.find(header)
    if at >= 0 and len(buffer) - at >= size:
        candidate = buffer[at : at + size]
        if is_frame(candidate):
            return Diagnosis("noise", f"the answer came behind {at} octets of noise", settled=True, complete=True)
        return Diagnosis("crc", f"answer with a wrong CRC: {candidate.hex()}", settled=True, complete=True)
    other = _whole_frame(buffer)
    if other is not None:
        if other[0] != device:
            return Diagnosis("device", f"answer of device {other[0]} instead of {device}", complete=True)
        if other[1] & ~EXCEPTION_BIT != request.function:
            return Diagnosis("function", f"answer to function {other[1]} instead of {request.function}", complete=True)
        if other[1] & EXCEPTION_BIT:
            return Diagnosis("function", f"exception with the unknown code {other[2]}", complete=True)
        return Diagnosis("length", f"answer with {other[2]} instead of {size - 5} data octets", complete=True)
    refusal = buffer.find(bytes((device, request.function | EXCEPTION_BIT)))
    if refusal >= 0 and len(buffer) - refusal >= EXCEPTION_FRAME:
        return Diagnosis("crc", f"exception with a wrong CRC: {buffer[refusal:].hex()}", complete=True)
    if at >= 0:
        return Diagnosis("truncated", f"{len(buffer) - at} of {size} octets of the answer")
    return Diagnosis(
        "noise", f"{len(buffer)} octets that are no frame: {buffer[:16].hex()}", complete=len(buffer) >= size
    )


def _whole_frame(buffer: bytes) -> bytes | None:
    """The buffer as one frame with a right CRC (a few stray octets before it allowed); None when it is none."""
    for offset in range(min(4, len(buffer))):
        rest = buffer[offset:]
        if len(rest) >= EXCEPTION_FRAME and is_frame(rest):
            return rest
    return None
