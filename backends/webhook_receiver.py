"""The other end of a webhook, for our own MO, OEM and CPO backends: signature, time window, each event once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from backends.api.strict_json import MalformedBody, decode
from backends.pools.deliveries import RETRIES, RETRY_AFTER_S
from backends.pools.webhook_signature import signature_holds
from backends.store.database import Database
from backends.store.locks import lock
from backends.store.schema import RECEIVED_EVENTS
from ports.clock import Clock
from ports.errors import PeerError

# An event keeps its time through all retries; one hour for what waited in a queue or for a clock that is off.
WINDOW_S = RETRIES * RETRY_AFTER_S + 3600
MAX_BODY = 64 * 1024


class WebhookRefused(PeerError):
    """The webhook does not come from whom it should, or is not what it should be (HTTP 400)."""


class WebhookForged(WebhookRefused):
    """The signature is missing or wrong (HTTP 401)."""


class Receipt(StrEnum):
    """What became of a webhook."""

    ACTED = "acted"
    KNOWN = "known"  # acted upon before: answer 2xx again


@dataclass(frozen=True, slots=True)
class ReceivedEvent:
    """A verified event. kind: name as the sender's protocol has it."""

    event_id: str
    kind: str
    at: datetime
    body: Mapping[str, Any]


Act = Callable[[sa.Connection, ReceivedEvent], None]


class WebhookReceiver:
    """Receives for one endpoint. The effect and the note that it has happened are one transaction."""

    def __init__(self, database: Database, clock: Clock, name: str, secret: str, act: Act) -> None:
        """name: of the receiver, events are counted for each of its own. secret: of the endpoint."""
        self._database = database
        self._clock = clock
        self._name = name
        self._secret = secret
        self._act = act

    async def receive(self, body: bytes, headers: Mapping[str, str]) -> Receipt:
        """headers: names in lower case. Raises WebhookRefused; whatever `act` raises leaves nothing behind."""
        if len(body) > MAX_BODY:
            raise WebhookRefused(f"webhook of {len(body)} octets, at most {MAX_BODY}", body[:256])
        if not signature_holds(self._secret, body, headers):
            raise WebhookForged("webhook signature does not hold", body[:256])
        event = _event(body)
        now = self._clock.now()
        if abs(now - event.at) > timedelta(seconds=WINDOW_S):
            raise WebhookRefused(f"webhook of {event.at.isoformat()}, now it is {now.isoformat()}", body[:256])

        def work(connection: sa.Connection) -> Receipt:
            lock(connection, f"received:{self._name}:{event.event_id}")
            mine = (RECEIVED_EVENTS.c.receiver == self._name) & (RECEIVED_EVENTS.c.event_id == event.event_id)
            if connection.execute(sa.select(RECEIVED_EVENTS.c.at).where(mine)).one_or_none() is not None:
                return Receipt.KNOWN
            row = {"receiver": self._name, "event_id": event.event_id, "at": int(now.timestamp())}
            connection.execute(RECEIVED_EVENTS.insert().values(row))
            self._act(connection, event)
            return Receipt.ACTED

        return await self._database.write(work)


def _event(body: bytes) -> ReceivedEvent:
    try:
        content = decode(body, dict[str, Any])
        at = datetime.fromisoformat(content["timestamp"])
        if at.tzinfo is None:
            raise ValueError("timestamp has no zone")
        event = ReceivedEvent(content["eventId"], content["eventType"], at, content)
    except (MalformedBody, KeyError, TypeError, ValueError) as error:
        raise WebhookRefused(f"webhook cannot be read: {error!r}"[:300], body[:256]) from None
    if not isinstance(event.event_id, str) or not 0 < len(event.event_id) <= 64 or not isinstance(event.kind, str):
        raise WebhookRefused("webhook has no eventId or eventType", body[:256])
    return event
