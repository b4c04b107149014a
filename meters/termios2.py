"""Terminal settings with any baud rate: the kernel's termios2 by ioctl (ioctl_tty(2)), x86-64 and aarch64.

The C library's tcsetattr knows only named rates and, on Debian, refuses settings that a pty cannot take (EINVAL);
the ioctl takes what it can, and reading back says what that was.
"""

from __future__ import annotations

import fcntl
import struct
import termios
from dataclasses import dataclass

TCGETS2 = 0x802C542A  # asm-generic/ioctls.h
TCSETS2 = 0x402C542B
CBAUD = 0o10017  # asm-generic/termbits.h
CIBAUD = 0o2003600000
BOTHER = 0o10000
CMSPAR = 0o10000000000
EXTPROC = 0o200000
_LAYOUT = struct.Struct("=4IB19s2I")


@dataclass(slots=True)
class Termios2:
    """struct termios2; speeds in baud."""

    iflag: int
    oflag: int
    cflag: int
    lflag: int
    line: int
    cc: bytearray
    ispeed: int
    ospeed: int

    @classmethod
    def read(cls, fd: int) -> Termios2:
        """Settings of an open terminal. Raises OSError (ENOTTY: no terminal)."""
        iflag, oflag, cflag, lflag, line, cc, ispeed, ospeed = _LAYOUT.unpack(
            fcntl.ioctl(fd, TCGETS2, bytes(_LAYOUT.size))
        )
        return cls(iflag, oflag, cflag, lflag, line, bytearray(cc), ispeed, ospeed)

    def apply(self, fd: int) -> None:
        """Set them now. What the driver cannot do is left out silently: read back to know."""
        packed = _LAYOUT.pack(
            self.iflag, self.oflag, self.cflag, self.lflag, self.line, bytes(self.cc), self.ispeed, self.ospeed
        )
        fcntl.ioctl(fd, TCSETS2, packed)

    def set_baud(self, baud: int) -> None:
        """Both directions, by name where the rate has one so that other programs can read it."""
        code: int = getattr(termios, f"B{baud}", BOTHER)
        self.cflag = self.cflag & ~(CBAUD | CIBAUD) | code
        self.ispeed = self.ospeed = baud

    def make_raw(self) -> None:
        """No line editing, no translation, no flow control; reading waits for one octet."""
        t = termios
        self.iflag &= ~(
            t.IGNBRK | t.BRKINT | t.IGNPAR | t.PARMRK | t.INPCK | t.ISTRIP | t.INLCR | t.IGNCR | t.ICRNL
            | t.IXON | t.IXOFF | t.IXANY
        )  # fmt: skip
        self.oflag &= ~t.OPOST
        self.lflag &= ~(t.ECHO | t.ECHONL | t.ICANON | t.ISIG | t.IEXTEN)
        self.cflag = self.cflag & ~t.CRTSCTS | t.CREAD | t.CLOCAL
        self.cc[t.VMIN], self.cc[t.VTIME] = 1, 0
