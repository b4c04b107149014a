"""Serial lines: how a driver reaches one, and how a simulated device sits on one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class SerialSettings:
    """How characters are framed. format: data bits, parity N/E/O, stop bits, e.g. "8E1"."""

    baud: int
    format: str

    @property
    def data_bits(self) -> int:
        """7 or 8."""
        return int(self.format[0])

    @property
    def parity(self) -> str:
        """ "N", "E" or "O"."""
        return self.format[1]

    @property
    def stop_bits(self) -> int:
        """1 or 2."""
        return int(self.format[2])

    @property
    def character_bits(self) -> int:
        """Bits on the wire for one character, start bit included."""
        return 1 + self.data_bits + (self.parity != "N") + self.stop_bits

    @property
    def character_s(self) -> float:
        """Seconds that one character takes."""
        return self.character_bits / self.baud

    @property
    def silence_s(self) -> float:
        """t3.5: the silence between RTU frames, fixed above 19200 baud (Modbus over Serial Line, 2.5.1.1)."""
        return 3.5 * self.character_s if self.baud <= 19200 else 0.00175


class BytePort(Protocol):
    """One end of a serial line as a driver uses it: a UART, a pty, or a line in memory (virtual time)."""

    @property
    def name(self) -> str:
        """What the rig file calls it, or its path."""

    @property
    def settings(self) -> SerialSettings:
        """How it is framed."""

    @property
    def is_open(self) -> bool:
        """Whether it may be used."""

    def open(self) -> None:
        """Open exclusively. Raises RigError: missing, busy, refused settings."""

    def close(self) -> None:
        """Release it; harmless when closed."""

    def time(self) -> float:
        """Boot-time seconds on the line's own clock."""

    def write(self, octets: bytes) -> float:
        """Send without waiting; returns the time at which the last stop bit will be on the wire. Raises RigError."""

    async def receive(self, until: float) -> bytes:
        """Octets as they come, at least one; b"" at time `until`. Raises RigError when unplugged."""

    def flush_input(self) -> bytes:
        """Throw away what has come and was not read; returns it for counting."""

    async def wait_until(self, at: float) -> None:
        """Wait precisely (better than 0.1 ms where the platform allows) until `time()` reaches `at`."""


@dataclass(frozen=True, slots=True)
class LineAnswer:
    """What a device sends: octets, and the seconds from the end of what it heard to its first start bit."""

    octets: bytes
    delay_s: float


class LineDevice(Protocol):
    """A simulated device on a line."""

    @property
    def settings(self) -> SerialSettings:
        """How its own UART is set; a mismatch with the sender garbles what it hears."""

    def hear(self, octets: bytes, at: float) -> list[LineAnswer]:
        """One burst (ended by t3.5 of silence) as its UART received it at time `at`; returns what it sends."""
