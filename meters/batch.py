"""Which registers to read together: fewer, longer reads cost less time on the line than many short ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from meters.model import Limits, Point
from ports.serial_line import SerialSettings
from wire.modbus_pdu import ReadRegisters

FRAMING_CHARACTERS = 13  # a request has 8 characters, an answer 5 besides its registers
TCP_GAP = 32  # registers; on TCP the round trip costs so much more than octets that the limit hardly matters


class Slot(NamedTuple):
    """Registers that belong together: one value."""

    function: int
    address: int
    size: int


Registers = Mapping[tuple[int, int], int]
"""(function, address) -> content."""


def slots_of(point: Point) -> list[Slot]:
    """All that must be read for one point."""
    slots = [Slot(point.function, part.addr, point.size) for part in point.summands]
    if point.exp_from is not None:
        slots.append(Slot(point.function, point.exp_from.addr, 1))
    return slots


def worthwhile_gap(settings: SerialSettings | None) -> int:
    """Unneeded registers that cost less time than one more request; None = TCP."""
    if settings is None:
        return TCP_GAP
    cost_s = FRAMING_CHARACTERS * settings.character_s + 2 * settings.silence_s
    return int(cost_s / (2 * settings.character_s))


def plan(slots: Iterable[Slot], limits: Limits, settings: SerialSettings | None) -> list[ReadRegisters]:
    """The reads that fetch all slots: merged over worthwhile gaps, within the device's limits.

    Undefined registers are read along only where the model allows it; no value is ever split.
    """
    reads: list[ReadRegisters] = []
    gap = worthwhile_gap(settings) if limits.read_holes else 0
    for slot in sorted(set(slots)):
        if reads:
            last = reads[-1]
            end = max(last.address + last.count, slot.address + slot.size)
            fits = end - last.address <= limits.max_registers
            near = slot.address - (last.address + last.count) <= gap
            if last.function == slot.function and near and fits:
                reads[-1] = ReadRegisters(last.function, last.address, end - last.address)
                continue
        reads.append(ReadRegisters(*slot))
    return reads


def time_on_line(reads: Iterable[ReadRegisters], settings: SerialSettings) -> float:
    """Seconds that these reads occupy a line at least (devices answer after t3.5)."""
    return sum((FRAMING_CHARACTERS + 2 * read.count) * settings.character_s + 2 * settings.silence_s for read in reads)
