"""A simulated charger as the gateway sees it: `ports.charge_control.ChargeControl` over a simulated board."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from firmware_sim.agenda import Agenda
from firmware_sim.branch import Amounts, Branch
from firmware_sim.cable import Cable
from firmware_sim.charger.board import Board, TraceSink
from firmware_sim.charger.effects import Answer
from firmware_sim.charger.settings import ChargerSettings
from ports.charge_control import ControlEvent, ControlStatus
from ports.errors import PeerError

NO_POWER = "the plant is switched off"


class SimulatedCharger:
    """Firmware of one connector. `board` is the side that faults and test benches touch."""

    def __init__(
        self,
        connector: str,
        settings: ChargerSettings,
        agenda: Agenda,
        cable: Cable,
        main_contacts: Callable[[bool], None],
        trace: TraceSink,
    ) -> None:
        self.board = Board(connector, settings, agenda, cable, main_contacts, trace)
        self.board.on_report = self._report
        self.board.on_answer = self._answer
        self._connector = connector
        self._agenda = agenda
        self._queue: asyncio.Queue[ControlEvent | None] | None = None
        self._commands: dict[int, asyncio.Future[str]] = {}
        self._number = 0
        self._off = False

    @property
    def connector(self) -> str:
        """Its name in the rig file."""
        return self._connector

    def power_changed(self, branch: Branch, nominal_mv: int) -> None:
        """The plant tells: voltages or currents changed."""
        self.board.power_changed(branch, nominal_mv)

    def mains_changed(self, millivolts: Amounts, nominal_mv: int) -> None:
        """The plant of a DC outlet tells: the mains changed."""
        self.board.mains_changed(millivolts, nominal_mv)

    def events(self) -> AsyncIterator[ControlEvent]:
        """Every change from this call on, in order, until `close`; a later call takes over from an earlier one.

        The board outlives its gateway: after `close` a new one may subscribe.
        """
        self._end_events()
        queue: asyncio.Queue[ControlEvent | None] = asyncio.Queue()
        self._queue = queue
        if self._off:
            queue.put_nowait(None)

        async def changes() -> AsyncIterator[ControlEvent]:
            while (event := await queue.get()) is not None:
                yield event

        return changes()

    async def status(self) -> ControlStatus:
        """What holds at this moment."""
        self._agenda.run_due()
        return self.board.machine.status()

    async def offer_current(self, amperes: float) -> None:
        """PWM duty for so many amperes, capped by station, cable and heat; 0 takes the PWM away.

        Two duties keep 5 s between them: a later offer waits, the latest counts. Raises LocalError for what no duty
        can say (below 6 A).
        """
        self.board.run(self.board.machine.offer_current(self._now(), amperes))

    async def offer_duty(self, per_cent: float) -> None:
        """Set the duty: 5 asks for digital communication, 100 is steady +12 V. Raises LocalError."""
        self.board.run(self.board.machine.offer_duty(self._now(), per_cent))

    async def set_unavailable(self, unavailable: bool) -> None:
        """State F on or off; it lasts for 4 s at least."""
        self.board.run(self.board.machine.set_unavailable(self._now(), unavailable))

    async def set_contactor(self, closed: bool) -> None:
        """Command the contactor. Raises PeerError: refused (says why), or the auxiliary contact does not agree."""
        number, done = self._command()
        self.board.run(self.board.machine.command_contactor(self._now(), closed, number))
        await self._settled(done, f"{'close' if closed else 'open'} the contactor")

    async def set_lock(self, locked: bool) -> None:
        """Command the lock. Raises PeerError: refused (the contactor is closed), or it does not move."""
        number, done = self._command()
        self.board.run(self.board.machine.command_lock(self._now(), locked, number))
        await self._settled(done, f"{'lock' if locked else 'unlock'} the plug")

    async def close(self) -> None:
        """Take the PWM away, open the contactor and end `events`. A welded contactor cannot keep it open."""
        await self.offer_current(0)
        try:
            await self.set_contactor(False)
        except PeerError:  # reported as a fault already
            pass
        finally:
            self._end_events()

    def power_off(self) -> None:
        """The plant is switched off: nothing answers any more, whoever waits is told, `events` ends."""
        for number in tuple(self._commands):
            self._answer(Answer(number, NO_POWER))
        self._end_events()
        self._off = True

    def _now(self) -> int:
        """The time of a command: after everything that was due before it."""
        self._agenda.run_due()
        return self._agenda.now()

    def _command(self) -> tuple[int, asyncio.Future[str]]:
        self._number += 1
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._commands[self._number] = future
        return self._number, future

    async def _settled(self, done: asyncio.Future[str], what: str) -> None:
        refusal = NO_POWER if self._off else await done
        if refusal:
            raise PeerError(f"{self._connector}: the board did not {what}: {refusal}", received=refusal)

    def _answer(self, answer: Answer) -> None:
        future = self._commands.pop(answer.number, None)
        if future is not None and not future.done():  # its caller may have been cancelled
            future.set_result(answer.refusal)

    def _report(self, event: ControlEvent) -> None:
        if self._queue is not None:
            self._queue.put_nowait(event)

    def _end_events(self) -> None:
        if self._queue is not None:
            self._queue.put_nowait(None)
            self._queue = None
