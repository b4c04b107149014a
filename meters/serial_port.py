"""A serial port as meters need it: UART or pty, exclusive, with parity checked and with precise waiting.

Real UARTs get their format from the kernel and INPCK exactly when parity is on: without it Linux hands over octets with
a parity error as good ones. Ptys get 8N1 and the line code of `line_code.py`. 7 data bits with parity are done in
software over 8 bits, which gives the same levels and works on every adapter.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
import termios
from collections.abc import Callable
from pathlib import Path

from meters import line_code, seven_bits
from meters.serial_faults import PortBusy, PortMissing, PortRefused, PortUnplugged, holder_of, others_there
from meters.termios2 import CMSPAR, Termios2
from meters.timerfd import TimerFd, boottime
from meters.usb_identity import UsbIdentity
from ports.errors import LocalError, RigError
from ports.serial_line import SerialSettings

_BAUD_TOLERANCE = 0.02  # a UART samples 10-11 bits; more than 2 % off at one end is a refusal


class SerialPort:
    """`ports.serial_line.BytePort` on a real UART or a pty.

    path: stable names (/dev/serial/by-id/...) survive replugging; a USB adapter that has a serial number is found again
    under another name. time: boot-time seconds. One task uses a port at a time.
    """

    def __init__(
        self, path: str | Path, settings: SerialSettings, time: Callable[[], float] = boottime, name: str | None = None
    ) -> None:
        self._path = str(path)
        self._settings = settings
        self.time = time
        self._name = name or self._path
        self._fd = -1
        self._timer: TimerFd | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._buffer = bytearray()
        self._sent_until = 0.0
        self._lost: RigError | None = None
        self._identity: UsbIdentity | None = None
        self._software_parity = settings.data_bits == 7 and settings.parity != "N"
        self.parity_errors = 0
        """octets with a parity error found in software (7E1, 7O1); read as 00"""

    @property
    def name(self) -> str:
        """What the rig file calls it, or its path."""
        return self._name

    @property
    def path(self) -> str:
        """The device file; another one than asked for if the USB adapter came back elsewhere."""
        return self._path

    @property
    def settings(self) -> SerialSettings:
        """How it is framed."""
        return self._settings

    @settings.setter
    def settings(self, settings: SerialSettings) -> None:
        """Change the framing, also while open (D0 meters change the baud rate). Raises RigError when refused."""
        self._settings = settings
        self._software_parity = settings.data_bits == 7 and settings.parity != "N"
        if self.is_open:
            self._configure(self._fd)

    @property
    def is_open(self) -> bool:
        """Whether it may be used."""
        return self._fd >= 0

    def open(self) -> None:
        """Open exclusively. Raises PortMissing, PortBusy, PortRefused, each saying what to do."""
        if self.is_open:
            return
        self._lost = None
        if self._identity is not None and not Path(self._path).exists():
            self._path = self._identity.path_now() or self._path
        fd = self._open_file()
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            raise PortBusy(f"{self._label()} is in use{holder_of(self._path)}: stop that program first") from None
        try:
            self._configure(fd)
            if not line_code.is_pty(fd):
                fcntl.ioctl(fd, termios.TIOCEXCL)
                _ask_for_low_latency(fd)
            termios.tcflush(fd, termios.TCIOFLUSH)
        except BaseException:
            os.close(fd)
            raise
        self._fd = fd
        self._identity = None if line_code.is_pty(fd) else UsbIdentity.of(self._path)
        self._timer = TimerFd()
        self._buffer.clear()
        self._sent_until = 0.0

    def close(self) -> None:
        """Release it; harmless when closed."""
        if not self.is_open:
            return
        with contextlib.suppress(OSError):  # an unplugged adapter answers nothing any more
            if line_code.is_pty(self._fd):
                attributes = Termios2.read(self._fd)
                attributes.cc[termios.VEOL2] = 0
                attributes.apply(self._fd)
            else:
                fcntl.ioctl(self._fd, termios.TIOCNXCL)
        self._release()

    def write(self, octets: bytes) -> float:
        """Send without waiting; returns the time at which the last stop bit will be on the wire. Raises RigError."""
        self._require_open()
        raw = seven_bits.add_parity(octets, self._settings.parity) if self._software_parity else octets
        now = self.time()
        try:
            sent = os.write(self._fd, raw)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            raise self._unplugged(error) from None
        if sent < len(raw):
            raise RigError(f"{self._label()} took {sent} of {len(raw)} octets: the adapter is stuck, replug it")
        self._sent_until = max(now, self._sent_until) + len(octets) * self._settings.character_s
        return self._sent_until

    async def receive(self, until: float) -> bytes:
        """Octets as they come, at least one; b"" at time `until`. Raises PortUnplugged."""
        self._require_open()
        self._watch()
        if not self._buffer:
            self._read()
        while not self._buffer:
            self._require_open()
            left = until - self.time()
            if left <= 0:
                return b""
            await self._wait(left)
        octets = bytes(self._buffer)
        self._buffer.clear()
        return octets

    def flush_input(self) -> bytes:
        """Throw away what has come and was not read; returns it for counting."""
        self._require_open()
        self._read()
        octets = bytes(self._buffer)
        self._buffer.clear()
        return octets

    async def wait_until(self, at: float) -> None:
        """Wait until `time()` reaches `at`, some 50 us late at most on a quiet machine."""
        self._require_open()
        self._watch()
        while (left := at - self.time()) > 0:
            await self._wait(left)

    # -- opening -----------------------------------------------------------------------------------------------------

    def _label(self) -> str:
        return f"serial port {self._path}" if self._name == self._path else f"serial port {self._name} ({self._path})"

    def _open_file(self) -> int:
        try:
            return os.open(self._path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            reason = error
        if reason.errno in (errno.ENOENT, errno.ENODEV, errno.ENXIO):
            raise PortMissing(f"{self._label()} is not there: plug it in or correct the rig file; {others_there()}")
        if reason.errno == errno.EBUSY:
            raise PortBusy(f"{self._label()} is in use{holder_of(self._path)}: stop that program first")
        if reason.errno in (errno.EACCES, errno.EPERM):
            raise PortRefused(
                f"{self._label()} may not be opened by this user: `sudo usermod -aG dialout $USER`, then log in again"
            )
        raise PortRefused(f"{self._label()} cannot be opened: {reason.strerror}")

    def _configure(self, fd: int) -> None:
        wanted = self._settings
        if self._software_parity:
            wanted = SerialSettings(wanted.baud, f"8N{wanted.stop_bits}")
        try:
            attributes = Termios2.read(fd)
            attributes.make_raw()
            line_code.publish(attributes, wanted)
            if not line_code.is_pty(fd):
                attributes.cc[termios.VEOL2] = 0
                attributes.cflag &= ~termios.CSIZE
                attributes.cflag |= termios.CS7 if wanted.data_bits == 7 else termios.CS8
                attributes.cflag |= termios.PARENB if wanted.parity != "N" else 0
            attributes.apply(fd)
            got = Termios2.read(fd)
        except OSError as error:
            if error.errno == errno.ENOTTY:
                raise PortRefused(f"{self._label()} is not a serial port; {others_there()}") from None
            raise PortRefused(f"{self._label()} refused {wanted.baud} {wanted.format}: {error.strerror}") from None
        mask = termios.CSIZE | termios.PARENB | termios.PARODD | termios.CSTOPB | CMSPAR
        if got.cflag & mask != attributes.cflag & mask or abs(got.ospeed / wanted.baud - 1) > _BAUD_TOLERANCE:
            raise PortRefused(f"{self._label()} cannot do {wanted.baud} {wanted.format}: use another adapter")

    # -- reading and waiting -----------------------------------------------------------------------------------------

    def _require_open(self) -> None:
        if self._fd >= 0:
            return
        if self._lost is not None:
            raise self._lost
        raise LocalError(f"{self._label()} is used before open()")

    def _watch(self) -> None:
        """Be called by the running event loop when octets come or the timer fires."""
        loop = asyncio.get_running_loop()
        if loop is self._loop or self._timer is None:
            return
        self._forget_loop()
        self._loop = loop
        loop.add_reader(self._fd, self._on_octets)
        loop.add_reader(self._timer.fd, self._on_timer)

    def _forget_loop(self) -> None:
        if self._loop is not None and not self._loop.is_closed() and self._timer is not None:
            self._loop.remove_reader(self._fd)
            self._loop.remove_reader(self._timer.fd)
        self._loop = None

    async def _wait(self, seconds: float) -> None:
        """Return when octets came, the port was lost, or after so many seconds."""
        if self._waiter is not None:
            raise LocalError(f"{self._label()} is used by two tasks at once")
        assert self._timer is not None  # noqa: S101 - an open port has one
        self._timer.arm(seconds)
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _on_timer(self) -> None:
        if self._timer is not None:
            self._timer.clear()
            self._wake()

    def _on_octets(self) -> None:
        self._read()
        self._wake()

    def _read(self) -> None:
        """Take over what the kernel has; a lost port is remembered and raised by the next call."""
        try:
            raw = os.read(self._fd, 4096)
        except BlockingIOError:
            return
        except OSError as error:
            self._unplugged(error)
            return
        if not raw:  # hung up: VMIN is 1, so no octets would be EAGAIN
            self._unplugged(None)
        elif self._software_parity:
            octets, errors = seven_bits.check_parity(raw, self._settings.parity)
            self.parity_errors += errors
            self._buffer += octets
        else:
            self._buffer += raw

    def _unplugged(self, error: OSError | None) -> RigError:
        """Close the port (a kept descriptor would make the adapter return under another name)."""
        why = error.strerror if error else "hung up"
        self._lost = PortUnplugged(f"{self._label()} was unplugged ({why}): plug it in, then open it again")
        self._release()
        self._wake()
        return self._lost

    def _release(self) -> None:
        self._forget_loop()
        os.close(self._fd)
        self._fd = -1
        if self._timer is not None:
            self._timer.close()
            self._timer = None


def _ask_for_low_latency(fd: int) -> None:
    """1 ms instead of 16 ms on FTDI-type adapters (ASYNC_LOW_LATENCY, linux/tty_flags.h); others do not mind."""
    serial_struct = bytearray(128)
    with contextlib.suppress(OSError):
        fcntl.ioctl(fd, termios.TIOCGSERIAL, serial_struct)
        flags = int.from_bytes(serial_struct[16:20], "little") | 1 << 13
        serial_struct[16:20] = flags.to_bytes(4, "little")
        fcntl.ioctl(fd, termios.TIOCSSERIAL, serial_struct)
