from __future__ import annotations

import pytest

from backends.pools import trust as module
from backends.pools.certificates import Chain, chain_fingerprint
from backends.pools.trust import Trust
from backends.refusals import Refusal, Refused
from tests.backends.chains import NOW, TO, tree, vehicle
from tests.backends.pool_doubles import Revocations
from tests.doubles import ManualClock
from v2g.certificate_profiles import Role
from v2g.certificates import load

OEM = tree()
LEAF = vehicle(OEM, "WMIprov0000000001")
CHAIN = Chain(load(LEAF), (load(OEM.sub_2.der), load(OEM.sub_1.der)), Role.OEM_PROVISIONING, "field")
ROOT = load(OEM.root.der)
KNOWN = chain_fingerprint(Role.OEM_PROVISIONING, [LEAF, OEM.sub_2.der, OEM.sub_1.der])


@pytest.fixture
def trust(clock: ManualClock, revocations: Revocations) -> Trust:
    return Trust(clock, revocations)


async def test_a_chain_is_known_after_it_was_checked_below_the_same_root(trust: Trust) -> None:
    assert CHAIN.fingerprint == KNOWN
    assert await trust.check_known(KNOWN, OEM.root.der, "field") is None
    path = await trust.check(CHAIN, [ROOT])
    assert [one.dump() for one in path] == [LEAF, OEM.sub_2.der, OEM.sub_1.der, OEM.root.der]
    assert await trust.check_known(KNOWN, OEM.root.der, "field") == tuple(path)
    assert await trust.check_known(KNOWN, b"another root", "field") is None
    assert await trust.check_known(b"", OEM.root.der, "field") is None


@pytest.mark.parametrize(("offset", "holds"), [(0, True), (1, False)])
async def test_a_known_chain_expires_to_the_second(trust: Trust, clock: ManualClock, offset: int, holds: bool) -> None:
    await trust.check(CHAIN, [ROOT])
    clock.advance((TO - NOW).total_seconds() + offset)
    for again in (trust.check(CHAIN, [ROOT]), trust.check_known(KNOWN, OEM.root.der, "field")):
        if holds:
            await again
        else:
            with pytest.raises(Refused) as refused:
                await again
            assert refused.value.reason is Refusal.CERTIFICATE_EXPIRED


async def test_revocation_is_asked_for_a_known_chain_too(trust: Trust, revocations: Revocations) -> None:
    await trust.check(CHAIN, [ROOT])
    revocations.revoked.add("OEM Sub-CA 2")
    for again in (trust.check(CHAIN, [ROOT]), trust.check_known(KNOWN, OEM.root.der, "field")):
        with pytest.raises(Refused) as refused:
            await again
        assert refused.value.reason is Refusal.CERTIFICATE_REVOKED


async def test_a_root_that_is_gone_is_missed_at_once(trust: Trust) -> None:
    await trust.check(CHAIN, [ROOT])
    with pytest.raises(Refused) as refused:
        await trust.check(CHAIN, [])
    assert refused.value.reason is Refusal.CHAIN


async def test_only_so_many_are_remembered(trust: Trust, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REMEMBERED", 1)
    await trust.check(CHAIN, [ROOT])
    other = Chain(load(vehicle(OEM, "WMIprov0000000002")), CHAIN.sub_cas, Role.OEM_PROVISIONING, "field")
    await trust.check(other, [ROOT])
    assert await trust.check_known(KNOWN, OEM.root.der, "field") is None
