from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from backends.pools.webhook_signature import signature_headers, signature_holds
from backends.store.audit import record
from backends.store.database import Database
from backends.webhook_receiver import WINDOW_S, Receipt, ReceivedEvent, WebhookReceiver, WebhookRefused
from tests.backends.pool_doubles import audit_log
from tests.doubles import ManualClock
from tests.postgres import as_it_is

SECRET = "secret"


def act(connection: sa.Connection, event: ReceivedEvent) -> None:
    record(connection, at=0, actor="receiver", operation=event.kind, subject=event.event_id)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def database(store_url: str, clock: ManualClock) -> AsyncIterator[Database]:
    opened = Database(store_url, clock, prepare=as_it_is)
    yield opened
    await opened.close()


@pytest.fixture
def receiver(database: Database, clock: ManualClock) -> WebhookReceiver:
    return WebhookReceiver(database, clock, "mo", SECRET, act)


def webhook(clock: ManualClock, offset: float = 0, **changes: Any) -> tuple[bytes, dict[str, str]]:
    at = (clock.civil + timedelta(seconds=offset)).isoformat()
    body = json.dumps({"timestamp": at, "eventId": "1", "eventType": "x", "payload": {}, **changes}).encode()
    return body, {name.lower(): value for name, value in signature_headers(SECRET, body).items()}


async def test_acted_upon_once_however_often_it_comes(
    receiver: WebhookReceiver, database: Database, clock: ManualClock
) -> None:
    receipts = await asyncio.gather(*(receiver.receive(*webhook(clock)) for _ in range(5)))
    assert sorted(receipts) == [Receipt.ACTED, *[Receipt.KNOWN] * 4]
    assert await receiver.receive(*webhook(clock, eventId="2")) is Receipt.ACTED
    assert [entry.subject for entry in await audit_log(database)] == ["1", "2"]


async def test_an_effect_that_fails_is_not_noted(database: Database, clock: ManualClock) -> None:
    def fails(connection: sa.Connection, event: ReceivedEvent) -> None:
        act(connection, event)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await WebhookReceiver(database, clock, "mo", SECRET, fails).receive(*webhook(clock))
    assert await WebhookReceiver(database, clock, "mo", SECRET, act).receive(*webhook(clock)) is Receipt.ACTED


@pytest.mark.parametrize(("offset", "taken"), [(-WINDOW_S, True), (-WINDOW_S - 1, False), (WINDOW_S + 1, False)])
async def test_old_and_future_webhooks_are_refused(
    receiver: WebhookReceiver, clock: ManualClock, offset: float, taken: bool
) -> None:
    if taken:
        await receiver.receive(*webhook(clock, offset))
    else:
        with pytest.raises(WebhookRefused, match="now it is"):
            await receiver.receive(*webhook(clock, offset))


async def test_forged_and_broken_webhooks_are_refused(receiver: WebhookReceiver, clock: ManualClock) -> None:
    body, headers = webhook(clock)
    with pytest.raises(WebhookRefused, match="signature"):
        await receiver.receive(body + b" ", headers)
    with pytest.raises(WebhookRefused, match="signature"):
        await receiver.receive(body, {})
    for changes in ({"timestamp": "soon"}, {"timestamp": "2026-01-01T12:00:00"}, {"eventId": ""}, {"eventId": 5}):
        with pytest.raises(WebhookRefused):
            await receiver.receive(*webhook(clock, **changes))


@pytest.mark.parametrize("name", ["x-hubject-signature", "x-operator-signature", "payload-signature"])
def test_one_right_signature_is_enough_and_one_wrong_is_too_many(name: str) -> None:
    headers = {key.lower(): value for key, value in signature_headers(SECRET, b"body").items()}
    assert signature_holds(SECRET, b"body", {name: headers[name]})
    assert not signature_holds(SECRET, b"body", headers | {name: headers[name][:-1] + "x"})
    assert not signature_holds("other", b"body", {name: headers[name]})


@given(st.binary(), st.dictionaries(st.sampled_from(["x-hubject-signature", "payload-signature"]), st.text()))
def test_no_headers_make_a_signature_by_chance(body: bytes, headers: dict[str, str]) -> None:
    assert not signature_holds(SECRET, body, headers)
