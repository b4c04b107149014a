"""Deliveries of events: which are due, who works on them, what an answer means. Plain functions over a connection.

Servers on one database share the work: each takes some for a while (a lease); whoever dies gives them back by that.
An endpoint is told of one subject (contract, vehicle, root) in order: a later event waits until the one before it has
arrived or was given up. So only the first that waits is taken.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa

from backends.pools.events import ENABLED, WAITING, EventKind, emit
from backends.store.audit import record
from backends.store.locks import lock
from backends.store.schema import DELIVERIES, EVENTS, WEBHOOK_ENDPOINTS

RETRIES = 3  # OPCP webhooks: three times after an hour each
RETRY_AFTER_S = 3600
LEASE_S = 60  # longer than an attempt can take


class Outcome(StrEnum):
    """What an answer means; also the state that the delivery has then."""

    DELIVERED = "delivered"
    REJECTED = "rejected"
    RETRY = WAITING
    FAILED = "failed"


REJECTING = (400, 409)


def outcome(status: int | None, attempts: int) -> Outcome:
    """status: of the HTTP answer, None when there was none. attempts: made so far, this one included."""
    if status is not None and 200 <= status < 300:
        return Outcome.DELIVERED
    if status in REJECTING:
        return Outcome.REJECTED
    return Outcome.RETRY if attempts <= RETRIES else Outcome.FAILED


# What the MO hears about the delivery of an event to the OEM. A pair that is not here: nothing.
SECONDARY: Mapping[tuple[EventKind, Outcome], EventKind] = MappingProxyType(
    {
        (EventKind.CONTRACT_CREATED, Outcome.DELIVERED): EventKind.CONTRACT_CREATED_SENT,
        (EventKind.CONTRACT_UPDATED, Outcome.DELIVERED): EventKind.CONTRACT_UPDATED_SENT,
        (EventKind.CONTRACT_DELETED, Outcome.DELIVERED): EventKind.CONTRACT_DELETED_SENT,
        (EventKind.CONTRACT_CREATED, Outcome.REJECTED): EventKind.CONTRACT_REJECTED,
        (EventKind.CONTRACT_UPDATED, Outcome.REJECTED): EventKind.CONTRACT_REJECTED,
        (EventKind.CONTRACT_DELETED, Outcome.REJECTED): EventKind.CONTRACT_REJECTED,
        (EventKind.CONTRACT_CREATED, Outcome.RETRY): EventKind.CONTRACT_QUEUED,
        (EventKind.CONTRACT_UPDATED, Outcome.RETRY): EventKind.CONTRACT_QUEUED,
        (EventKind.CONTRACT_DELETED, Outcome.RETRY): EventKind.CONTRACT_QUEUED,
    }
)


_EARLIER = DELIVERIES.alias("earlier")
_IS_FIRST = ~sa.exists().where(
    _EARLIER.c.endpoint_id == DELIVERIES.c.endpoint_id,
    _EARLIER.c.subject == DELIVERIES.c.subject,
    _EARLIER.c.state == WAITING,
    _EARLIER.c.event < DELIVERIES.c.event,
)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event for one endpoint, taken by us until `leased_until` (UTC seconds). attempts: made before this one."""

    sequence: int
    event_id: str
    kind: EventKind
    namespace: str
    body: Mapping[str, Any]
    created: int
    endpoint_id: str
    api: str
    url: str
    encrypted_secret: bytes
    attempts: int
    leased_until: int


def take(connection: sa.Connection, at: int, limit: int, busy: Collection[str] = ()) -> Sequence[Delivery]:
    """Lease deliveries that are due, oldest events first; nobody else gets them before the lease ends.

    busy: endpoints to leave out.
    """
    endpoint = WEBHOOK_ENDPOINTS.c
    due = (
        sa.select(DELIVERIES, EVENTS, endpoint.api, endpoint.url, endpoint.encrypted_secret)
        .join(EVENTS, EVENTS.c.sequence == DELIVERIES.c.event)
        .join(WEBHOOK_ENDPOINTS, WEBHOOK_ENDPOINTS.c.id == DELIVERIES.c.endpoint_id)
        .where(
            DELIVERIES.c.state == WAITING,
            DELIVERIES.c.due <= at,
            DELIVERIES.c.leased_until <= at,
            WEBHOOK_ENDPOINTS.c.status == ENABLED,
            DELIVERIES.c.endpoint_id.not_in(busy),
            _IS_FIRST,
        )
        .order_by(DELIVERIES.c.event)
        .limit(limit)
        .with_for_update(skip_locked=True, of=DELIVERIES)
    )
    until = at + LEASE_S
    taken = [
        Delivery(
            sequence=row.sequence,
            event_id=row.id,
            kind=EventKind(row.event_type),
            namespace=row.namespace,
            body=row.body,
            created=row.created,
            endpoint_id=row.endpoint_id,
            api=row.api,
            url=row.url,
            encrypted_secret=row.encrypted_secret,
            attempts=row.attempts,
            leased_until=until,
        )
        for row in connection.execute(due)
    ]
    for one in taken:
        connection.execute(DELIVERIES.update().where(_is(one)).values(leased_until=until))
    return taken


def settle(connection: sa.Connection, delivery: Delivery, status: int | None, at: int) -> Outcome | None:
    """Write down what came of it, and the event that tells the MO. None when the lease had gone to somebody else."""
    result = outcome(status, delivery.attempts + 1)
    ours = _is(delivery) & (DELIVERIES.c.state == WAITING) & (DELIVERIES.c.leased_until == delivery.leased_until)
    settled = connection.execute(
        DELIVERIES.update()
        .where(ours)
        .values(
            state=result.value,
            attempts=delivery.attempts + 1,
            due=at + RETRY_AFTER_S if result is Outcome.RETRY else at,
            leased_until=0,
            last_status=status,
        )
    )
    if not settled.rowcount:
        return None
    if (kind := SECONDARY.get((delivery.kind, result))) is not None:
        _tell_once(connection, delivery, kind, at)
    if result in (Outcome.REJECTED, Outcome.FAILED):
        after = {"endpoint": delivery.endpoint_id, "status": status, "state": result.value}
        operation = "webhook.deliver"
        record(connection, at=at, actor="webhooks", operation=operation, subject=delivery.event_id, after=after)
    return result


def _tell_once(connection: sa.Connection, delivery: Delivery, kind: EventKind, at: int) -> None:
    """However many endpoints the OEM has, and however often it is tried, the MO hears each thing once."""
    lock(connection, f"event:{delivery.event_id}")
    told = sa.select(EVENTS.c.id).where(EVENTS.c.cause == delivery.event_id, EVENTS.c.event_type == kind.value)
    if connection.execute(told).one_or_none() is None:
        emit(
            connection,
            kind,
            at=at,
            namespace=delivery.namespace,
            body=delivery.body,
            pcid=str(delivery.body["pcid"]),
            emaid=str(delivery.body["emaid"]),
            cause=delivery.event_id,
        )


def next_due(connection: sa.Connection) -> int | None:
    """When the next delivery is due or its lease ends (UTC seconds); None when nothing waits."""
    moment = sa.case((DELIVERIES.c.due > DELIVERIES.c.leased_until, DELIVERIES.c.due), else_=DELIVERIES.c.leased_until)
    waiting = sa.select(sa.func.min(moment)).join(WEBHOOK_ENDPOINTS, WEBHOOK_ENDPOINTS.c.id == DELIVERIES.c.endpoint_id)
    found = connection.execute(
        waiting.where(DELIVERIES.c.state == WAITING, WEBHOOK_ENDPOINTS.c.status == ENABLED, _IS_FIRST)
    ).scalar_one()
    return None if found is None else int(found)


def _is(delivery: Delivery) -> sa.ColumnElement[bool]:
    return (DELIVERIES.c.event == delivery.sequence) & (DELIVERIES.c.endpoint_id == delivery.endpoint_id)
