"""The line behind a pty: what its users do is seen, and nothing of one user reaches the next."""

from __future__ import annotations

import ctypes
import os
import select
import termios
import threading
from pathlib import Path

import pytest

from hil_rigs.serial_line import VirtualLine, pty_pair
from hil_rigs.serial_line.pty_pair import PtyPair
from hil_rigs.serial_line.simple_devices import Babbler, Listener, Repeater
from meters.termios2 import EXTPROC, Termios2
from ports.errors import LocalError, RigError
from ports.serial_line import LineAnswer, SerialSettings

S = SerialSettings(115200, "8N1")


def open_raw(path: str) -> int:
    return os.open(path, os.O_RDWR | os.O_NOCTTY)


def read(fd: int, size: int) -> bytes:
    octets = b""
    while len(octets) < size and select.select([fd], [], [], 5)[0]:
        octets += os.read(fd, size - len(octets))
    return octets


def test_all_octets_pass_both_ways() -> None:
    octets = bytes(range(256))
    with VirtualLine(S, [Repeater(S)]) as line:
        fd = open_raw(line.path)
        os.write(fd, octets)
        assert read(fd, 256) == octets
        os.close(fd)
        assert line.counters.octets_from_master == line.counters.octets_to_master == 256


def test_users_are_counted_and_do_not_read_what_others_left() -> None:
    with VirtualLine(S, [Repeater(S)], strict=False) as line:
        first = open_raw(line.path)
        assert line.wait_for(lambda: line.users == 1, 5)
        os.write(first, b"left")
        assert line.wait_for(lambda: line.counters.octets_to_master == 4, 5)
        os.close(first)
        assert line.wait_for(lambda: line.users == 0, 5)
        second = open_raw(line.path)
        os.write(second, b"new")
        assert read(second, 3) == b"new"
        os.close(second)


def test_what_comes_while_nobody_is_there_is_lost_as_on_a_uart() -> None:
    with VirtualLine(S, [Babbler(S, 0.002, octets=2)]) as line:
        assert line.wait_for(lambda: line.counters.octets_lost >= 10, 5)


def test_a_user_that_clears_all_local_flags_is_still_followed() -> None:
    with VirtualLine(S) as line:
        fd = open_raw(line.path)
        for baud in (9600, 19200, 38400):
            attributes = Termios2.read(fd)
            attributes.lflag = 0
            attributes.set_baud(baud)
            attributes.apply(fd)
            assert line.wait_for(lambda baud=baud: line.line.master.settings.baud == baud, 5)  # type: ignore[misc]
        assert Termios2.read(fd).lflag & EXTPROC
        os.close(fd)


def test_a_user_that_marks_parity_errors_gets_marks() -> None:
    with VirtualLine(S, [Repeater(S)]) as line:
        fd = open_raw(line.path)
        attributes = Termios2.read(fd)
        attributes.iflag |= termios.INPCK | termios.PARMRK
        attributes.apply(fd)
        assert line.wait_for(lambda: line.line.master.mark, 5)
        even, odd = SerialSettings(115200, "8E1"), SerialSettings(115200, "8O1")
        line.call(lambda line, now: line.say(b"A", now, odd))
        assert read(fd, 6)[:3] == b"\xff\x00A" or line.line.master.settings != even
        os.close(fd)


def test_settings_and_octets_keep_their_order() -> None:
    slow, fast = SerialSettings(9600, "8N1"), SerialSettings(115200, "8N1")
    pair = PtyPair(slow)
    fd = open_raw(pair.path)
    attributes = Termios2.read(fd)
    attributes.set_baud(fast.baud)
    attributes.apply(fd)
    os.write(fd, b"after")
    assert pair.read() == b""
    assert pair.uart().settings == fast
    assert pair.read() == b"after"
    assert pair.read() is None
    os.close(fd)
    pair.close()


def test_the_link_is_made_and_removed(tmp_path: Path) -> None:
    link = tmp_path / "bus"
    link.symlink_to(tmp_path / "gone")  # left by a run that was killed
    with VirtualLine(S, link=link) as line:
        assert line.path == str(link)
        assert line.url == f"ptysim://{link}"
        os.close(open_raw(line.path))
        with pytest.raises(RigError, match="exists already"):
            VirtualLine(S, link=link).start()
    assert not link.is_symlink()
    with pytest.raises(RigError, match="cannot make the link"):
        VirtualLine(S, link=tmp_path / "no" / "bus").start()


async def test_as_an_asynchronous_context() -> None:
    async with VirtualLine(S) as line:
        os.close(open_raw(line.path))
    with pytest.raises(LocalError, match="not running"):
        line.call(lambda line, now: None)
    line.close()


def test_what_a_device_raises_is_raised_at_the_end() -> None:
    class Broken(Listener):
        def hear(self, octets: bytes, at: float) -> list[LineAnswer]:
            raise ZeroDivisionError("in the device")

    line = VirtualLine(S, [Broken(S)])
    line.start()
    fd = open_raw(line.path)
    os.write(fd, b"x")
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    assert poll.poll(5000)[0][1] & select.POLLHUP  # its users see that it is gone
    os.close(fd)
    with pytest.raises(ZeroDivisionError):
        line.close()


def test_no_thread_and_no_descriptor_is_left() -> None:
    def state() -> tuple[int, int]:
        return threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))

    before = state()
    for _ in range(20):
        with VirtualLine(S) as line:
            line.unplug()
            line.plug()
    assert state() == before
    with pytest.raises(LocalError, match="not started"):
        _ = VirtualLine(S).counters
    with pytest.raises(RigError, match="no path"):
        _ = VirtualLine(S).path


class Libc:
    """inotify for five lines."""

    left = 5

    def inotify_init1(self, flags: int) -> int:
        self.left -= 1
        return int(ctypes.CDLL(None).inotify_init1(flags)) if self.left >= 0 else -1

    def inotify_add_watch(self, *values: object) -> int:
        return int(ctypes.CDLL(None).inotify_add_watch(*values))


def test_many_lines_at_once_even_when_the_kernel_has_no_watches_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pty_pair, "_libc", Libc())
    lines = [VirtualLine(S, [Repeater(S, 0.001)]) for _ in range(50)]
    for line in lines:
        line.start()
    fds = [open_raw(line.path) for line in lines]
    for fd in fds:
        os.write(fd, b"hello")
    assert all(read(fd, 5) == b"hello" for fd in fds)
    for fd, line in zip(fds, lines, strict=True):
        os.close(fd)
        line.close()
