from __future__ import annotations

from datetime import timedelta

import pytest

from backends.pools.root_pool import RootPool, RootType
from backends.refusals import Refusal, Refused
from backends.store.database import Database
from tests.backends.chains import FROM, NOW, TO, issue, tree
from tests.backends.pool_doubles import ADMIN, audit_log, event_kinds
from tests.doubles import ManualClock


async def test_a_root_is_added_once_listed_and_removed(roots: RootPool, database: Database) -> None:
    root = await roots.put(issue("V2G Root", 1).der, RootType.V2G, ADMIN)
    again = await roots.put(root.certificate, RootType.V2G, ADMIN)
    assert again == root
    assert await roots.get(root.id.upper()) == root
    assert await roots.list(RootType.V2G) == [root]
    assert await roots.list(RootType.MO) == []
    await roots.delete(root.id, ADMIN)
    assert await roots.list() == []
    assert await event_kinds(database) == ["root added", "root revoked"]
    notes = await audit_log(database)
    assert [(note.operation, note.actor) for note in notes] == [("root.put", "admin"), ("root.delete", "admin")]
    assert notes[1].before["certificate"] == root.certificate.hex()


async def test_unknown_roots(roots: RootPool) -> None:
    for attempt in (roots.get("x"), roots.delete("x", ADMIN)):
        with pytest.raises(Refused) as refused:
            await attempt
        assert refused.value.reason is Refusal.ROOT_UNKNOWN


@pytest.mark.parametrize(("offset", "listed"), [(-1, True), (0, True), (1, False)])
async def test_a_root_is_trusted_to_its_last_second(
    roots: RootPool, clock: ManualClock, offset: int, listed: bool
) -> None:
    root = await roots.put(issue("Root", 1).der, RootType.OEM, ADMIN)
    clock.advance((TO - NOW).total_seconds() + offset)
    assert bool(await roots.list()) is listed
    if not listed:
        with pytest.raises(Refused):
            await roots.get(root.id)


@pytest.mark.parametrize(
    ("offset", "reason"),
    [
        (TO - NOW + timedelta(seconds=1), Refusal.CERTIFICATE_EXPIRED),
        (FROM - NOW - timedelta(seconds=1), Refusal.CERTIFICATE_NOT_YET_VALID),
    ],
)
async def test_roots_outside_their_validity_are_refused(
    roots: RootPool, clock: ManualClock, offset: timedelta, reason: Refusal
) -> None:
    clock.advance(offset.total_seconds())
    with pytest.raises(Refused) as refused:
        await roots.put(issue("Root", 1).der, RootType.OEM, ADMIN)
    assert refused.value.reason is reason


async def test_what_is_no_root_is_refused(roots: RootPool) -> None:
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
            await roots.put(octets, RootType.OEM, ADMIN)
        assert refused.value.reason is reason
    assert await roots.list() == []
