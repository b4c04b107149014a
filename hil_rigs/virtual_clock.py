"""The clock of virtual time, and how to run a program in it."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, TypeVar

from hil_rigs.time_sync import ClockStep, KernelTime, SyncJudge, SyncRules
from hil_rigs.virtual_loop import VirtualLoop
from ports.clock import Cancellable, Clock, TimeStatus
from ports.errors import LocalError

T = TypeVar("T")

MONOTONIC_AT_START = 1000.0
"""Boot time when a run starts: a machine has always been up for a while."""


class VirtualClock:
    """`ports.clock.Clock` in virtual time.

    Civil time is `start` plus the loop's time, run fast by `drift_ppm` and moved by `step()`; the duration clock
    never jumps. `sync` is what the simulated kernel says about synchronisation; `status()` judges it by the rules of
    the real clock. `random` is the run's seeded source; `fork_random(name)` gives a part its own.
    """

    is_virtual = True

    def __init__(
        self,
        loop: VirtualLoop,
        start: datetime,
        seed: int = 0,
        zone: tzinfo | None = None,
        drift_ppm: float = 0.0,
        rules: SyncRules | None = None,
    ) -> None:
        if start.tzinfo is None:
            raise LocalError(f"the start of virtual time needs a zone: {start.isoformat()}")
        self._loop = loop
        self._began = loop.time()
        self._start = start
        self._zone = zone or start.tzinfo
        self._stepped = timedelta()
        self.drift_ppm = drift_ppm
        self.seed = seed
        self.sync: KernelTime | None = KernelTime(synchronised=True, max_error_s=0.0)
        self._judge = SyncJudge(rules)
        self.random = random.Random(seed)  # noqa: S311 - noise, not keys
        loop.net.random = self.fork_random("network")
        self.boot_id = str(uuid.UUID(int=self.fork_random("boot id").getrandbits(128), version=4))

    def fork_random(self, name: str) -> random.Random:
        """A source of its own for one part: what others draw does not change what it draws."""
        return random.Random(f"{self.seed}/{name}")  # noqa: S311 - noise, not keys

    def monotonic(self) -> float:
        """Virtual seconds since boot."""
        return MONOTONIC_AT_START + self._loop.time() - self._began

    def now(self) -> datetime:
        """Civil time with its zone."""
        passed = (self._loop.time() - self._began) * (1 + self.drift_ppm * 1e-6)
        # in UTC and back: adding to a local time would ignore a change of summer time in between
        moved = self._start.astimezone(UTC) + timedelta(seconds=passed) + self._stepped
        return moved.astimezone(self._zone)

    def status(self) -> TimeStatus:
        """As `SyncJudge` says of `sync` and of the steps."""
        return self._judge.judge(self.sync, self.monotonic())

    @property
    def steps(self) -> tuple[ClockStep, ...]:
        """Every time that civil time was set."""
        return tuple(self._judge.steps)

    def step(self, seconds: float) -> None:
        """Set civil time forward or (negative) back; durations do not notice."""
        self._stepped += timedelta(seconds=seconds)
        self._judge.steps.append(ClockStep(self.monotonic(), seconds))

    def set(self, civil: datetime) -> None:
        """Set civil time to a value (with zone)."""
        self.step((civil - self.now()).total_seconds())

    async def sleep(self, seconds: float) -> None:
        """Wait in virtual time."""
        await asyncio.sleep(seconds)

    def hold(self) -> AbstractContextManager[None]:
        """While entered, time stands still: something outside the loop works for us."""
        return self._loop.hold()

    def watchdog(self, seconds: float, on_expiry: Callable[[], object]) -> Cancellable:
        """Call `on_expiry` after so many real seconds, also while held."""
        return self._loop.watchdog(seconds, on_expiry)


def random_of(clock: Clock, name: str) -> random.Random:
    """A source of ids and pauses: the same in every run in virtual time, the system's otherwise."""
    return clock.fork_random(name) if isinstance(clock, VirtualClock) else random.SystemRandom()


def run_virtual(
    main: Callable[[VirtualClock], Coroutine[Any, Any, T]] | Coroutine[Any, Any, T],
    *,
    start: datetime,
    seed: int = 0,
    zone: tzinfo | None = None,
    drift_ppm: float = 0.0,
    loop_factory: Callable[[], VirtualLoop] = VirtualLoop,
) -> T:
    """Run a program in virtual time and return its result.

    main: a coroutine function that takes the clock, or a coroutine. start: civil time at the beginning, with a zone.
    seed: of all randomness that may repeat; the module `random` is seeded too while the program runs.
    Raises VirtualDeadlockError when everybody waits for nothing, and whatever the program raises.
    """
    state = random.getstate()
    random.seed(seed)
    try:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            loop = runner.get_loop()
            assert isinstance(loop, VirtualLoop)  # noqa: S101 - for the type checker
            clock = VirtualClock(loop, start, seed, zone, drift_ppm)
            return runner.run(main(clock) if callable(main) else main)
    finally:
        random.setstate(state)
        if not callable(main):
            main.close()  # harmless when it ran
