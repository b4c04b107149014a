"""Reading the billing register with patience: retried when silent, read again when implausible."""

from __future__ import annotations

import asyncio
from decimal import Decimal

from gateway.plausibility import JudgedReading, judge, stand_in
from gateway.policy import Policy
from meters.plausibility import ImplausibleError, MeterReplacedError
from ports.clock import Clock
from ports.errors import PeerError, RigError
from ports.meter import Meter, MeterIdentity, Quality, Reading


class LostMeterError(RigError):
    """The meter gave no reading for longer than the policy allows; says what it did instead."""


class MeterReader:
    """One connector's way to its meter; one reading at a time."""

    def __init__(self, meter: Meter, clock: Clock, policy: Policy, max_power_kw: Decimal) -> None:
        self.meter = meter
        self._clock = clock
        self._policy = policy
        self._max_power_kw = max_power_kw
        self._lock = asyncio.Lock()

    @property
    def is_busy(self) -> bool:
        """Whether a reading is under way."""
        return self._lock.locked()

    async def read(
        self, expected: MeterIdentity | None, before: Reading | None, patience_s: float, *, identify: bool = True
    ) -> tuple[MeterIdentity, JudgedReading]:
        """The meter that answered and what its register is worth.

        expected: the meter of the transaction, None before one begins. before: its last good reading.
        identify: ask for the serial number as well. Raises LostMeterError after `patience_s` without an answer.
        """
        async with self._lock:
            deadline = self._clock.monotonic() + patience_s
            doubts = 0
            while True:
                try:
                    found = await self.meter.identify() if identify or expected is None else expected
                    reading = await self.meter.read_energy()
                    judged = judge(reading, found, expected or found, before, self._max_power_kw)
                except ImplausibleError as error:
                    if expected is None or before is None:
                        raise LostMeterError(f"meter {self.meter.label}: {error}") from error
                    found, judged = expected, await self._disbelieved(error, before)
                except (PeerError, RigError) as error:
                    if self._clock.monotonic() + self._policy.meter_retry_s > deadline:
                        raise LostMeterError(
                            f"meter {self.meter.label} gave no reading for {patience_s:g} s: {error}"
                        ) from error
                    await self._clock.sleep(self._policy.meter_retry_s)
                    continue
                if judged.is_good or doubts >= self._policy.rereads:
                    return found, judged
                doubts += 1
                await self._clock.sleep(self._policy.meter_retry_s)

    async def _disbelieved(self, error: ImplausibleError, before: Reading) -> JudgedReading:
        judged = stand_in(before, error.quality, str(error))
        if not isinstance(error, MeterReplacedError):
            return judged
        try:
            serial = (await self.meter.identify()).serial
        except (PeerError, RigError):
            serial = ""
        return JudgedReading(before, Quality.EXCHANGED, "E", str(error), serial, stale=True)
