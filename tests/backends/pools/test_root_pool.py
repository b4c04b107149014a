from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
import sqlalchemy as sa

from backends.access import Principal, Role
from backends.pools.refusals import Refusal, Refused
from backends.pools.root_pool import RootPool, RootType
from backends.store.database import Database
from backends.store.schema import AUDIT, EVENTS
from tests.backends.chains import FROM, NOW, TO, issue, tree
from tests.doubles import ManualClock

ADMIN = Principal("admin", "Admin", frozenset({Role.ADMIN}))


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def database(store_url: str, clock: ManualClock) -> AsyncIterator[Database]:
    opened = Database(store_url, clock)
    yield opened
    await opened.close()


@pytest.fixture
def pool(database: Database, clock: ManualClock) -> RootPool:
    return RootPool(database, clock)


async def kinds(database: Database) -> list[str]:
    return await database.read(
        lambda connection: list(connection.scalars(sa.select(EVENTS.c.event_type).order_by(EVENTS.c.sequence)))
    )


async def test_a_root_is_added_once_listed_and_removed(pool: RootPool, database: Database) -> None:
    root = await pool.put(issue("V2G Root", 1).der, RootType.V2G, ADMIN)
    again = await pool.put(root.certificate, RootType.V2G, ADMIN)
    assert again == root
    assert await pool.get(root.id.upper()) == root
    assert await pool.list(RootType.V2G) == [root]
    assert await pool.list(RootType.MO) == []
    await pool.delete(root.id, ADMIN)
    assert await pool.list() == []
    assert await kinds(database) == ["root added", "root revoked"]
    notes = await database.read(lambda c: c.execute(sa.select(AUDIT).order_by(AUDIT.c.id)).all())
    assert [(note.operation, note.actor) for note in notes] == [("root.put", "admin"), ("root.delete", "admin")]
    assert notes[1].before["certificate"] == root.certificate.hex()


async def test_unknown_roots(pool: RootPool) -> None:
    for attempt in (pool.get("x"), pool.delete("x", ADMIN)):
        with pytest.raises(Refused) as refused:
            await attempt
        assert refused.value.reason is Refusal.ROOT_UNKNOWN


@pytest.mark.parametrize(("offset", "listed"), [(-1, True), (0, True), (1, False)])
async def test_a_root_is_trusted_to_its_last_second(
    pool: RootPool, clock: ManualClock, offset: int, listed: bool
) -> None:
    root = await pool.put(issue("Root", 1).der, RootType.OEM, ADMIN)
    clock.advance((TO - NOW).total_seconds() + offset)
    assert bool(await pool.list()) is listed
    if not listed:
        with pytest.raises(Refused):
            await pool.get(root.id)


@pytest.mark.parametrize(
    ("offset", "reason"),
    [
        (TO - NOW + timedelta(seconds=1), Refusal.CERTIFICATE_EXPIRED),
        (FROM - NOW - timedelta(seconds=1), Refusal.CERTIFICATE_NOT_YET_VALID),
    ],
)
async def test_roots_outside_their_validity_are_refused(
    pool: RootPool, clock: ManualClock, offset: timedelta, reason: Refusal
) -> None:
    clock.advance(offset.total_seconds())
    with pytest.raises(Refused) as refused:
        await pool.put(issue("Root", 1).der, RootType.OEM, ADMIN)
    assert refused.value.reason is reason


async def test_what_is_no_root_is_refused(pool: RootPool) -> None:
    oem = tree()
    broken = bytearray(oem.root.der)
    broken[-1] ^= 1
    for octets, reason in (
        (oem.sub_1.der, Refusal.ROOT_NOT_SELF_SIGNED),
        (bytes(broken), Refusal.ROOT_NOT_SELF_SIGNED),
        (issue("Leaf", 1, ca=False).der, Refusal.CERTIFICATE_PROFILE),
        (b"", Refusal.CERTIFICATE_FORMAT),
        (oem.root.der[:-5], Refusal.CERTIFICATE_FORMAT),
        (b"0" * 5000, Refusal.CERTIFICATE_FORMAT),
    ):
        with pytest.raises(Refused) as refused:
            await pool.put(octets, RootType.OEM, ADMIN)
        assert refused.value.reason is reason
    assert await pool.list() == []
