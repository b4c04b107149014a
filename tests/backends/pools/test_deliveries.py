from __future__ import annotations

import asyncio
import hashlib
import hmac

import pytest
import sqlalchemy as sa

from backends.access import Principal, Role
from backends.opcp.event_names import API, event_body
from backends.pools import deliveries
from backends.pools.deliveries import LEASE_S, RETRIES, RETRY_AFTER_S, Outcome, outcome
from backends.pools.dispatcher import Dispatcher
from backends.pools.editions import ISO2
from backends.pools.events import AUDIENCES, EventKind, contract_body, emit
from backends.pools.webhooks import Endpoint, EndpointSettings, WebhookEndpoints
from backends.sealing import Sealer
from backends.store.database import Database
from backends.store.schema import DELIVERIES, EVENTS
from tests.backends.pool_doubles import ADMIN, MO, OEM, Outside, event_kinds
from tests.doubles import ManualClock
from tests.postgres import as_it_is

AT_OEM, AT_MO = "https://oem.example/hook", "https://mo.example/hook"
CREATED = EventKind.CONTRACT_CREATED


async def register(
    endpoints: WebhookEndpoints, url: str, principal: Principal, *kinds: EventKind, status: str = "enabled"
) -> Endpoint:
    return await endpoints.add(EndpointSettings(API, url, kinds or tuple(EventKind), status=status), principal)


async def happen(
    database: Database, clock: ManualClock, kind: EventKind = CREATED, emaid: str = "DE8AACA2B3C4D5"
) -> str:
    body = contract_body(emaid=emaid, pcid="WMIprov0000000001", certificate=b"der")
    at = int(clock.now().timestamp())
    return await database.write(
        lambda c: emit(c, kind, at=at, namespace=ISO2, body=body, pcid="WMIprov0000000001", emaid=emaid)
    )


async def states(database: Database) -> list[tuple[str, int]]:
    query = sa.select(DELIVERIES.c.state, DELIVERIES.c.attempts).order_by(DELIVERIES.c.event, DELIVERIES.c.endpoint_id)
    return [(row.state, row.attempts) for row in await database.read(lambda c: c.execute(query).all())]


@pytest.mark.parametrize(
    ("status", "attempts", "expected"),
    [
        (200, 1, Outcome.DELIVERED),
        (204, 4, Outcome.DELIVERED),
        (400, 1, Outcome.REJECTED),
        (409, 4, Outcome.REJECTED),
        (500, 1, Outcome.RETRY),
        (None, RETRIES, Outcome.RETRY),
        (503, RETRIES + 1, Outcome.FAILED),
        (302, 1, Outcome.RETRY),
        (404, 1, Outcome.RETRY),
    ],
)
def test_what_an_answer_means(status: int | None, attempts: int, expected: Outcome) -> None:
    assert outcome(status, attempts) is expected


def test_every_kind_has_an_audience() -> None:
    assert set(AUDIENCES) == set(EventKind)


async def test_a_delivered_event_is_told_to_the_mo_and_signed_three_times(
    endpoints: WebhookEndpoints, database: Database, clock: ManualClock, dispatcher: Dispatcher, outside: Outside
) -> None:
    oem = await register(endpoints, AT_OEM, OEM)
    await register(endpoints, AT_MO, MO)
    event_id = await happen(database, clock)
    await dispatcher.deliver_due()
    assert outside.kinds(AT_OEM) == ["oem.contract.created"]
    assert outside.kinds(AT_MO) == ["mo.contract.created.sent.to.oem"]
    sent = outside.sent[0]
    assert sent.event["eventId"] == event_id
    expected = hmac.new(oem.secret.encode(), sent.body, hashlib.sha256).hexdigest()
    assert sent.headers["X-Hubject-Signature"] == f"sha256={expected}"
    assert sent.headers["X-Operator-Signature"] == f"sha256={expected}"
    assert sent.headers["payload-signature"] == expected
    await dispatcher.deliver_due()
    assert len(outside.sent) == 2


@pytest.mark.parametrize("status", [400, 409])
async def test_a_rejected_event_is_not_tried_again(
    endpoints: WebhookEndpoints,
    database: Database,
    clock: ManualClock,
    dispatcher: Dispatcher,
    outside: Outside,
    status: int,
) -> None:
    await register(endpoints, AT_OEM, OEM)
    await register(endpoints, AT_MO, MO)
    outside.answers[AT_OEM] = [status]
    await happen(database, clock)
    for _ in range(5):
        await dispatcher.deliver_due()
        clock.advance(RETRY_AFTER_S)
    assert len(outside.kinds(AT_OEM)) == 1
    assert outside.kinds(AT_MO) == ["mo.contract.rejected.by.oem"]


async def test_an_endpoint_that_is_away_is_tried_three_more_times_an_hour_apart(
    endpoints: WebhookEndpoints, database: Database, clock: ManualClock, dispatcher: Dispatcher, outside: Outside
) -> None:
    await register(endpoints, AT_OEM, OEM)
    await register(endpoints, AT_MO, MO)
    outside.answers[AT_OEM] = [None]
    await happen(database, clock)
    for attempt in range(1, RETRIES + 2):
        await dispatcher.deliver_due()
        assert len(outside.kinds(AT_OEM)) == attempt
        clock.advance(RETRY_AFTER_S - 1)
        await dispatcher.deliver_due()
        assert len(outside.kinds(AT_OEM)) == attempt
        clock.advance(1)
    clock.advance(10 * RETRY_AFTER_S)
    await dispatcher.deliver_due()
    assert len(outside.kinds(AT_OEM)) == RETRIES + 1
    assert outside.kinds(AT_MO) == ["mo.contract.queued.to.oem"]
    assert ("failed", RETRIES + 1) in await states(database)
    assert len({one.body for one in outside.sent if one.url == AT_OEM}) == 1  # the same octets each time


async def test_a_late_success_is_told_after_the_queueing(
    endpoints: WebhookEndpoints, database: Database, clock: ManualClock, dispatcher: Dispatcher, outside: Outside
) -> None:
    await register(endpoints, AT_OEM, OEM)
    await register(endpoints, AT_MO, MO)
    outside.answers[AT_OEM] = [503, 200]
    await happen(database, clock, EventKind.CONTRACT_DELETED)
    await dispatcher.deliver_due()
    clock.advance(RETRY_AFTER_S)
    await dispatcher.deliver_due()
    assert outside.kinds(AT_MO) == ["mo.contract.queued.to.oem", "mo.contract.deleted.sent.to.oem"]


async def test_with_several_endpoints_of_the_oem_the_mo_hears_each_thing_once(
    endpoints: WebhookEndpoints, database: Database, clock: ManualClock, dispatcher: Dispatcher, outside: Outside
) -> None:
    for number in range(5):
        await register(endpoints, f"{AT_OEM}/{number}", OEM)
    await register(endpoints, AT_MO, MO)
    await happen(database, clock)
    await dispatcher.deliver_due()
    assert outside.kinds(AT_MO) == ["mo.contract.created.sent.to.oem"]
    assert len(outside.sent) == 6


async def test_only_those_whom_it_concerns_hear_of_it(
    endpoints: WebhookEndpoints, database: Database, clock: ManualClock, dispatcher: Dispatcher, outside: Outside
) -> None:
    other_oem = Principal("o2", "O2", frozenset({Role.OEM}), wmis=frozenset({"WVW"}))
    other_mo = Principal("m2", "M2", frozenset({Role.MO_OWN_PKI}), provider_ids=frozenset({"DE8BB"}))
    for number, who in enumerate((other_oem, other_mo, ADMIN)):
        await register(endpoints, f"https://{number}.example/", who)
    await register(endpoints, AT_OEM, OEM, EventKind.CONTRACT_DELETED)  # did not ask for it
    await register(endpoints, AT_MO, MO, status="disabled")
    await happen(database, clock)
    await happen(database, clock, EventKind.VEHICLE_DELETED)
    await dispatcher.deliver_due()
    assert outside.sent == []


async def test_a_disabled_endpoint_gets_what_waits_when_it_is_enabled_again(
    endpoints: WebhookEndpoints, database: Database, clock: ManualClock, dispatcher: Dispatcher, outside: Outside
) -> None:
    endpoint = await register(endpoints, AT_OEM, OEM)
    await happen(database, clock)
    await endpoints.change(endpoint.id, OEM, status="disabled")
    await dispatcher.deliver_due()
    assert outside.sent == []
    await endpoints.change(endpoint.id, OEM, status="enabled")
    await dispatcher.deliver_due()
    assert len(outside.sent) == 1


async def test_a_removed_endpoint_gets_nothing_more(
    endpoints: WebhookEndpoints, database: Database, clock: ManualClock, dispatcher: Dispatcher, outside: Outside
) -> None:
    endpoint = await register(endpoints, AT_OEM, OEM)
    await happen(database, clock)
    await endpoints.remove(endpoint.id, OEM)
    await dispatcher.deliver_due()
    assert outside.sent == []


async def test_a_server_that_dies_gives_its_work_back(
    endpoints: WebhookEndpoints, database: Database, clock: ManualClock, dispatcher: Dispatcher, outside: Outside
) -> None:
    await register(endpoints, AT_OEM, OEM)
    await happen(database, clock)
    now = int(clock.now().timestamp())
    (taken,) = await database.write(lambda c: deliveries.take(c, now, 10))  # and dies
    clock.advance(LEASE_S - 1)
    await dispatcher.deliver_due()
    assert outside.sent == []
    clock.advance(1)
    await dispatcher.deliver_due()
    assert len(outside.sent) == 1
    late = await database.write(lambda c: deliveries.settle(c, taken, 500, now))  # was only slow
    assert late is None
    assert await states(database) == [("delivered", 1)]


async def test_a_contract_is_told_of_in_order_also_when_the_first_attempt_fails(
    endpoints: WebhookEndpoints, database: Database, clock: ManualClock, dispatcher: Dispatcher, outside: Outside
) -> None:
    """Per endpoint and contract; other contracts and endpoints wait for nothing."""
    await register(endpoints, AT_OEM, OEM)
    await register(endpoints, f"{AT_OEM}/2", OEM)
    outside.answers[AT_OEM] = [None, 503, 200]
    one, other = "DE8AACA2B3C4D5", "DE8AACA2B3C4D6"
    await happen(database, clock, CREATED, one)
    await happen(database, clock, EventKind.CONTRACT_UPDATED, one)
    await happen(database, clock, CREATED, other)
    await happen(database, clock, EventKind.CONTRACT_DELETED, one)

    def told(url: str) -> list[tuple[str, str]]:
        sent = [sent for sent in outside.sent if sent.url == url]
        return [(sent.kind.rpartition(".")[2], sent.event["payload"]["emaid"]) for sent in sent]

    await dispatcher.deliver_due()
    assert told(AT_OEM) == [("created", one), ("created", other)]
    in_order = [("created", one), ("updated", one), ("deleted", one)]
    assert [pair for pair in told(f"{AT_OEM}/2") if pair[1] == one] == in_order
    assert await database.read(deliveries.next_due) == int(clock.now().timestamp()) + RETRY_AFTER_S
    clock.advance(RETRY_AFTER_S)
    await dispatcher.deliver_due()
    assert [pair for pair in told(AT_OEM)[2:] if pair[1] == one] == in_order
    assert ("created", other) in told(AT_OEM)[2:]


async def test_what_is_given_up_holds_up_nothing(
    endpoints: WebhookEndpoints, database: Database, clock: ManualClock, dispatcher: Dispatcher, outside: Outside
) -> None:
    await register(endpoints, AT_OEM, OEM)
    outside.answers[AT_OEM] = [None, None, None, None, 200]
    await happen(database, clock, CREATED)
    await happen(database, clock, EventKind.CONTRACT_UPDATED)
    for _ in range(RETRIES + 1):
        await dispatcher.deliver_due()
        clock.advance(RETRY_AFTER_S)
    assert outside.kinds(AT_OEM) == ["oem.contract.created"] * (RETRIES + 1) + ["oem.contract.updated"]


async def test_a_rolled_back_change_has_no_event(
    endpoints: WebhookEndpoints, database: Database, clock: ManualClock
) -> None:
    await register(endpoints, AT_OEM, OEM)

    def fails(connection: sa.Connection) -> None:
        body = contract_body(emaid="DE8AACA2B3C4D5", pcid="WMIprov0000000001")
        emit(connection, CREATED, at=0, namespace=ISO2, body=body, pcid="WMIprov0000000001", emaid="DE8AACA2B3C4D5")
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await database.write(fails)
    assert await event_kinds(database) == []
    assert await states(database) == []


async def test_servers_side_by_side_deliver_everything_once(
    store_url: str,
    endpoints: WebhookEndpoints,
    database: Database,
    clock: ManualClock,
    sealer: Sealer,
    outside: Outside,
) -> None:
    for number in range(4):
        await register(endpoints, f"{AT_OEM}/{number}", OEM, CREATED)
    for number in range(25):
        await happen(database, clock, emaid=f"DE8AACA2B3C{number:03}")
    others = [Database(store_url, clock, prepare=as_it_is) for _ in range(2)]
    servers = [Dispatcher(each, sealer, clock, outside, {API: event_body}) for each in (database, *others)]
    await asyncio.gather(*(server.deliver_due() for server in servers))
    for other in others:
        await other.close()
    assert len(outside.sent) == 100
    assert len({(one.url, one.event["eventId"]) for one in outside.sent}) == 100
    secondary = sa.select(sa.func.count()).select_from(EVENTS).where(EVENTS.c.cause.is_not(None))
    assert await database.read(lambda c: c.execute(secondary).scalar_one()) == 25


async def test_the_dispatcher_runs_until_cancelled_and_wakes_when_called(
    endpoints: WebhookEndpoints, database: Database, clock: ManualClock, dispatcher: Dispatcher, outside: Outside
) -> None:
    await register(endpoints, AT_OEM, OEM)
    running = asyncio.create_task(dispatcher.run())
    await happen(database, clock)
    dispatcher.wake()
    async with asyncio.timeout(30):
        await outside.arrived.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
