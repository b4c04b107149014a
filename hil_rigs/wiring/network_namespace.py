"""A part of the run in another network namespace: its sockets are made there, the rest of the process stays here.

A socket belongs for good to the namespace of the thread that makes it. So a coroutine is driven step by step, each step
inside the namespace, and everything between two steps outside. Needs CAP_SYS_ADMIN (Linux, setns(2)).
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Coroutine, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

from firmware_sim.vehicle.communication import Communication
from firmware_sim.vehicle.evcc_setup import EvccSetup
from firmware_sim.vehicle.simulated import SimulatedVehicle
from ports.clock import Clock
from ports.errors import RigError
from ports.trace import Tracer

T = TypeVar("T")
CLONE_NEWNET = 0x40000000  # linux/sched.h
NAMED = Path("/run/netns")  # ip-netns(8)
OWN = Path("/proc/self/ns/net")
_LIBC = ctypes.CDLL(None, use_errno=True)


class NetworkNamespace:
    """A namespace that `ip netns add` has made. Raises RigError when there is none of that name."""

    def __init__(self, name: str) -> None:
        self.name = name
        if not (NAMED / name).exists():
            known = ", ".join(sorted(path.name for path in NAMED.iterdir())) if NAMED.is_dir() else ""
            raise RigError(f"there is no network namespace {name!r} (ip netns add); there are: {known or 'none'}")

    @contextmanager
    def entered(self) -> Iterator[None]:
        """What is done inside is done there; nothing may be awaited. Raises RigError without the right to."""
        back = os.open(OWN, os.O_RDONLY | os.O_CLOEXEC)
        try:
            there = os.open(NAMED / self.name, os.O_RDONLY | os.O_CLOEXEC)
            try:
                _enter(there, self.name)
            finally:
                os.close(there)
            try:
                yield
            finally:
                _enter(back, "our own")
        finally:
            os.close(back)


def _enter(handle: int, name: str) -> None:
    if _LIBC.setns(handle, CLONE_NEWNET):
        why = os.strerror(ctypes.get_errno())
        raise RigError(f"cannot enter the network namespace {name}: {why} (it needs root)")


class Within(Generic[T]):
    """An awaitable that drives a coroutine, each of its steps inside a namespace."""

    def __init__(self, work: Coroutine[Any, Any, T], namespace: NetworkNamespace) -> None:
        self._work = work
        self._namespace = namespace

    def __await__(self) -> Generator[Any, Any, T]:
        step: Callable[[Any], Any] = self._work.send
        value: object = None
        while True:
            try:
                with self._namespace.entered():
                    waited_for = step(value)
            except StopIteration as done:
                return cast("T", done.value)
            try:
                step, value = self._work.send, (yield waited_for)
            except BaseException as error:  # noqa: BLE001 - whatever it is, it is the coroutine's
                step, value = self._work.throw, error


class CommunicationThere(Communication):
    """The V2G controller of a vehicle whose interface is in another namespace."""

    def __init__(
        self,
        vehicle: SimulatedVehicle,
        setup: EvccSetup,
        clock: Clock,
        tracer: Tracer,
        namespace: NetworkNamespace,
    ) -> None:
        super().__init__(vehicle, setup, clock, tracer)
        self._namespace = namespace

    async def _run(self) -> None:
        await Within(super()._run(), self._namespace)
