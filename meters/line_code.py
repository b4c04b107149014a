"""Serial settings through a pseudo-terminal, which by itself drops parity and data bits.

Linux forces every pty to "8 bits, no parity". What a program wants is therefore also written as a line code into
c_cc[VEOL2], which has no meaning in raw mode and reaches the other end of the pty:
0x80 | data bits << 3 | parity << 1 | stop bits - 1, parity N/E/O = 0/1/2.
"""

from __future__ import annotations

import os
import stat
import termios

from meters.termios2 import CMSPAR, Termios2
from ports.serial_line import SerialSettings

_PARITIES = "NEO"
_PTY_SLAVES = range(136, 144)  # Documentation/admin-guide/devices.txt: UNIX98 PTY slaves


def is_pty(fd: int) -> bool:
    """Whether an open descriptor is the slave end of a pseudo-terminal."""
    status = os.fstat(fd)
    return stat.S_ISCHR(status.st_mode) and os.major(status.st_rdev) in _PTY_SLAVES


def encode(settings: SerialSettings) -> int:
    """The line code of these settings, one octet."""
    return 0x80 | settings.data_bits << 3 | _PARITIES.index(settings.parity) << 1 | (settings.stop_bits - 1)


def publish(attributes: Termios2, settings: SerialSettings) -> None:
    """Ask a pty for what it can do (baud, stop bits, 8 bits, no parity) and leave the rest as the line code."""
    flags = attributes.cflag & ~(termios.CSIZE | termios.PARENB | termios.PARODD | termios.CSTOPB | CMSPAR)
    flags |= termios.CS8
    flags |= termios.PARODD if settings.parity == "O" else 0  # carried, though without effect
    flags |= termios.CSTOPB if settings.stop_bits == 2 else 0
    attributes.cflag = flags
    attributes.set_baud(settings.baud)
    if settings.parity == "N":
        attributes.iflag &= ~termios.INPCK
    else:
        attributes.iflag |= termios.INPCK
    attributes.cc[termios.VEOL2] = encode(settings)


def observe(attributes: Termios2) -> SerialSettings:
    """What the program at the slave end wants, read at the master end.

    The code is believed only when the flags that a pty does carry (CSTOPB, PARODD, INPCK) agree: it may be left over
    from a program that was killed. Without it, INPCK tells of parity (libmodbus sets it) and PARODD of odd parity.
    """
    stop = 2 if attributes.cflag & termios.CSTOPB else 1
    checks = bool(attributes.iflag & termios.INPCK)
    odd = bool(attributes.cflag & termios.PARODD)
    parity = "O" if odd else "E" if checks else "N"
    bits = 8
    code = attributes.cc[termios.VEOL2]
    if code & 0x80 and code >> 3 & 0xF in (7, 8) and (code >> 1 & 3) < len(_PARITIES):
        wanted = _PARITIES[code >> 1 & 3]
        if (code & 1) + 1 == stop and checks == (wanted != "N") and odd == (wanted == "O"):
            bits, parity = code >> 3 & 0xF, wanted
    return SerialSettings(attributes.ospeed, f"{bits}{parity}{stop}")
