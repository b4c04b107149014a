"""A serial line behind a pseudo-terminal, in real time: for drivers and foreign programs alike."""

from __future__ import annotations

import contextlib
import os
import select
import threading
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hil_rigs.serial_line.burst import Unplug
from hil_rigs.serial_line.line import Delivery, Line, LineCounters, PlugChange
from hil_rigs.serial_line.pty_pair import PtyPair, link
from meters.timerfd import TimerFd, boottime
from ports.errors import LocalError, RigError
from ports.serial_line import LineDevice, SerialSettings

SPIN_S = 100e-6
"""Before a deadline the thread wakes so much earlier and spins: a wake-up is that late."""


class VirtualLine:
    """A line with devices; programs open `path`. Options: as `Line`. Use it as `with` or `async with`.

    settings: how the port is set until somebody opens it. link: a fixed name for it (a symlink; it is also the name
    under which the port returns after `unplug`). The devices run in a thread of this object: a busy program around
    them delays their answers, `LineProcess` does not.
    """

    def __init__(
        self,
        settings: SerialSettings,
        devices: Sequence[LineDevice] = (),
        *,
        link: str | Path | None = None,
        **options: Any,
    ) -> None:
        self._settings = settings
        self._devices = devices
        self.lateness_s: deque[float] = deque(maxlen=1000)
        """how late the last octets were handed over: what this run's timing is worth"""
        self._options = options
        self._link = Path(link) if link else None
        self._pair: PtyPair | None = None
        self._line: Line | None = None
        self._thread: threading.Thread | None = None
        self._tasks: deque[tuple[Callable[[Line, float], None], threading.Event]] = deque()
        self._changed = threading.Condition()
        self._running = False
        self._error: BaseException | None = None
        self._wake_fd = -1

    # -- what users of the rig call ----------------------------------------------------------------------------------

    @property
    def path(self) -> str:
        """What to open: the link if there is one, else the pty. Raises RigError while unplugged or not started."""
        if self._link is not None:
            return str(self._link)
        if self._pair is None:
            raise RigError("the virtual line is unplugged or not started: it has no path")
        return self._pair.path

    @property
    def url(self) -> str:
        """What pyserial's `serial_for_url` takes after `meters.ptysim.register()`."""
        return "ptysim://" + self.path

    @property
    def line(self) -> Line:
        """The line itself; change it only through `call`."""
        if self._line is None:
            raise LocalError("the virtual line is not started")
        return self._line

    @property
    def counters(self) -> LineCounters:
        """What happened on the line so far."""
        return self.line.counters

    def start(self) -> None:
        """Make the pty and bring the line up. Raises RigError."""
        self._plug()
        self._line = Line(self._settings, self._devices, start=boottime(), **self._options)
        self._wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._running = True
        self._thread = threading.Thread(target=self._run, name="serial line", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Take it down. Raises what a device raised meanwhile."""
        if self._thread is None:
            return
        self._running = False
        os.eventfd_write(self._wake_fd, 1)
        self._thread.join()
        self._thread = None
        os.close(self._wake_fd)
        self._unplug()
        if self._error is not None:
            raise self._error

    def call(self, what: Callable[[Line, float], None]) -> None:
        """Have something done to the line, in its thread at the present time; waits until it is done.

        What it raises is raised by `close`, as for a device.
        """
        done = threading.Event()
        if self._thread is not None:
            self._tasks.append((what, done))
            os.eventfd_write(self._wake_fd, 1)
        while not done.wait(0.1):
            if self._thread is None or not self._thread.is_alive():
                raise LocalError("the virtual line is not running") from self._error

    def unplug(self, for_s: float | None = None, name: str | None = None) -> None:
        """Pull the adapter; it returns after `for_s` seconds (or by `plug`), under another link if `name` is given."""
        self.call(lambda line, now: line.unplug(now, Unplug(for_s, name)))

    def plug(self, name: str | None = None) -> None:
        """Put the adapter back."""
        self.call(lambda line, now: line.plug(now, name))

    def wait_for(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Wait until a condition holds (looked at after every event on the line); False after so many seconds."""
        with self._changed:
            return self._changed.wait_for(condition, seconds)

    @property
    def users(self) -> int:
        """How many programs have the port open."""
        return self._pair.users if self._pair else 0

    def __enter__(self) -> VirtualLine:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> VirtualLine:
        self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    # -- the thread --------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        timer = TimerFd()
        poll = select.poll()
        poll.register(timer.fd, select.POLLIN)
        poll.register(self._wake_fd, select.POLLIN)
        try:
            watched: PtyPair | None = None
            while self._running:
                if watched is not self._pair:
                    watched = self._watch(poll, watched)
                self._turn(poll, timer)
        except Exception as error:  # noqa: BLE001 - kept and raised by close()
            self._error = error
            self._unplug()
        finally:
            timer.close()
            with self._changed:
                self._changed.notify_all()

    def _watch(self, poll: select.poll, before: PtyPair | None) -> PtyPair | None:
        if before is not None:
            for fd in before.fds:
                poll.unregister(fd)
        if self._pair is not None:
            for fd in self._pair.fds:
                poll.register(fd, select.POLLIN | select.POLLPRI)
        return self._pair

    def _turn(self, poll: select.poll, timer: TimerFd) -> None:
        """Wait for the next thing and do it."""
        line = self.line
        due = line.due()
        if due is None:
            timer.disarm()
            poll.poll()
        elif (left := due - boottime() - SPIN_S) > 0:
            timer.arm(left)
            poll.poll()
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._wake_fd)
        self._hear_user(line)
        done = []
        while self._tasks:
            what, event = self._tasks.popleft()
            done.append(event)
            what(line, boottime())
        now = boottime()
        due = line.due()
        if due is None or due > now + SPIN_S:
            due = now
        for news in line.advance(max(due, now)):  # worked out before it is due, done when it is
            while boottime() < news.at:
                pass
            if isinstance(news, PlugChange):
                self._change_plug(news)
            else:
                self.lateness_s.append(boottime() - news.at)
                self._deliver(news)
        for event in done:
            event.set()
        with self._changed:
            self._changed.notify_all()

    def _hear_user(self, line: Line) -> None:
        pair = self._pair
        if pair is None:
            return
        pair.see_users()  # before reading: who wrote has opened before
        while (octets := pair.read()) is not None:
            if octets:
                line.write(octets, boottime())
            else:
                line.master = pair.uart()

    def _deliver(self, event: Delivery) -> None:
        pair, counters = self._pair, self.line.counters
        if pair is None:
            counters.octets_lost += len(event.octets)
            return
        pair.see_users()
        if pair.users:
            counters.octets_lost += len(event.octets) - pair.write(event.octets)
        else:
            counters.octets_lost += len(event.octets)

    def _change_plug(self, event: PlugChange) -> None:
        if not event.plugged:
            self._unplug()
            return
        if event.name is not None:
            self._link = Path(event.name)
        self._plug()

    def _plug(self) -> None:
        pair = PtyPair(self._settings)
        if self._link is not None:
            try:
                link(self._link, pair.path)
            except RigError:
                pair.close()
                raise
        self._pair = pair

    def _unplug(self) -> None:
        pair, self._pair = self._pair, None
        if pair is None:
            return
        if self._link is not None:
            self._link.unlink(missing_ok=True)
        pair.close()
