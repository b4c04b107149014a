"""What happens next in the plant: one ordered agenda in integer nanoseconds, and its asyncio shell.

The agenda knows no clock of its own: it asks the `now` it was given, and somebody calls `run_due`.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from dataclasses import dataclass, field

from ports.clock import Clock

MS = 1_000_000  # nanoseconds
S = 1_000_000_000


def ns(seconds: float) -> int:
    """Seconds as nanoseconds."""
    return round(seconds * S)


@dataclass(order=True, slots=True)
class Entry:
    """One planned call; equal times run in the order of planning."""

    at: int
    number: int
    do: Callable[[], None] | None = field(compare=False)

    def cancel(self) -> None:
        """Never call it; harmless afterwards."""
        self.do = None


class Agenda:
    """Planned calls, in order of time.

    A call that comes late (a busy machine) still happens at its planned time: while it runs, `now()` says that time.
    So a slow event loop changes no outcome. Whoever comes from outside calls `run_due` first.
    """

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._planned: int | None = None  # time of the call that runs
        self._latest = 0
        self.on_earlier: Callable[[], None] = lambda: None  # the shell's wake-up: the first entry changed
        self._entries: list[Entry] = []
        self._number = 0

    def now(self) -> int:
        """Boot time in ns, never backwards."""
        self._latest = max(self._latest, self._clock() if self._planned is None else self._planned)
        return self._latest

    @property
    def next_at(self) -> int | None:
        """Time of the next call in ns, None when nothing is planned."""
        while self._entries and self._entries[0].do is None:
            heapq.heappop(self._entries)
        return self._entries[0].at if self._entries else None

    def at(self, when: int, do: Callable[[], None]) -> Entry:
        """Plan a call at a boot time in ns (at once when that has passed)."""
        first = self.next_at
        self._number += 1
        entry = Entry(when, self._number, do)
        heapq.heappush(self._entries, entry)
        if first is None or when < first:
            self.on_earlier()
        return entry

    def after(self, delay: int, do: Callable[[], None]) -> Entry:
        """Plan a call `delay` ns from now; 0 means: as soon as the present call is over."""
        return self.at(self.now() + delay, do)

    def run_due(self) -> None:
        """Call everything that is due, also what those calls plan for now; nothing when one of them asks for it."""
        if self._planned is not None:
            return
        try:
            while (first := self.next_at) is not None and first <= self._clock():
                self._planned = first
                do = heapq.heappop(self._entries).do
                if do is not None:
                    do()
        finally:
            self._planned = None


class AgendaRunner:
    """Runs an agenda under a real or virtual clock."""

    def __init__(self, agenda: Agenda, clock: Clock) -> None:
        self._agenda = agenda
        self._clock = clock
        self._wait: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin; needs a running event loop, harmless when it runs."""
        if self._task is None:
            self._agenda.on_earlier = self._wake
            self._task = asyncio.get_running_loop().create_task(self._run(), name="plant agenda")
            self._task.add_done_callback(self._ended)

    async def close(self) -> None:
        """Stop. Raises what a planned call raised."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            (outcome,) = await asyncio.gather(task, return_exceptions=True)
            if isinstance(outcome, Exception):
                raise outcome

    def _wake(self) -> None:
        if self._wait is not None:
            self._wait.cancel()

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A broken plant is loud at once, not only when it is closed."""
        if not task.cancelled() and (error := task.exception()) is not None:
            task.get_loop().call_exception_handler({"message": "the plant's agenda broke", "exception": error})

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._agenda.run_due()
            first = self._agenda.next_at
            if first is None:
                self._wait = loop.create_future()
            else:
                self._wait = loop.create_task(self._clock.sleep(max(first - self._agenda.now(), 0) / S))
            try:
                await asyncio.wait((self._wait,))
            finally:
                self._wait.cancel()
