from __future__ import annotations

import pytest
import sqlalchemy as sa

from backends.access import Principal, Role
from backends.guarded_http import LOOPBACK, AddressRefused
from backends.opcp.event_names import API
from backends.pools.events import EventKind
from backends.pools.webhook_target import TargetRules, check_target
from backends.pools.webhooks import MAX_DESCRIPTION, MAX_ENDPOINTS, MAX_METADATA, EndpointSettings, WebhookEndpoints
from backends.refusals import Refusal, Refused
from backends.store.database import Database
from backends.store.schema import AUDIT, WEBHOOK_ENDPOINTS
from tests.backends.pool_doubles import MO, OEM

URL = "https://oem.example/hook"
KINDS = (EventKind.CONTRACT_CREATED,)


def settings(**changes: object) -> EndpointSettings:
    return EndpointSettings(**{"api": API, "url": URL, "events": KINDS, **changes})  # type: ignore[arg-type]


async def test_an_endpoint_is_its_owners_alone(endpoints: WebhookEndpoints) -> None:
    made = await endpoints.add(settings(metadata={"a": [1]}), OEM)
    assert await endpoints.get(made.id, OEM) == made
    assert await endpoints.list(OEM) == [made]
    assert await endpoints.list(MO) == []
    for attempt in (
        endpoints.get(made.id, MO),
        endpoints.change(made.id, MO, url=URL),
        endpoints.remove(made.id, MO),
        endpoints.get("x", OEM),
    ):
        with pytest.raises(Refused) as refused:
            await attempt
        assert refused.value.reason is Refusal.ENDPOINT_UNKNOWN


async def test_a_change_keeps_the_rest_and_the_secret(endpoints: WebhookEndpoints) -> None:
    made = await endpoints.add(settings(description="mine"), OEM)
    changed = await endpoints.change(made.id, OEM, url="https://new.example/", status="disabled")
    assert changed == await endpoints.get(made.id, OEM)
    assert (changed.settings.url, changed.settings.status) == ("https://new.example/", "disabled")
    assert (changed.settings.description, changed.secret) == ("mine", made.secret)
    await endpoints.remove(made.id, OEM)
    assert await endpoints.list(OEM) == []


async def test_the_secret_is_in_no_table_in_clear(endpoints: WebhookEndpoints, database: Database) -> None:
    made = await endpoints.add(settings(), OEM)
    await endpoints.change(made.id, OEM, url=URL)

    def everything(connection: sa.Connection) -> str:
        return repr([connection.execute(sa.select(table)).all() for table in (WEBHOOK_ENDPOINTS, AUDIT)])

    assert made.secret not in await database.read(everything)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"events": ()}, Refusal.ENDPOINT_EVENTS),
        ({"status": "off"}, Refusal.ENDPOINT_STATUS),
        ({"description": "x" * (MAX_DESCRIPTION + 1)}, Refusal.ENDPOINT_TOO_LARGE),
        ({"metadata": {"x": "x" * MAX_METADATA}}, Refusal.ENDPOINT_TOO_LARGE),
        ({"url": "http://oem.example/"}, Refusal.ENDPOINT_URL),
        ({"url": ""}, Refusal.ENDPOINT_URL),
    ],
)
async def test_wrong_settings_are_refused_and_change_nothing(
    endpoints: WebhookEndpoints, changes: dict[str, object], reason: Refusal
) -> None:
    made = await endpoints.add(settings(), OEM)
    for attempt in (endpoints.add(settings(**changes), OEM), endpoints.change(made.id, OEM, **changes)):
        with pytest.raises(Refused) as refused:
            await attempt
        assert refused.value.reason is reason
    assert await endpoints.list(OEM) == [made]


async def test_one_client_cannot_fill_the_table(endpoints: WebhookEndpoints) -> None:
    for _ in range(MAX_ENDPOINTS):
        await endpoints.add(settings(), OEM)
    with pytest.raises(Refused) as refused:
        await endpoints.add(settings(), OEM)
    assert refused.value.reason is Refusal.ENDPOINT_TOO_MANY
    await endpoints.add(settings(), Principal("o2", "O2", frozenset({Role.OEM})))


INSIDE = (
    "https://localhost/",
    "https://a.localhost/",
    "https://127.0.0.1/",
    "https://[::1]/",
    "https://10.0.0.1/",
    "https://169.254.169.254/latest",
    "https://[fe80::1]/",
    "https://[::ffff:127.0.0.1]/",
    "https://0.0.0.0/",
)


@pytest.mark.parametrize("url", INSIDE)
def test_addresses_inside_are_refused_at_once(url: str) -> None:
    with pytest.raises(AddressRefused):
        check_target(url, TargetRules())


def test_a_test_bench_may_allow_loopback_and_plain_http() -> None:
    check_target("http://127.0.0.1:8080/hook", TargetRules(LOOPBACK))
    check_target("http://localhost:8080/hook", TargetRules(LOOPBACK))
    with pytest.raises(AddressRefused):
        check_target("http://10.0.0.1/", TargetRules(LOOPBACK))


@pytest.mark.parametrize(
    "url", ["ftp://x.example/", "https://", "https://u:p@x.example/", "x", "https://x.example/" + "a" * 600, "\x00"]
)
def test_what_is_no_web_address_is_refused(url: str) -> None:
    with pytest.raises(AddressRefused):
        check_target(url, TargetRules(LOOPBACK))
