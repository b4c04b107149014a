"""Ask the Linux kernel how well its clock is synchronised (adjtimex(2), reading only: no privilege needed)."""

from __future__ import annotations

import ctypes
from typing import ClassVar

from hil_rigs.time_sync import KernelTime

STA_UNSYNC = 0x0040  # linux/timex.h
TIME_ERROR = 5  # linux/timex.h: the clock is not synchronised


class _Timex(ctypes.Structure):
    """struct timex of 64-bit Linux (linux/timex.h)."""

    _fields_: ClassVar = [
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),  # microseconds
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("constant", ctypes.c_long),
        ("precision", ctypes.c_long),
        ("tolerance", ctypes.c_long),
        ("time", ctypes.c_long * 2),
        ("tick", ctypes.c_long),
        ("ppsfreq", ctypes.c_long),
        ("jitter", ctypes.c_long),
        ("shift", ctypes.c_int),
        ("stabil", ctypes.c_long),
        ("jitcnt", ctypes.c_long),
        ("calcnt", ctypes.c_long),
        ("errcnt", ctypes.c_long),
        ("stbcnt", ctypes.c_long),
        ("tai", ctypes.c_int),
        ("reserved", ctypes.c_int * 11),
    ]


_libc = ctypes.CDLL(None, use_errno=True)


def kernel_time() -> KernelTime | None:
    """Its own statement, or None where it may not be asked (some containers)."""
    timex = _Timex(modes=0)
    state = _libc.adjtimex(ctypes.byref(timex))
    if state < 0:
        return None
    return KernelTime(state != TIME_ERROR and not timex.status & STA_UNSYNC, timex.maxerror / 1e6)
