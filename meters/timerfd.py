"""Precise waiting: a timer that is a file descriptor (timerfd_create(2)), because epoll rounds time-outs up to 1 ms."""

from __future__ import annotations

import contextlib
import ctypes
import os
import time

_NANO = 1_000_000_000


def boottime() -> float:
    """Seconds since boot, suspend included (CLOCK_BOOTTIME): never set, never backwards."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Itimerspec(ctypes.Structure):
    _fields_ = (("interval", _Timespec), ("value", _Timespec))


_libc = ctypes.CDLL(None, use_errno=True)
_settime = _libc.timerfd_settime


class TimerFd:
    """A one-shot timer; `fd` becomes readable when it fires. Nanosecond timer, not rounded by the kernel."""

    def __init__(self) -> None:
        self.fd: int = _libc.timerfd_create(time.CLOCK_BOOTTIME, os.O_NONBLOCK | os.O_CLOEXEC)
        if self.fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create failed")
        self._spec = _Itimerspec()
        self._spec_ref = ctypes.byref(self._spec)

    def arm(self, seconds: float) -> None:
        """Fire once after so many seconds (at once when not positive); replaces what was armed."""
        value = self._spec.value
        value.seconds, value.nanoseconds = divmod(max(1, int(seconds * _NANO)), _NANO)
        if _settime(self.fd, 0, self._spec_ref, None) < 0:
            raise OSError(ctypes.get_errno(), "timerfd_settime failed")

    def disarm(self) -> None:
        """Do not fire."""
        value = self._spec.value
        value.seconds = value.nanoseconds = 0
        _settime(self.fd, 0, self._spec_ref, None)

    def clear(self) -> None:
        """Take note that it fired: not readable any more."""
        with contextlib.suppress(BlockingIOError):
            os.read(self.fd, 8)

    def close(self) -> None:
        """Give the descriptor back."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
