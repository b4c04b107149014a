"""A simulated DC power stage: a voltage source with a current limit and a ramp, and an isolation monitor.

It holds the voltage it is asked for; the current is what the vehicle takes at that voltage, up to the limit. Losses of
its own it has none.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from firmware_sim.agenda import MS, Agenda, Entry, S, ns
from firmware_sim.branch import Branch, DcFeed
from ports.dc_supply import DcMeasured, DcRating, Isolation

SLEW_MV = 20_000  # a step of the ramp: 20 V each 20 ms, 400 V in 0.4 s
STEP = 20 * MS
TEST_TIME = 1 * S  # the test voltage stands so long
WARNING_OHM_PER_V = 500  # IEC 61851-23 CC.4.1: below it a warning, below 100 a fault
FAULT_OHM_PER_V = 100


class SimulatedDcSupply:
    """`ports.dc_supply.DcSupply`, with what can be wrong about it.

    insulation_kohm: what is between the output and earth (`leak` changes it). test_extra_s: what an isolation test
    takes longer. weakness: share of the voltage asked for that it does not reach. trip: opens the contactor by itself.
    """

    def __init__(
        self,
        rating: DcRating,
        agenda: Agenda,
        branch: Branch,
        changed: Callable[[], None],
        trip: Callable[[str], None] = lambda _detail: None,
    ) -> None:
        self.insulation_kohm = 2000.0
        self.test_extra_s = 0.0
        self.weakness = 0.0
        self._trip = trip
        self._rating = rating
        self._agenda = agenda
        self._branch = branch
        self._changed = changed
        self._feed = DcFeed()
        self._target_mv = 0
        self._step: Entry | None = None
        branch.dc = self._feed

    @property
    def rating(self) -> DcRating:
        """What it can do."""
        return self._rating

    def measured(self) -> DcMeasured:
        """Volts and amperes at the output now."""
        self._agenda.run_due()
        return DcMeasured(self._feed.millivolts / 1000, self._branch.milliamperes[0] / 1000)

    def set_output(self, voltage_v: float, current_a: float) -> None:
        """Go to this voltage along the ramp; the limit of current holds at once."""
        self._agenda.run_due()
        rating = self._rating
        self._target_mv = round(min(max(voltage_v, 0.0), rating.max_voltage_v) * (1 - self.weakness) * 1000)
        limit_ma = round(min(max(current_a, 0.0), rating.max_current_a) * 1000)
        if limit_ma != self._feed.limit_ma:
            self._feed.limit_ma = limit_ma
            self._changed()
        if self._step is None:
            self._ramp()

    async def test_isolation(self) -> Isolation:
        """Bring the highest voltage to the output, wait, judge, and switch off."""
        self.set_output(self._rating.max_voltage_v, 0.0)
        steps = -(-self._target_mv // SLEW_MV)
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def over() -> None:
            if not done.done():
                done.set_result(None)

        self._agenda.after(steps * STEP + TEST_TIME + ns(self.test_extra_s), over)
        try:
            await done
        finally:
            self.set_output(0.0, 0.0)
        return self._isolation()

    def leak(self, kohm: float) -> None:
        """From now on so much is between the output and earth; the monitor trips where the contactor is closed."""
        self.insulation_kohm = kohm
        if self._branch.closed and self._isolation() is Isolation.FAULT:
            self._trip(f"insulation {kohm:g} kohm")

    def _isolation(self) -> Isolation:
        ohm_per_v = self.insulation_kohm * 1000 / self._rating.max_voltage_v
        if ohm_per_v < FAULT_OHM_PER_V:
            return Isolation.FAULT
        return Isolation.WARNING if ohm_per_v < WARNING_OHM_PER_V else Isolation.VALID

    async def close(self) -> None:
        """Switch off."""
        self.set_output(0.0, 0.0)

    def _ramp(self) -> None:
        self._step = None
        gap = self._target_mv - self._feed.millivolts
        if gap:
            self._feed.millivolts += max(-SLEW_MV, min(SLEW_MV, gap))
            self._changed()
            self._step = self._agenda.after(STEP, self._ramp)
