"""Virtual serial lines: a pty or a port in memory with simulated devices at the other end."""

from hil_rigs.serial_line.burst import Burst, Unplug
from hil_rigs.serial_line.faults import FAULTS, FaultPlan
from hil_rigs.serial_line.line import Line, LineCounters, SpeakingDevice
from hil_rigs.serial_line.line_process import LineProcess
from hil_rigs.serial_line.memory_line import MemoryLine, MemoryPort
from hil_rigs.serial_line.virtual_line import VirtualLine

__all__ = [
    "FAULTS",
    "Burst",
    "FaultPlan",
    "Line",
    "LineCounters",
    "LineProcess",
    "MemoryLine",
    "MemoryPort",
    "SpeakingDevice",
    "Unplug",
    "VirtualLine",
]
