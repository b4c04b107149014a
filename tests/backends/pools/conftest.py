from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from backends.opcp.event_names import API, event_body
from backends.pools.cascade import ContractRemoval
from backends.pools.dispatcher import Dispatcher
from backends.pools.provisioning_pool import ProvisioningPool
from backends.pools.root_pool import RootPool
from backends.pools.trust import Trust
from backends.pools.webhook_target import TargetRules
from backends.pools.webhooks import WebhookEndpoints
from backends.sealing import Sealer
from backends.store.database import Database
from tests.backends.pool_doubles import MoCa, Outside, Revocations
from tests.doubles import ManualClock
from tests.postgres import as_it_is


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def database(store_url: str, clock: ManualClock) -> AsyncIterator[Database]:
    """On both engines: a test that does not care takes `sqlite_url` instead."""
    opened = Database(store_url, clock, prepare=as_it_is)
    yield opened
    await opened.close()


@pytest.fixture
def sealer() -> Sealer:
    return Sealer(bytes(32))


@pytest.fixture
def outside() -> Outside:
    return Outside()


@pytest.fixture
def revocations() -> Revocations:
    return Revocations()


@pytest.fixture
def mo_ca() -> MoCa:
    return MoCa()


@pytest.fixture
def roots(database: Database, clock: ManualClock) -> RootPool:
    return RootPool(database, clock)


@pytest.fixture
def removal(database: Database, mo_ca: MoCa) -> ContractRemoval:
    return ContractRemoval(database, mo_ca)


@pytest.fixture
def vehicles(
    database: Database, clock: ManualClock, revocations: Revocations, removal: ContractRemoval
) -> ProvisioningPool:
    return ProvisioningPool(database, clock, Trust(clock, revocations), removal)


@pytest.fixture
def endpoints(database: Database, sealer: Sealer, clock: ManualClock) -> WebhookEndpoints:
    return WebhookEndpoints(database, sealer, clock, TargetRules())


@pytest.fixture
def dispatcher(database: Database, sealer: Sealer, clock: ManualClock, outside: Outside) -> Dispatcher:
    return Dispatcher(database, sealer, clock, outside, {API: event_body})
