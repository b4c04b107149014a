from __future__ import annotations

import asyncio
from datetime import timedelta
from itertools import pairwise

import pytest

from backends.access import Forbidden
from backends.pools.editions import ISO2
from backends.pools.provisioning_pool import Offer, ProvisioningPool
from backends.pools.root_pool import RootPool, RootType
from backends.refusals import Refusal, Refused
from backends.store.database import Database
from tests.backends.chains import FROM, NOW, TO, Tree, issue, tree, vehicle
from tests.backends.pool_doubles import (
    ADMIN,
    MO,
    OEM,
    MoCa,
    Revocations,
    add_contract,
    audit_log,
    emaids,
    event_kinds,
)
from tests.doubles import ManualClock

PCID = "WMIprov0000000001"
EMAID = "DE8AACA2B3C4D5"


def offer(chain: Tree, certificate: bytes, **other: object) -> Offer:
    return Offer(certificate, chain.sub_1.der, chain.sub_2.der, ISO2, **other)  # type: ignore[arg-type]


@pytest.fixture
async def oem(roots: RootPool) -> Tree:
    """A PKI whose root the pool trusts."""
    made = tree()
    await roots.put(made.root.der, RootType.OEM, ADMIN)
    return made


def reason(refused: pytest.ExceptionInfo[Refused]) -> Refusal:
    return refused.value.reason


async def test_published_and_fetched_in_any_case(vehicles: ProvisioningPool, oem: Tree) -> None:
    stored = await vehicles.put(offer(oem, vehicle(oem, PCID), v2g_root_key_identifiers=("45b8",)), OEM)
    assert stored.pcid == PCID
    assert stored.root.x509.dump() == oem.root.der
    assert await vehicles.get(PCID.upper(), MO) == stored
    await vehicles.lookup(PCID.lower(), MO)


async def test_one_sub_ca_is_enough_and_the_order_of_two_does_not_matter(vehicles: ProvisioningPool, oem: Tree) -> None:
    leaf = vehicle(oem, PCID)
    await vehicles.put(Offer(leaf, oem.sub_2.der, oem.sub_1.der, ISO2), OEM)
    short = issue(PCID, 4, oem.sub_1, ca=False, component="OEM").der
    assert (await vehicles.put(Offer(short, oem.sub_1.der, None, ISO2), OEM)).sub_ca_2 is None


async def test_the_first_failing_check_decides(
    vehicles: ProvisioningPool, oem: Tree, clock: ManualClock, revocations: Revocations
) -> None:
    """Each case fails its own check and all later ones."""
    stranger = tree("Other")
    old = NOW - timedelta(days=1)
    revocations.revoked.add("OEM Sub-CA 2")
    past = vehicle(stranger, PCID, valid_to=old)
    cases: list[tuple[Offer, Refusal | type[Forbidden], str]] = [
        (Offer(b"x", b"x", b"x", ISO2), Refusal.CERTIFICATE_FORMAT, "provisioning certificate"),
        (Offer(past, b"x", b"x", ISO2), Refusal.CERTIFICATE_FORMAT, "provisioning sub-CA 2"),
        (Offer(past, b"x", oem.sub_2.der, ISO2), Refusal.CERTIFICATE_FORMAT, "provisioning sub-CA 1"),
        (offer(oem, vehicle(stranger, "short", valid_to=old)), Refusal.PCID_FORMAT, ""),
        (offer(oem, past, previous_pcid="x"), Refusal.PCID_FORMAT, ""),
        (offer(oem, vehicle(stranger, "WVWprov0000000001", valid_to=old)), Forbidden, ""),
        (offer(oem, vehicle(stranger, PCID, valid_to=old, ca=True)), Refusal.CERTIFICATE_EXPIRED, ""),
        (offer(oem, vehicle(stranger, PCID, ca=True)), Refusal.CERTIFICATE_PROFILE, ""),
        (offer(oem, issue(PCID, 4, oem.sub_2, ca=False, component="CPO").der), Refusal.CERTIFICATE_PROFILE, ""),
        (offer(oem, vehicle(stranger, PCID)), Refusal.CHAIN, ""),
        (offer(stranger, vehicle(stranger, PCID)), Refusal.CHAIN, ""),
        (offer(oem, vehicle(oem, PCID)), Refusal.CERTIFICATE_REVOKED, ""),
    ]
    for given, expected, field in cases:
        if expected is Forbidden:
            with pytest.raises(Forbidden, match="WVW"):
                await vehicles.put(given, OEM)
            continue
        with pytest.raises(Refused) as refused:
            await vehicles.put(given, OEM)
        assert refused.value.reason is expected
        assert field in ("", refused.value.field)
    revocations.revoked.clear()
    revocations.unknown.add(PCID)
    with pytest.raises(Refused) as refused:
        await vehicles.put(offer(oem, vehicle(oem, PCID)), OEM)
    assert reason(refused) is Refusal.STATUS_UNKNOWN


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (FROM - timedelta(seconds=1), Refusal.CERTIFICATE_NOT_YET_VALID),
        (FROM, None),
        (TO, None),
        (TO + timedelta(seconds=1), Refusal.CERTIFICATE_EXPIRED),
    ],
)
@pytest.mark.parametrize("who", ["leaf", "sub-CAs"])
async def test_every_certificate_of_the_chain_counts_to_the_second(
    vehicles: ProvisioningPool, roots: RootPool, clock: ManualClock, at: object, expected: Refusal | None, who: str
) -> None:
    early, late = FROM - timedelta(days=9), TO + timedelta(days=9)
    root = issue("OEM Root CA", 1, valid_from=early, valid_to=late)
    window, wide = {"valid_from": FROM, "valid_to": TO}, {"valid_from": early, "valid_to": late}
    sub_1 = issue("S1", 2, root, path_length=1, **(wide if who == "leaf" else window))
    sub_2 = issue("S2", 3, sub_1, path_length=0, **(wide if who == "leaf" else window))
    chain = Tree(root, sub_1, sub_2)
    await roots.put(root.der, RootType.OEM, ADMIN)
    clock.civil = at  # type: ignore[assignment]
    given = offer(chain, vehicle(chain, PCID, **(window if who == "leaf" else wide)))
    if expected is None:
        await vehicles.put(given, OEM)
    else:
        with pytest.raises(Refused) as refused:
            await vehicles.put(given, OEM)
        assert reason(refused) is expected


@pytest.mark.parametrize(("offset", "found"), [(-1, True), (0, True), (1, False)])
async def test_an_expired_vehicle_is_not_found_even_before_the_cleansing(
    vehicles: ProvisioningPool, oem: Tree, clock: ManualClock, offset: int, found: bool
) -> None:
    await vehicles.put(offer(oem, vehicle(oem, PCID)), OEM)
    await vehicles.get(PCID, MO)
    clock.advance((TO - NOW).total_seconds() + offset)
    for ask in (vehicles.get, vehicles.lookup):
        if found:
            await ask(PCID, MO)
        else:
            with pytest.raises(Refused) as refused:
                await ask(PCID, MO)
            assert reason(refused) is Refusal.VEHICLE_UNKNOWN


async def test_a_fetch_checks_the_status_each_time_and_the_chain_against_todays_roots(
    vehicles: ProvisioningPool, roots: RootPool, oem: Tree, revocations: Revocations
) -> None:
    stored = await vehicles.put(offer(oem, vehicle(oem, PCID)), OEM)
    before = revocations.asked
    await vehicles.get(PCID, MO)
    assert revocations.asked == before + 1
    revocations.revoked.add("OEM Sub-CA 1")
    with pytest.raises(Refused) as refused:
        await vehicles.get(PCID, MO)
    assert reason(refused) is Refusal.CERTIFICATE_REVOKED
    revocations.revoked.clear()
    await roots.delete(stored.root.id, ADMIN)
    with pytest.raises(Refused) as refused:
        await vehicles.get(PCID, MO)
    assert reason(refused) is Refusal.CHAIN


async def test_replacing_with_the_same_key_touches_no_contract(
    vehicles: ProvisioningPool, oem: Tree, database: Database
) -> None:
    await vehicles.put(offer(oem, vehicle(oem, PCID)), OEM)
    await add_contract(database, oem, EMAID, PCID)
    await vehicles.put(offer(oem, vehicle(oem, PCID, valid_to=TO - timedelta(days=1))), OEM)
    assert await emaids(database) == [EMAID]
    assert await event_kinds(database) == ["root added"]


async def test_a_new_key_drops_and_revokes_the_contracts(
    vehicles: ProvisioningPool, oem: Tree, database: Database, mo_ca: MoCa
) -> None:
    await vehicles.put(offer(oem, vehicle(oem, PCID)), OEM)
    issued = await add_contract(database, oem, EMAID, PCID, issued_here=True)
    await add_contract(database, oem, "DE8AACA2B3C4D9", PCID)
    await add_contract(database, oem, "DE8AACA2B3C4D1", "WMIprov0000000002")
    await vehicles.put(offer(oem, vehicle(oem, PCID, number=5)), OEM)
    assert await emaids(database) == ["DE8AACA2B3C4D1"]
    assert mo_ca.revoked == {issued}
    assert await event_kinds(database) == ["root added", *["vehicle updated", "contract deleted"] * 2]


async def test_a_vehicle_goes_with_its_contracts_and_an_archive_stays(
    vehicles: ProvisioningPool, oem: Tree, database: Database
) -> None:
    leaf = vehicle(oem, PCID)
    await vehicles.put(offer(oem, leaf), OEM)
    certificate = await add_contract(database, oem, EMAID, PCID)
    with pytest.raises(Forbidden):
        await vehicles.delete("WVWprov0000000001", OEM)
    await vehicles.delete(PCID.upper(), OEM)
    assert await emaids(database) == []
    assert await event_kinds(database) == ["root added", "vehicle deleted", "contract deleted"]
    contract, gone = (await audit_log(database))[-2:]
    assert contract.before["signed"][0]["contract_certificate"] == certificate.hex()
    assert gone.before["certificate"] == leaf.hex()
    assert (gone.actor, gone.operation, gone.subject) == ("oem", "provisioning.delete", PCID.upper())
    with pytest.raises(Refused) as refused:
        await vehicles.delete(PCID, OEM)
    assert reason(refused) is Refusal.VEHICLE_UNKNOWN


async def test_a_factory_reset_is_told_as_such(vehicles: ProvisioningPool, oem: Tree, database: Database) -> None:
    await vehicles.put(offer(oem, vehicle(oem, PCID)), OEM)
    await add_contract(database, oem, EMAID, PCID)
    await vehicles.delete(PCID, OEM, factory_reset=True)
    assert "vehicle reset" in await event_kinds(database)


async def test_everything_stays_when_a_certificate_cannot_be_revoked(
    vehicles: ProvisioningPool, oem: Tree, database: Database, mo_ca: MoCa
) -> None:
    await vehicles.put(offer(oem, vehicle(oem, PCID)), OEM)
    await add_contract(database, oem, EMAID, PCID, issued_here=True)
    mo_ca.broken = True
    for change in (vehicles.delete(PCID, OEM), vehicles.put(offer(oem, vehicle(oem, PCID, number=5)), OEM)):
        with pytest.raises(Refused, match="token is away") as refused:
            await change
        assert reason(refused) is Refusal.REVOCATION_FAILED
    assert await emaids(database) == [EMAID]
    await vehicles.get(PCID, MO)
    assert await event_kinds(database) == ["root added"]


async def test_many_at_once_on_one_vehicle_end_in_one_of_them(
    vehicles: ProvisioningPool, oem: Tree, database: Database
) -> None:
    leaves = [vehicle(oem, PCID, number=4 + n % 2) for n in range(6)]
    await asyncio.gather(*(vehicles.put(offer(oem, leaf), OEM) for leaf in leaves))
    assert (await vehicles.get(PCID, MO)).certificate in leaves
    puts = [entry for entry in await audit_log(database) if entry.operation == "provisioning.put"]
    assert len(puts) == 6
    for before, after in pairwise(puts):
        assert after.before == before.after  # one after the other, nothing in between lost
