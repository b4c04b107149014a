"""The event loop of virtual time: still while there is work, and a jump to the next timer when there is none."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import math
import selectors
import sys
import time
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Executor, ThreadPoolExecutor
from concurrent.futures import Future as ThreadFuture
from contextlib import contextmanager
from contextvars import Context
from typing import Any, TypeVar, TypeVarTuple, Unpack

from hil_rigs.virtual_net import VirtualNet
from hil_rigs.virtual_net.addresses import AddressInfo
from hil_rigs.waiting_tasks import waiting_tasks
from ports.errors import LocalError

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

HOLD_LIMIT_S = 120.0
"""Real seconds after which a hold that brings nothing counts as hung (longer than any watchdog of a token)."""


class VirtualDeadlockError(LocalError):
    """Everybody waits, and nothing that is left can wake anybody."""


class _Timer(asyncio.TimerHandle):
    """A timer; equal times fire in the order in which they were set (the heap alone does not keep it)."""

    def __init__(
        self,
        when: float,
        number: int,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        loop: asyncio.AbstractEventLoop,
        context: Context | None,
    ) -> None:
        super().__init__(when, callback, args, loop, context)
        self.number = number
        self._scheduled = True

    def __lt__(self, other: asyncio.TimerHandle) -> bool:
        if isinstance(other, _Timer):
            return (self._when, self.number) < (other._when, other.number)  # type: ignore[attr-defined]
        return self.when() < other.when()


class _Task(asyncio.Task[Any]):
    """A task whose hash is a serial number, not an address: sets of tasks have the same order in every run."""

    def __init__(self, serial: int, coro: Any, **options: Any) -> None:
        self.serial = serial
        super().__init__(coro, **options)

    def __hash__(self) -> int:
        return self.serial


class _Watchdog:
    """A callback in real time. `due`: seconds of `time.monotonic()`."""

    def __init__(self, due: float, on_expiry: Callable[[], object]) -> None:
        self.due = due
        self.on_expiry: Callable[[], object] | None = on_expiry

    def cancel(self) -> None:
        """Stop it; harmless when it has fired or was cancelled before."""
        self.on_expiry = None

    def fire(self) -> None:
        """Call what it was set for, unless cancelled meanwhile."""
        on_expiry, self.on_expiry = self.on_expiry, None
        if on_expiry is not None:
            on_expiry()


def _nothing() -> None:
    """Only wakes the loop."""


class _IdleSelector(selectors.EpollSelector):
    """Asks its loop what to do where the selector of real time would go to sleep."""

    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is not None and timeout <= 0:
            self.loop.fire_watchdogs()
            return super().select(0)
        return self.loop.idle(super().select)


class VirtualLoop(asyncio.SelectorEventLoop):
    """A selector event loop in virtual time, which starts at 0.

    Callbacks of one program always run in one order: first in, first out; timers by time, then by age; results of
    executors in the order of submission, one at a time, each when nothing else is ready. While held (`hold()`), time
    stands still and the loop waits in real time for descriptors, threads and watchdogs; `run_in_executor` holds by
    itself.

    Descriptors and threads for which nobody holds are not waited for: time goes on without them, and when no timer
    is left either, that is a VirtualDeadlockError.
    """

    is_virtual = True
    _scheduled: list[asyncio.TimerHandle]  # these three are of asyncio's base class
    _ready: deque[asyncio.Handle]
    _default_executor: ThreadPoolExecutor | None

    def __init__(self) -> None:
        self._now = 0.0
        self._timer_numbers = itertools.count()
        self._holds: dict[int, str] = {}
        self._hold_numbers = itertools.count()
        self._watchdogs: list[_Watchdog] = []
        self._thread_results: deque[tuple[ThreadFuture[Any], asyncio.Future[Any]]] = deque()
        selector = _IdleSelector()
        selector.loop = self
        super().__init__(selector)
        self._clock_resolution = 1e-9
        self.net = VirtualNet(self)
        task_serials = itertools.count()

        def new_task(_loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> asyncio.Future[Any]:
            return _Task(next(task_serials), coro, loop=self, **options)

        self.set_task_factory(new_task)

    # time

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._now

    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """As in any loop, with timers that keep their order."""
        if self.is_closed():
            raise RuntimeError("Event loop is closed")
        timer = _Timer(when, next(self._timer_numbers), callback, args, self, context)
        heapq.heappush(self._scheduled, timer)
        return timer

    def idle(
        self, select: Callable[[float | None], list[tuple[selectors.SelectorKey, int]]]
    ) -> list[tuple[selectors.SelectorKey, int]]:
        """Nothing is ready: take what came from outside, or wait for it if held, or jump to the next timer."""
        events = select(0)
        if events or self.fire_watchdogs():
            return events
        if self._hand_out_result():
            return []
        if self._holds:
            return self._wait(select)
        if self._scheduled and self._scheduled[0].when() < math.inf:
            self._now = max(self._now, self._scheduled[0].when())
            return []
        if self._watchdogs:
            return self._wait(select)
        raise VirtualDeadlockError(
            f"virtual time stands still at {self._now:.3f} s: nothing is ready, no timer is set, nothing is held "
            "(work in a thread or behind a descriptor must be held with clock.hold())"
            + "".join(f"\n  {line}" for line in waiting_tasks(self))
        )

    def _wait(
        self, select: Callable[[float | None], list[tuple[selectors.SelectorKey, int]]]
    ) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait in real time for a descriptor, a thread or a watchdog."""
        limit = time.monotonic() + HOLD_LIMIT_S
        while True:
            due = min((watchdog.due for watchdog in self._watchdogs), default=limit)
            events = select(max(0.0, min(due, limit) - time.monotonic()))
            if events or self.fire_watchdogs() or self._ready:
                return events
            if time.monotonic() >= limit:
                raise VirtualDeadlockError(
                    f"virtual time is held at {self._now:.3f} s, and for {HOLD_LIMIT_S:g} real seconds nothing came"
                    + "".join(f"\n  held by {holder}" for holder in self._holds.values())
                    + "".join(f"\n  {line}" for line in waiting_tasks(self))
                )

    # what happens outside

    @contextmanager
    def hold(self) -> Generator[None]:
        """While entered, time stands still and the loop waits in real time for what is outside."""
        caller = sys._getframe(2)  # noqa: SLF001 - the documented way to a caller's frame
        number = self._hold(f"{caller.f_code.co_filename}:{caller.f_lineno} {caller.f_code.co_qualname}")
        try:
            yield
        finally:
            del self._holds[number]

    def _hold(self, holder: str) -> int:
        number = next(self._hold_numbers)
        self._holds[number] = holder
        return number

    @property
    def is_held(self) -> bool:
        """Whether time stands still for something outside."""
        return bool(self._holds)

    def watchdog(self, seconds: float, on_expiry: Callable[[], object]) -> _Watchdog:
        """Call `on_expiry` after so many real seconds, whatever virtual time does meanwhile."""
        watchdog = _Watchdog(time.monotonic() + seconds, on_expiry)
        self._watchdogs.append(watchdog)
        return watchdog

    def fire_watchdogs(self) -> bool:
        """Put expired watchdogs on the ready queue; whether there was one."""
        if not self._watchdogs:
            return False
        now = time.monotonic()
        self._watchdogs = [watchdog for watchdog in self._watchdogs if watchdog.on_expiry is not None]
        expired = [watchdog for watchdog in self._watchdogs if watchdog.due <= now]
        for watchdog in expired:
            self._watchdogs.remove(watchdog)
            self.call_soon(watchdog.fire)
        return bool(expired)

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[Unpack[Ts]], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """As in any loop; time is held until the result is there, and results come in the order of submission."""
        if executor is None:
            if self._default_executor is None:
                self.set_default_executor(ThreadPoolExecutor(thread_name_prefix="virtual"))
            executor = self._default_executor
            assert executor is not None  # noqa: S101 - for the type checker
        work = executor.submit(func, *args)
        answer: asyncio.Future[T] = self.create_future()
        number = self._hold(f"an executor that runs {func!r}")
        answer.add_done_callback(lambda _: self._holds.pop(number))
        self._thread_results.append((work, answer))
        work.add_done_callback(self._work_is_done)
        return answer

    def _work_is_done(self, _work: ThreadFuture[Any]) -> None:
        """Called in the worker's thread: wakes the loop, which takes the result when nothing else is ready."""
        if not self.is_closed():
            self.call_soon_threadsafe(_nothing)

    def _hand_out_result(self) -> bool:
        """The oldest result, if it is there: how fast a thread was decides about no order."""
        while self._thread_results:
            work, answer = self._thread_results[0]
            if not (work.done() or answer.done()):
                return False
            self._thread_results.popleft()
            if answer.done():
                continue
            if work.cancelled():
                answer.cancel()
            elif (error := work.exception()) is not None:
                answer.set_exception(error)
            else:
                answer.set_result(work.result())
            return True
        return False

    # network

    async def create_connection(
        self, protocol_factory: Any, host: Any = None, port: Any = None, *, sock: Any = None, **options: Any
    ) -> Any:
        """As in any loop, over the network in memory; a real `sock` stays one."""
        if sock is not None:
            return await super().create_connection(protocol_factory, host, port, sock=sock, **options)
        return await self.net.create_connection(protocol_factory, host, port, **options)

    async def create_server(
        self, protocol_factory: Any, host: Any = None, port: Any = None, *, sock: Any = None, **options: Any
    ) -> Any:
        """As in any loop, in the network in memory; a real `sock` stays one."""
        if sock is not None:
            return await super().create_server(protocol_factory, host, port, sock=sock, **options)
        return await self.net.create_server(protocol_factory, host, port, **options)

    async def create_datagram_endpoint(
        self,
        protocol_factory: Any,
        local_addr: Any = None,
        remote_addr: Any = None,
        *,
        sock: Any = None,
        **options: Any,
    ) -> Any:
        """As in any loop, in the network in memory; a real `sock` stays one."""
        if sock is not None:
            return await super().create_datagram_endpoint(protocol_factory, sock=sock, **options)
        return await self.net.create_datagram_endpoint(protocol_factory, local_addr, remote_addr, **options)

    async def getaddrinfo(  # type: ignore[override] # families and kinds as numbers
        self,
        host: bytes | str | None,
        port: bytes | str | int | None,
        *,
        family: int = 0,
        type: int = 0,  # noqa: A002 - the name in asyncio
        proto: int = 0,
        flags: int = 0,
    ) -> list[AddressInfo]:
        """Names of the network in memory; nothing is asked outside."""
        return self.net.names.getaddrinfo(host, port, family=family, type=type, proto=proto, flags=flags)

    async def getnameinfo(self, sockaddr: Any, flags: int = 0) -> tuple[str, str]:  # noqa: ARG002 - as in asyncio
        """The numbers."""
        return str(sockaddr[0]), str(sockaddr[1])

    async def shutdown_default_executor(self, *args: Any, **options: Any) -> None:
        """As in any loop; the join of the threads is waited for in real time."""
        with self.hold():
            await super().shutdown_default_executor(*args, **options)
