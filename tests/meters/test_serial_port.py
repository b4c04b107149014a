"""The port that meters use, on the virtual line."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from hil_rigs.serial_line import FaultPlan, VirtualLine
from hil_rigs.serial_line.simple_devices import Repeater
from meters import line_code, serial_faults, usb_identity
from meters.serial_faults import PortBusy, PortMissing, PortRefused, PortUnplugged
from meters.serial_port import SerialPort
from meters.termios2 import Termios2
from meters.timerfd import TimerFd, boottime
from ports.errors import LocalError, RigError
from ports.serial_line import BytePort, SerialSettings

S = SerialSettings(19200, "8E1")


async def read(port: BytePort, size: int, seconds: float = 5.0) -> bytes:
    octets, until = b"", port.time() + seconds
    while len(octets) < size and (more := await port.receive(until)):
        octets += more
    return octets


@pytest.fixture
def line() -> Iterator[VirtualLine]:
    with VirtualLine(S, [Repeater(S, 0.005)]) as line:
        yield line


@pytest.fixture
def port(line: VirtualLine) -> Iterator[SerialPort]:
    port = SerialPort(line.path, S)
    port.open()
    yield port
    port.close()


@pytest.fixture
def two_ports_there(monkeypatch: pytest.MonkeyPatch) -> None:
    there = [
        SimpleNamespace(device="/dev/ttyUSB7", description="USB-RS485"),
        SimpleNamespace(device="/dev/ttyS0", description="n/a"),
    ]
    monkeypatch.setattr(serial_faults.list_ports, "comports", lambda: there)


async def test_octets_go_and_come(port: SerialPort, line: VirtualLine) -> None:
    for _ in range(5):
        began = port.time()
        sent = port.write(b"12345678")
        assert sent >= began + 8 * S.character_s
        assert await read(port, 8) == b"12345678"
        end = port.time()
        assert end > sent  # not before a real line could
        await port.wait_until(end + S.silence_s)
        assert port.time() >= end + S.silence_s
    assert line.counters.violations == 0
    assert line.counters.answers == 5


def test_two_writes_follow_each_other(line: VirtualLine) -> None:
    port = SerialPort(line.path, S, time=lambda: 5.0)
    port.open()
    assert port.write(b"1234") == pytest.approx(5.0 + 4 * S.character_s)
    assert port.write(b"5678") == pytest.approx(5.0 + 8 * S.character_s)
    port.close()


async def test_nothing_comes(line: VirtualLine) -> None:
    with VirtualLine(S) as silent:
        port = SerialPort(silent.path, S)
        port.open()
        until = port.time() + 0.01
        assert await port.receive(until) == b""
        assert port.time() >= until
        assert await port.receive(port.time() - 1) == b""
        port.close()


async def test_flushed_octets_are_returned(port: SerialPort, line: VirtualLine) -> None:
    port.write(b"abc")
    assert line.wait_for(lambda: line.counters.octets_to_master == 3, 5)
    assert port.flush_input() == b"abc"
    assert port.flush_input() == b""


async def test_a_cancelled_wait_leaves_the_port_usable(port: SerialPort) -> None:
    task = asyncio.create_task(port.receive(port.time() + 60))
    await asyncio.sleep(0)
    with pytest.raises(LocalError, match="two tasks"):
        await port.wait_until(port.time() + 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    port.write(b"abc")
    assert await read(port, 3) == b"abc"


def test_the_same_port_in_one_event_loop_after_the_other(line: VirtualLine) -> None:
    port = SerialPort(line.path, S)
    port.open()

    async def turn() -> bytes:
        port.write(b"abc")
        octets = await read(port, 3)
        await port.wait_until(port.time() + S.silence_s)
        return octets

    assert [asyncio.run(turn()), asyncio.run(turn())] == [b"abc", b"abc"]
    port.close()
    port.close()


@pytest.mark.parametrize("format_", ["8N1", "8E1", "8O1", "8N2", "8E2", "7N1"])
@pytest.mark.parametrize("baud", [300, 9600, 115200, 12345])
def test_the_line_sees_every_setting_a_hundred_times(line: VirtualLine, format_: str, baud: int) -> None:
    wanted = SerialSettings(baud, format_)
    for _ in range(100):
        port = SerialPort(line.path, wanted)
        port.open()
        assert line.wait_for(lambda: line.line.master.settings == wanted, 5)
        assert line.line.master.check == (format_[1] != "N")  # INPCK exactly when parity is on
        port.close()
    left = os.open(line.path, os.O_RDWR | os.O_NOCTTY)
    assert Termios2.read(left).cc[termios.VEOL2] == 0  # no code is left for others
    os.close(left)


async def test_wrong_parity_and_wrong_baud_are_silence_and_the_line_says_why(line: VirtualLine) -> None:
    for settings in (SerialSettings(19200, "8N1"), SerialSettings(9600, "8E1")):
        port = SerialPort(line.path, settings)
        port.open()
        port.write(b"\x01\x03\x00\x00\x00\x01\x84\x0a")
        assert line.wait_for(lambda: line.counters.garbled > 0, 5)
        line.counters.garbled = 0
        assert port.flush_input() == b""
        assert f"port {settings.baud} {settings.format}, device 0 19200 8E1" in line.line.mismatches()[0]
        port.close()


async def test_the_format_changes_while_open(port: SerialPort, line: VirtualLine) -> None:
    port.settings = SerialSettings(19200, "8N1")
    assert line.wait_for(lambda: line.line.master.settings.format == "8N1", 5)
    port.settings = S
    assert line.wait_for(lambda: line.line.master.settings == S, 5)
    port.write(b"abc")
    assert await read(port, 3) == b"abc"


async def test_seven_bits_with_parity_are_done_in_software() -> None:
    d0, eight = SerialSettings(9600, "7E1"), SerialSettings(9600, "8N1")
    with VirtualLine(d0, [Repeater(d0)]) as line:
        port = SerialPort(line.path, d0)
        port.open()
        assert line.wait_for(lambda: line.line.master.settings == eight, 5)
        port.write(b"/?!\r\n")
        assert await read(port, 5) == b"/?!\r\n"
        line.call(
            lambda line, now: line.say(b"\x41\xc2", now, eight)
        )  # the second has the wrong parity bit... in bit 7
        assert await read(port, 2) == b"A\0"
        assert port.parity_errors == 1
        port.close()


# bad ports


def test_a_missing_port_lists_those_that_are_there(two_ports_there: None) -> None:
    with pytest.raises(PortMissing, match=r"/dev/nope is not there.*/dev/ttyS0, /dev/ttyUSB7 \(USB-RS485\)"):
        SerialPort("/dev/nope", S).open()


def test_a_named_port_is_called_by_its_name() -> None:
    with pytest.raises(PortMissing, match=r"serial port m1 \(/dev/nope\)"):
        SerialPort("/dev/nope", S, name="m1").open()


def test_a_busy_port_names_who_has_it(line: VirtualLine) -> None:
    program = (
        "import serial, sys\n"
        "port = serial.Serial(sys.argv[1], exclusive=True)\n"
        "print('open', flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, line.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdin is not None
        assert other.stdout.readline() == b"open\n"
        with pytest.raises(PortBusy, match=rf"in use by python\S* \(pid {other.pid}\): stop that program"):
            SerialPort(line.path, S).open()
        other.stdin.close()
    port = SerialPort(line.path, S)
    port.open()
    with pytest.raises(PortBusy, match="in use: stop"):
        SerialPort(line.path, S).open()
    port.close()


def test_no_permission_says_which_group(line: VirtualLine, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(PortRefused, match="usermod -aG dialout"):
        SerialPort(line.path, S).open()


def test_a_file_is_no_serial_port(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PortRefused, match="is not a serial port"):
        SerialPort(tmp_path / "file", S).open()
    with pytest.raises(PortRefused, match="cannot be opened: Is a directory"):
        SerialPort(tmp_path, S).open()


def test_settings_that_a_driver_drops_silently_are_refused(line: VirtualLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line_code, "is_pty", lambda fd: False)  # a pty drops parity as a poor adapter does
    with pytest.raises(PortRefused, match="cannot do 19200 8E1"):
        SerialPort(line.path, S).open()
    port = SerialPort(line.path, SerialSettings(19200, "8N1"))
    port.open()
    port.close()
    port.open()  # TIOCEXCL was given back
    port.close()


def test_use_before_open(line: VirtualLine) -> None:
    port = SerialPort(line.path, S)
    with pytest.raises(LocalError, match="before open"):
        port.write(b"x")
    with pytest.raises(LocalError, match="before open"):
        port.flush_input()


async def test_unplugged_while_waiting_and_back(tmp_path: Path) -> None:
    link = tmp_path / "meter"
    with VirtualLine(S, [Repeater(S)], link=link) as line:
        port = SerialPort(link, S)
        port.open()
        waiting = asyncio.create_task(port.receive(port.time() + 60))
        await asyncio.sleep(0)
        line.unplug()
        with pytest.raises(PortUnplugged, match=r"meter was unplugged .*open it again"):
            await waiting
        assert not port.is_open
        with pytest.raises(PortUnplugged):
            port.write(b"x")
        with pytest.raises(PortMissing):
            port.open()
        line.plug()
        port.open()
        port.write(b"abc")
        assert await read(port, 3) == b"abc"
        port.close()


async def test_unplugged_before_writing(port: SerialPort, line: VirtualLine) -> None:
    line.unplug()
    with pytest.raises(PortUnplugged):
        port.write(b"abc")
    assert not port.is_open


async def test_pulled_by_a_fault_and_back_under_another_name(tmp_path: Path) -> None:
    plan = FaultPlan()
    plan.inject("unplug", times=1, for_s=0.05, name=str(tmp_path / "ttyUSB1"))
    with VirtualLine(S, [Repeater(S)], link=tmp_path / "ttyUSB0", faults=plan) as line:
        port = SerialPort(line.path, S)
        port.open()
        port.write(b"abc")
        with pytest.raises(PortUnplugged):
            await read(port, 3)
        assert line.wait_for(lambda: line.line.plugged, 5)
        assert line.path == str(tmp_path / "ttyUSB1")
        assert not (tmp_path / "ttyUSB0").exists()
        moved = SerialPort(line.path, S)
        moved.open()
        moved.write(b"abc")
        assert await read(moved, 3) == b"abc"
        moved.close()


def test_a_usb_adapter_is_found_under_its_new_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def adapter(device: str) -> SimpleNamespace:
        return SimpleNamespace(
            device=device, description="", vid=0x0403, pid=0x6001, serial_number="A1", interface=None
        )

    there: list[SimpleNamespace] = []
    monkeypatch.setattr(usb_identity.list_ports, "comports", lambda: there)
    monkeypatch.setattr(line_code, "is_pty", lambda fd: False)
    eight = SerialSettings(9600, "8N1")
    with VirtualLine(eight, link=tmp_path / "ttyUSB0") as line:
        there.append(adapter(os.path.realpath(line.path)))
        port = SerialPort(line.path, eight, name="m1")
        port.open()
        line.unplug()
        with pytest.raises(PortUnplugged):
            port.write(b"x")
        there.clear()
        with pytest.raises(PortMissing):
            port.open()
        line.plug(str(tmp_path / "ttyUSB1"))
        there.append(adapter(line.path))
        port.open()
        assert port.path == str(tmp_path / "ttyUSB1")
        assert port.name == "m1"
        port.close()


def test_a_full_transmit_buffer_is_told(monkeypatch: pytest.MonkeyPatch, port: SerialPort) -> None:
    monkeypatch.setattr(os, "write", lambda fd, octets: 3)
    with pytest.raises(RigError, match="took 3 of 5 octets"):
        port.write(b"12345")


# the timer


async def test_the_timer_is_never_early() -> None:
    timer, loop = TimerFd(), asyncio.get_running_loop()
    fired = asyncio.Event()

    def on_timer() -> None:
        timer.clear()
        timer.clear()
        fired.set()

    loop.add_reader(timer.fd, on_timer)
    for seconds in (-1.0, 0.0, 1e-4, 2e-3):
        began = boottime()
        timer.arm(seconds)
        await fired.wait()
        assert boottime() - began >= seconds
        fired.clear()
    timer.arm(60)
    timer.disarm()
    loop.remove_reader(timer.fd)
    timer.close()
    timer.close()
