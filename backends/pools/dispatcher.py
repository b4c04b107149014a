"""The dispatcher: takes due deliveries, posts them, writes down what came of it; any number of servers side by side."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping

from backends.pools import deliveries
from backends.pools.deliveries import Delivery, Outcome
from backends.pools.webhook_sender import SendWebhook
from backends.pools.webhook_signature import signature_headers
from backends.pools.webhooks import PURPOSE
from backends.sealing import Sealer
from backends.store.database import Database, StoreError
from ports.clock import Clock
from ports.trace import TraceEvent, Tracer, no_trace

BATCH = 50
MAX_BUSY = 200  # endpoints at once
LOOK_AGAIN_S = 60  # another server may have died with work in hand
LOG = logging.getLogger(__name__)
WriteBody = Callable[[Delivery], bytes]


class Dispatcher:
    """Runs until cancelled; `wake` makes it look at once."""

    def __init__(
        self,
        database: Database,
        sealer: Sealer,
        clock: Clock,
        send: SendWebhook,
        bodies: Mapping[str, WriteBody],
        tracer: Tracer = no_trace,
    ) -> None:
        """bodies: writes an event's body, by the endpoint's `api`; the same octets each time it is asked."""
        self._database = database
        self._sealer = sealer
        self._clock = clock
        self._send = send
        self._bodies = bodies
        self._tracer = tracer
        self._woken = asyncio.Event()
        self._busy: dict[str, asyncio.Task[None]] = {}
        self._stopping = False

    def wake(self) -> None:
        """Something may be due."""
        self._woken.set()

    async def run(self) -> None:
        """Deliver what is due, wait for the next, until cancelled; attempts under way may finish."""
        try:
            while True:
                self._woken.clear()
                try:
                    pause = 0.0 if await self._start_due() else await self._pause_s()
                except StoreError:
                    LOG.exception("webhooks wait for the database")
                    pause = LOOK_AGAIN_S
                if pause:
                    await self._wait(pause)
        finally:
            self._stopping = True
            await self._idle()

    async def deliver_due(self) -> None:
        """Deliver everything that is due now, and what becomes due by that."""
        while await self._start_due():
            await self._idle()

    async def _start_due(self) -> int:
        """Take what is due, one task per endpoint: a slow one holds nobody up; returns how many were taken."""
        now, room = self._now(), MAX_BUSY - len(self._busy)
        if not room:
            return 0
        busy = list(self._busy)
        taken = await self._database.write(lambda connection: deliveries.take(connection, now, min(BATCH, room), busy))
        for endpoint in dict.fromkeys(one.endpoint_id for one in taken):
            batch = sorted((one for one in taken if one.endpoint_id == endpoint), key=lambda one: one.sequence)
            task = asyncio.create_task(self._post_all(batch))
            self._busy[endpoint] = task
            task.add_done_callback(lambda _task, endpoint=endpoint: self._done(endpoint))  # type: ignore[misc]
        return len(taken)

    def _done(self, endpoint: str) -> None:
        del self._busy[endpoint]
        self.wake()

    async def _idle(self) -> None:
        while self._busy:
            await asyncio.wait(list(self._busy.values()))
            await asyncio.sleep(0)  # let the callbacks run

    async def _post_all(self, batch: list[Delivery]) -> None:
        """In the order of events. What there is no time for stays leased until somebody takes it again."""
        for delivery in batch:
            if self._stopping or self._now() >= delivery.leased_until - deliveries.LEASE_S // 2:
                return
            try:
                await self._post(delivery)
            except StoreError:
                LOG.exception("what came of event %s is lost; it will be sent again", delivery.event_id)
                return

    async def _post(self, delivery: Delivery) -> None:
        body = self._bodies[delivery.api](delivery)
        secret = self._sealer.open(delivery.encrypted_secret, PURPOSE).decode()
        headers = {"Content-Type": "application/json", **signature_headers(secret, body)}
        status, why = await self._send(delivery.url, body, headers)
        now = self._now()
        result = await self._database.write(lambda connection: deliveries.settle(connection, delivery, status, now))
        data = {
            "event": delivery.event_id,
            "event_kind": delivery.kind.value,
            "endpoint": delivery.endpoint_id,
            "attempt": delivery.attempts + 1,
            "status": status,
            "why": why,
            "outcome": result.name.lower() if isinstance(result, Outcome) else "lost lease",
        }
        self._tracer(TraceEvent(self._clock.monotonic(), "backend", "webhook.attempt", "webhooks", data))

    async def _pause_s(self) -> float:
        due = await self._database.read(deliveries.next_due)
        return LOOK_AGAIN_S if due is None else max(0.0, min(float(LOOK_AGAIN_S), due - self._now()))

    async def _wait(self, seconds: float) -> None:
        """Until something was written here or the time has passed."""
        waits = [asyncio.ensure_future(self._woken.wait()), asyncio.ensure_future(self._clock.sleep(seconds))]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await wait

    def _now(self) -> int:
        return int(self._clock.now().timestamp())
