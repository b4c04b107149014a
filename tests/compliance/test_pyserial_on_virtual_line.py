"""Foreign judge: pyserial (PyPI, 3.5), the port library of nearly every Python program that reads meters.

The trap it shows: Linux forces a pty to "8 bits, no parity" without an error (drivers/tty/pty.c, pty_set_termios).
Debian's C library (patch any/local-tcsetaddr.diff) reads back and raises EINVAL when nothing else took effect, so that
8E1 opens once and fails the second time (libmodbus #234, OctoPrint #3119, pyserial #196); others run 8N1 silently.
"""

from __future__ import annotations

import errno
import os
import termios
from collections.abc import Iterator

import pytest
import serial

import meters.ptysim
from hil_rigs.serial_line import VirtualLine
from hil_rigs.serial_line.simple_devices import Repeater
from meters.termios2 import Termios2
from ports.serial_line import SerialSettings

FORMATS = ["8N1", "8E1", "8O1", "8N2", "7E1", "7O2"]


def options(format_: str) -> dict[str, object]:
    return {"bytesize": int(format_[0]), "parity": format_[1], "stopbits": int(format_[2]), "timeout": 5}


@pytest.fixture
def line() -> Iterator[VirtualLine]:
    meters.ptysim.register()
    meters.ptysim.register()
    with VirtualLine(SerialSettings(9600, "8N1")) as line:
        yield line


def test_plain_pyserial_falls_into_the_parity_trap(line: VirtualLine) -> None:
    refused, blind = 0, 0
    for _ in range(3):
        try:
            port = serial.Serial(line.path, 19200, **options("8E1"))
        except (serial.SerialException, termios.error) as error:
            refused += errno.EINVAL in error.args
            continue
        assert line.wait_for(lambda: line.line.master.settings.baud == 19200, 5)
        blind += line.line.master.settings.parity == "N"
        port.close()
    assert refused + blind == 3  # whichever C library: never even parity


@pytest.mark.parametrize("format_", FORMATS)
def test_ptysim_opens_every_format_a_hundred_times_and_the_line_sees_it(line: VirtualLine, format_: str) -> None:
    wanted = SerialSettings(19200, format_)
    for _ in range(100):
        port = serial.serial_for_url(line.url, 19200, exclusive=True, **options(format_))
        assert line.wait_for(lambda: line.line.master.settings == wanted, 5)
        port.close()
        port.close()
    fd = os.open(line.path, os.O_RDWR | os.O_NOCTTY)
    assert Termios2.read(fd).cc[termios.VEOL2] == 0  # nothing is left for others
    os.close(fd)


@pytest.mark.parametrize("format_", FORMATS)
def test_octets_pass_at_every_format_and_only_there(format_: str) -> None:
    meters.ptysim.register()
    settings = SerialSettings(38400, format_)
    other = "8O1" if format_ != "8O1" else "8E1"
    octets = bytes(range(128))
    with VirtualLine(settings, [Repeater(settings)], strict=False) as line:
        port = serial.serial_for_url(line.url, 38400, **options(format_))
        port.write(octets)
        assert port.read(len(octets)) == octets
        port.parity = other[1]  # pyserial changes settings of an open port
        port.bytesize = int(other[0])
        assert line.wait_for(lambda: line.line.master.settings.format[:2] == other[:2], 5)
        port.write(octets)
        assert line.wait_for(lambda: line.counters.garbled == 1, 5)
        assert port.in_waiting == 0
        assert (port.bytesize, port.parity) == (int(other[0]), other[1])
        port.close()


def test_a_rate_without_a_name(line: VirtualLine) -> None:
    port = serial.serial_for_url(line.url, 12345, **options("8E1"))
    assert line.wait_for(lambda: line.line.master.settings == SerialSettings(12345, "8E1"), 5)
    port.baudrate = 54321
    assert line.wait_for(lambda: line.line.master.settings == SerialSettings(54321, "8E1"), 5)
    port.close()


def test_an_unplugged_line_is_a_serial_exception(line: VirtualLine) -> None:
    port = serial.serial_for_url(line.url, 9600, **options("8E1"))
    line.unplug()
    with pytest.raises(serial.SerialException):
        port.read(1)
    port.close()
