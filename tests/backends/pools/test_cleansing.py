from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
import sqlalchemy as sa

from backends.opcp.event_names import API
from backends.pools.cascade import ContractRemoval
from backends.pools.cleansing import BATCH, EVENTS_KEPT_S, EVERY_S, FIRST_AFTER_S, PAUSE_S, Cleansed, Cleansing
from backends.pools.dispatcher import Dispatcher
from backends.pools.editions import ISO2, ISO20
from backends.pools.events import EventKind
from backends.pools.provisioning_pool import Offer, ProvisioningPool
from backends.pools.root_pool import RootPool, RootType
from backends.pools.webhooks import EndpointSettings, WebhookEndpoints
from backends.refusals import Refused
from backends.store.database import Database
from backends.store.schema import PROVISIONING
from tests.backends.chains import NOW, TO, Tree, issue, tree, vehicle
from tests.backends.pool_doubles import ADMIN, MO, OEM, MoCa, Revocations, add_contract, emaids, event_kinds
from tests.doubles import ManualClock

PCID, EMAID = "WMIprov0000000001", "DE8AACA2B3C4D5"
TO_S = int(TO.timestamp())


@pytest.fixture
def cleansing(database: Database, clock: ManualClock, revocations: Revocations, removal: ContractRemoval) -> Cleansing:
    return Cleansing(database, clock, revocations, removal)


@pytest.fixture
async def oem(roots: RootPool, vehicles: ProvisioningPool) -> Tree:
    """A vehicle below a root that outlives it."""
    later = {"valid_to": TO.replace(year=2030)}
    root = issue("OEM Root CA", 1, **later)
    sub_1 = issue("OEM Sub-CA 1", 2, root, path_length=1, **later)
    made = Tree(root, sub_1, issue("OEM Sub-CA 2", 3, sub_1, path_length=0, **later))
    await roots.put(made.root.der, RootType.OEM, ADMIN)
    await vehicles.put(Offer(vehicle(made, PCID), made.sub_1.der, made.sub_2.der, ISO2), OEM)
    return made


def to_expiry(clock: ManualClock, offset: int) -> None:
    clock.advance((TO - NOW).total_seconds() + offset)


@pytest.mark.parametrize(("offset", "gone"), [(-1, 0), (0, 0), (1, 1)])
async def test_a_vehicle_goes_a_second_after_its_end_with_its_contracts(
    cleansing: Cleansing, oem: Tree, database: Database, clock: ManualClock, mo_ca: MoCa, offset: int, gone: int
) -> None:
    issued = await add_contract(database, oem, EMAID, PCID, issued_here=True)
    to_expiry(clock, offset)
    assert await cleansing.cleanse() == Cleansed(vehicles=gone)
    assert await emaids(database) == ([] if gone else [EMAID])
    assert mo_ca.revoked == ({issued} if gone else set())
    told = [kind for kind in await event_kinds(database) if kind != "root added"]
    assert told == ["vehicle deleted", "contract deleted"] * gone
    assert await cleansing.cleanse() == Cleansed()


@pytest.mark.parametrize(("offset", "gone"), [(0, 0), (1, 1)])
async def test_an_expired_root_goes_and_takes_nothing_with_it(
    cleansing: Cleansing, roots: RootPool, vehicles: ProvisioningPool, clock: ManualClock, offset: int, gone: int
) -> None:
    short = tree("Short", valid_to=TO.replace(year=2030))
    await roots.put(short.root.der, RootType.OEM, ADMIN)
    leaf = vehicle(short, PCID, valid_to=TO.replace(year=2030))
    await vehicles.put(Offer(leaf, short.sub_1.der, short.sub_2.der, ISO2), OEM)
    to_expiry(clock, offset)
    assert await cleansing.cleanse() == Cleansed(roots=gone)
    await vehicles.lookup(PCID, MO)
    if gone:
        with pytest.raises(Refused):  # its chain does not hold any more
            await vehicles.get(PCID, MO)


async def test_expired_variants_go_and_the_contract_with_the_last_one(
    cleansing: Cleansing, oem: Tree, database: Database, clock: ManualClock
) -> None:
    now = int(NOW.timestamp())
    await add_contract(database, oem, EMAID, PCID, valid_to=now + 10)
    await add_contract(database, oem, EMAID, PCID, valid_to=now + 20, namespace=ISO20)
    clock.advance(11)
    assert await cleansing.cleanse() == Cleansed()
    assert await emaids(database) == [EMAID]
    clock.advance(9)
    assert await cleansing.cleanse() == Cleansed()
    clock.advance(1)
    assert await cleansing.cleanse() == Cleansed(contracts=1)
    assert await event_kinds(database) == ["root added", "contract deleted"]


async def test_a_revoked_vehicle_goes_and_an_unknown_status_removes_nothing(
    cleansing: Cleansing, oem: Tree, revocations: Revocations
) -> None:
    revocations.unknown.add(PCID)
    assert await cleansing.cleanse() == Cleansed()
    revocations.revoked.add(PCID)
    assert await cleansing.cleanse() == Cleansed(vehicles=1)


async def test_a_revoked_contract_goes_and_its_vehicle_stays(
    cleansing: Cleansing, oem: Tree, database: Database, vehicles: ProvisioningPool, revocations: Revocations
) -> None:
    await add_contract(database, oem, EMAID, PCID)
    await add_contract(database, oem, "DE8AACA2B3C4D9", PCID)
    revocations.revoked.add(EMAID)
    assert await cleansing.cleanse() == Cleansed(contracts=1)
    assert await emaids(database) == ["DE8AACA2B3C4D9"]
    await vehicles.get(PCID, MO)


async def test_a_vehicle_stays_while_its_contract_cannot_be_revoked(
    cleansing: Cleansing, oem: Tree, database: Database, clock: ManualClock, mo_ca: MoCa
) -> None:
    await add_contract(database, oem, EMAID, PCID, issued_here=True)
    mo_ca.broken = True
    to_expiry(clock, 1)
    assert await cleansing.cleanse() == Cleansed()
    assert await emaids(database) == [EMAID]
    mo_ca.broken = False
    assert await cleansing.cleanse() == Cleansed(vehicles=1)


async def test_more_vehicles_than_one_batch(
    cleansing: Cleansing, oem: Tree, database: Database, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backends.pools.cleansing.BATCH", 3)
    for number in range(7):
        await add_contract(database, oem, f"DE8AACA2B3C4{number:02}", PCID, valid_to=TO_S)
    to_expiry(clock, 1)
    assert await cleansing.cleanse() == Cleansed(vehicles=1)
    assert await emaids(database) == []


async def test_old_events_are_forgotten_unless_somebody_still_waits_for_them(
    cleansing: Cleansing,
    endpoints: WebhookEndpoints,
    dispatcher: Dispatcher,
    roots: RootPool,
    database: Database,
    clock: ManualClock,
) -> None:
    kinds = (EventKind.ROOT_ADDED,)
    await endpoints.add(EndpointSettings(API, "https://x.example/", kinds), OEM)
    off = await endpoints.add(EndpointSettings(API, "https://y.example/", kinds), MO)
    later = {"valid_to": TO.replace(year=2030)}
    await roots.put(issue("first", 1, **later).der, RootType.OEM, ADMIN)
    await endpoints.change(off.id, MO, status="disabled")
    await dispatcher.deliver_due()
    clock.advance(EVENTS_KEPT_S + 1)
    await cleansing.cleanse()
    assert await event_kinds(database) == ["root added"]
    await endpoints.remove(off.id, MO)
    await roots.put(issue("second", 1, **later).der, RootType.OEM, ADMIN)
    await cleansing.cleanse()
    assert await event_kinds(database) == ["root added"]  # the second


@pytest.mark.parametrize(("revoked", "gone"), [(None, 0), (0, 1), (2**40, 0)])
async def test_of_certificates_of_our_own_pki_nobody_is_asked(
    database: Database,
    clock: ManualClock,
    revocations: Revocations,
    removal: ContractRemoval,
    oem: Tree,
    revoked: int | None,
    gone: int,
) -> None:
    def own(_connection: sa.Connection, prints: Sequence[str]) -> dict[str, int | None]:
        known: dict[str, int | None] = dict.fromkeys(prints)
        return known | dict.fromkeys(prints[:1], revoked)

    revocations.asked = 0
    cleansing = Cleansing(database, clock, revocations, removal, own_revocations=own)
    assert (await cleansing.cleanse()).vehicles == gone
    assert revocations.asked == 0


async def test_more_than_a_batch_of_vehicles(cleansing: Cleansing, database: Database, oem: Tree) -> None:
    def copies(connection: sa.Connection) -> None:
        row = connection.execute(sa.select(PROVISIONING)).one()._asdict()
        for number in range(2 * BATCH):
            pcid = f"WMIcopy{number:010d}"
            connection.execute(PROVISIONING.insert().values({**row, "pcid": pcid, "pcid_key": pcid.upper()}))
        old = PROVISIONING.c.pcid_key.like("%1")
        connection.execute(PROVISIONING.update().where(old).values(valid_to=0))

    await database.write(copies)
    assert await cleansing.cleanse() == Cleansed(vehicles=2 * BATCH // 10 + 1)


async def test_the_daily_cleansing_gives_way_to_requests(database: Database, removal: ContractRemoval) -> None:
    """In virtual time: a pause before every batch of either pool."""
    pauses: list[float] = []

    class Napping(ManualClock):
        async def sleep(self, seconds: float) -> None:
            pauses.append(seconds)
            if seconds == EVERY_S:
                raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await Cleansing(database, Napping(), Revocations(), removal).run()
    assert pauses == [FIRST_AFTER_S, PAUSE_S, PAUSE_S, EVERY_S]
