"""A pseudo-terminal whose master end sees what the program at the other end sets, opens and closes."""

from __future__ import annotations

import ctypes
import fcntl
import os
import struct
import termios
from pathlib import Path

from hil_rigs.serial_line.line import MasterUart
from meters.line_code import observe, publish
from meters.termios2 import EXTPROC, Termios2
from ports.errors import RigError
from ports.serial_line import SerialSettings

_IN_OPEN, _IN_CLOSE = 0x20, 0x18  # inotify(7)
_libc = ctypes.CDLL(None, use_errno=True)


class PtyPair:
    """An open pty in packet mode; the slave end is kept open so that settings survive its users.

    fd: the master end, non-blocking. path: the slave's device file. notice_fd: readable when the slave was opened or
    closed, -1 when the kernel has none left: then one user is taken for granted, who must flush old input himself.
    users: how many have it open.
    """

    def __init__(self, settings: SerialSettings) -> None:
        self.fd, self._slave = os.openpty()
        self.path = os.ttyname(self._slave)
        self.users = 0
        self.notice_fd: int = _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self.notice_fd < 0:  # /proc/sys/fs/inotify/max_user_instances, often 128
            self.users = 1
        elif _libc.inotify_add_watch(self.notice_fd, self.path.encode(), _IN_OPEN | _IN_CLOSE) < 0:
            code = ctypes.get_errno()
            self.close()
            raise RigError(f"cannot watch {self.path}: {os.strerror(code)} (see /proc/sys/fs/inotify)")
        os.set_blocking(self.fd, False)
        attributes = Termios2.read(self._slave)
        attributes.make_raw()
        publish(attributes, settings)
        attributes.cc[termios.VEOL2] = 0  # that is for users to write
        attributes.lflag |= EXTPROC  # with packet mode: tells of every change of settings (TIOCPKT_IOCTL)
        attributes.apply(self._slave)
        fcntl.ioctl(self.fd, termios.TIOCPKT, struct.pack("i", 1))

    @property
    def fds(self) -> list[int]:
        """What to watch for input."""
        return [self.fd] if self.notice_fd < 0 else [self.fd, self.notice_fd]

    def see_users(self) -> None:
        """Take note of opens and closes; a new user shall not read what others left."""
        if self.notice_fd < 0:
            return
        try:
            events = os.read(self.notice_fd, 4096)
        except BlockingIOError:
            return
        users, changed_hands = self.users, False
        for offset in range(0, len(events), 16):  # struct inotify_event without a name
            opened = struct.unpack_from("iI", events, offset)[1] & _IN_OPEN
            changed_hands = changed_hands or users == (0 if opened else 1)
            users = users + 1 if opened else max(0, users - 1)
        if changed_hands:
            termios.tcflush(self._slave, termios.TCIFLUSH)
        self.users = users

    def read(self) -> bytes | None:
        """What the user did next: octets it sent, b"" = it changed settings, None = nothing."""
        while True:
            try:
                packet = os.read(self.fd, 4097)
            except BlockingIOError:
                return None
            if packet[0] == termios.TIOCPKT_DATA:
                return packet[1:]
            if packet[0] & 0x40:  # TIOCPKT_IOCTL
                return b""

    def write(self, octets: bytes) -> int:
        """Hand octets to the user; returns how many found room."""
        try:
            return os.write(self.fd, octets)
        except BlockingIOError:
            return 0

    def uart(self) -> MasterUart:
        """How the user has set the port now."""
        attributes = Termios2.read(self.fd)
        if not attributes.lflag & EXTPROC:  # a user that cleared all of c_lflag cleared this too
            attributes.lflag |= EXTPROC
            attributes.apply(self.fd)
        return MasterUart(
            observe(attributes),
            check=bool(attributes.iflag & termios.INPCK),
            mark=bool(attributes.iflag & termios.PARMRK),
            ignore=bool(attributes.iflag & termios.IGNPAR),
        )

    def close(self) -> None:
        """Hang up: whoever has it open sees an unplugged adapter."""
        for fd in (self.notice_fd, self.fd, self._slave):
            if fd >= 0:
                os.close(fd)


def link(path: Path, target: str) -> None:
    """Give the slave a fixed name. Replaces a dangling link only. Raises RigError when something else has the name."""
    if path.is_symlink() and not path.exists():
        path.unlink()
    try:
        path.symlink_to(target)
    except FileExistsError:
        raise RigError(f"{path} exists already: another virtual line, or a file; choose another name") from None
    except OSError as error:
        raise RigError(f"cannot make the link {path}: {error.strerror}") from None
