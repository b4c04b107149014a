"""Arming: a scenario file alone never closes a contactor of a rig that has limits.

`plugbench run --arm` arms one run. What is armed still keeps to the rig's limits: no offer above `max_current_a`, and a
contactor that has been closed for `arm_timeout_s` is opened again. An emergency stop belongs into hardware, not here.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from firmware_sim.duty import duty_for
from hil_rigs.rig import Limits
from ports.charge_control import ChargeControl, ControlEvent, ControlStatus
from ports.clock import Clock
from ports.errors import RigError
from ports.trace import TraceEvent, Tracer

_ARMED: ContextVar[bool] = ContextVar("armed", default=False)


@contextmanager
def armed() -> Iterator[None]:
    """Everything that is started within may close contactors."""
    token = _ARMED.set(True)
    try:
        yield
    finally:
        _ARMED.reset(token)


class GuardedControl:
    """`ports.charge_control.ChargeControl` of a connector whose rig has limits."""

    def __init__(self, control: ChargeControl, limits: Limits, clock: Clock, tracer: Tracer) -> None:
        self._control = control
        self._limits = limits
        self._clock = clock
        self._tracer = tracer
        self._is_armed = _ARMED.get()
        self._watch: asyncio.Task[None] | None = None

    @property
    def connector(self) -> str:
        """Its name in the rig file."""
        return self._control.connector

    def events(self) -> AsyncIterator[ControlEvent]:
        """Every change, in order."""
        return self._control.events()

    async def status(self) -> ControlStatus:
        """What holds at this moment."""
        return await self._control.status()

    async def offer_current(self, amperes: float) -> None:
        """Raises RigError above the limit."""
        self._within(amperes)
        await self._control.offer_current(amperes)

    async def offer_duty(self, per_cent: float) -> None:
        """Raises RigError for a duty that says more than the limit; 5 and 100 say no current."""
        if 10 <= per_cent < 100 and per_cent > duty_for(self._limits.max_current_a):
            raise RigError(f"connector {self.connector}: {per_cent:g} % offer more than the rig's limit allows")
        await self._control.offer_duty(per_cent)

    async def set_unavailable(self, unavailable: bool) -> None:
        """State F."""
        await self._control.set_unavailable(unavailable)

    async def set_contactor(self, closed: bool) -> None:
        """Raises RigError when the run is not armed."""
        if closed and not self._is_armed:
            raise RigError(f"connector {self.connector}: this rig has limits, and the run is not armed: use --arm")
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        await self._control.set_contactor(closed)
        if closed:
            self._watch = asyncio.create_task(self._open_in_time(), name=f"{self.connector}: arm timeout")

    async def set_lock(self, locked: bool) -> None:
        """As the control behind."""
        await self._control.set_lock(locked)

    async def close(self) -> None:
        """Open the contactor and release the port."""
        if self._watch is not None:
            self._watch.cancel()
        await self._control.close()

    def _within(self, amperes: float) -> None:
        if amperes > self._limits.max_current_a:
            raise RigError(
                f"connector {self.connector}: {amperes:g} A are more than the rig's limit of "
                f"{self._limits.max_current_a:g} A"
            )

    async def _open_in_time(self) -> None:
        await self._clock.sleep(self._limits.arm_timeout_s)
        seconds = self._limits.arm_timeout_s
        self._tracer(TraceEvent(self._clock.monotonic(), "power", "power.arm_timeout", self.connector, {"s": seconds}))
        await self._control.set_contactor(False)
