"""The pyserial handler of `ptysim://`: a pty is asked for 8N1, the wanted format goes out as the line code.

Without it Debian's C library lets 8E1 open a pty once and refuses the second time with EINVAL.
"""

from __future__ import annotations

import contextlib
import termios
from typing import Any

import serial
from serial.serialposix import Serial as PosixSerial

from meters.line_code import publish
from meters.termios2 import Termios2
from ports.serial_line import SerialSettings


class Serial(PosixSerial):
    """A pyserial port on a pseudo-terminal."""

    def _reconfigure_port(self, force_update: bool = False) -> None:
        inside = vars(self)  # pyserial's own fields: its setters would call this method again
        wanted = {"_bytesize": self.bytesize, "_parity": self.parity}
        inside.update(_bytesize=serial.EIGHTBITS, _parity=serial.PARITY_NONE)
        try:
            base: Any = super()
            base._reconfigure_port(force_update)  # noqa: SLF001 - the method that this one replaces
        finally:
            inside.update(wanted)
        assert self.fd is not None  # noqa: S101 - pyserial calls this when open only
        stop = 1 if self.stopbits == serial.STOPBITS_ONE else 2
        attributes = Termios2.read(self.fd)
        publish(attributes, SerialSettings(int(self.baudrate), f"{self.bytesize}{self.parity}{stop}"))
        attributes.apply(self.fd)

    def close(self) -> None:
        """Close, and leave no code behind for the next program."""
        if self.fd is not None:
            with contextlib.suppress(OSError):  # unplugged
                attributes = Termios2.read(self.fd)
                attributes.cc[termios.VEOL2] = 0
                attributes.apply(self.fd)
        super().close()


def serial_class_for_url(url: str) -> tuple[str, type[Serial]]:
    """What `serial.serial_for_url` asks for: the path behind the scheme, and the class."""
    return url.partition("://")[2], Serial
