"""Everything issued under a preset passes the check of that preset; every bad one is refused for its reason."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from backends.pki.authorities import CertificateAuthorities, Issued, Order
from backends.pki.bad_variants import BAD_VARIANTS, LEAF, ROOT, SUB
from backends.pki.build_realm import build_realm
from backends.pki.ca_keys import MemoryKey
from backends.pki.key_algorithms import algorithm_named
from backends.pki.profiles import PRESETS, load_profile
from backends.store.schema import AUDIT
from ports.errors import LocalError, PeerError, RigError
from tests.doubles import ManualClock
from v2g.certificate_profiles import ISO2_STRICT, LEAF_ROLES, Role
from v2g.certificates import CertificateError, check_certificate, check_chain

SETS = [(preset, algorithm) for preset in PRESETS for algorithm in load_profile(preset).algorithms]


def check(issued: Issued, preset: str, clock: ManualClock) -> None:
    profile = load_profile(preset)
    role = profile.kind(issued.stored.kind).role
    assert role is not None
    check_chain(issued.certificate, issued.sub_cas, [issued.root], role=role, profile=profile.check, at=clock.now())


@pytest.mark.parametrize(("preset", "algorithm"), SETS)
async def test_everything_issued_passes_the_check_of_its_preset(
    authorities: CertificateAuthorities, clock: ManualClock, preset: str, algorithm: str
) -> None:
    issued = await build_realm(authorities, "r", preset, algorithm=algorithm)
    profile = load_profile(preset)
    assert list(issued) == list(profile.certificates)
    for kind, one in issued.items():
        role = profile.kind(kind).role
        assert role is not None
        check_certificate(one.certificate, role, profile.check, clock.now())
        if role in LEAF_ROLES:
            check(one, preset, clock)
            assert len(one.chain) == 4
        assert len(one.certificate.dump()) <= (800 if algorithm == "secp256r1" else 1600)
        assert len(one.certificate.key_identifier) == (20 if preset == "rise" else 8)
        assert bool(one.certificate.ocsp_urls) == profile.kind(kind).ocsp


@pytest.mark.parametrize(("kind", "level"), [("contract", LEAF), ("mo-sub2", SUB), ("mo-root", ROOT)])
async def test_bad_variants_are_refused_for_their_reason(
    authorities: CertificateAuthorities, clock: ManualClock, kind: str, level: str
) -> None:
    root = (await build_realm(authorities, "r", "iso2-strict"))["mo-root"].root
    below = load_profile("iso2-strict").line("contract")
    below = below[: below.index(kind)][::-1]
    for name, variant in BAD_VARIANTS.items():
        if level not in variant.levels:
            with pytest.raises(LocalError, match="is for"):
                await authorities.issue(Order(realm="r", kind=kind, bad=name), actor="t")
            continue
        bad = last = await authorities.issue(Order(realm="r", kind=kind, bad=name), actor="t")
        for after in below:
            last = await authorities.issue(Order(realm="r", kind=after), actor="t")
        assert bad.stored.bad == name
        if not variant.complaint:
            assert bad.stored.revoked is not None
            continue
        roots = [last.root] if level == ROOT else [root]
        with pytest.raises(CertificateError) as raised:
            check_chain(last.certificate, last.sub_cas, roots, role=Role.CONTRACT, profile=ISO2_STRICT, at=clock.now())
        assert variant.complaint in str(raised.value), name


async def test_a_realm_is_built_around_a_bad_sub_ca(authorities: CertificateAuthorities, clock: ManualClock) -> None:
    issued = await build_realm(authorities, "r", "iso2-strict", bad={"mo-sub2": "expired"})
    check(issued["secc"], "iso2-strict", clock)
    with pytest.raises(CertificateError, match=r"Sub-CA 2.*expired"):
        check(issued["contract"], "iso2-strict", clock)


@pytest.mark.parametrize("preset", ["iso20-strict", "hubject-qa", "rise"])
async def test_bad_leafs_of_other_presets(authorities: CertificateAuthorities, preset: str) -> None:
    await build_realm(authorities, "r", preset)
    for name, variant in BAD_VARIANTS.items():
        if LEAF in variant.levels:
            issued = await authorities.issue(Order(realm="r", kind="contract", bad=name), actor="t")
            assert issued.stored.bad == name


async def test_weak_hash_needs_a_hash(authorities: CertificateAuthorities) -> None:
    await build_realm(authorities, "r", "iso20-strict", algorithm="ed448")
    with pytest.raises(LocalError, match="Ed448"):
        await authorities.issue(Order(realm="r", kind="contract", bad="weak-hash"), actor="t")


async def test_a_leaf_is_valid_from_its_first_to_its_last_second_and_never_longer_than_its_issuer(
    authorities: CertificateAuthorities, clock: ManualClock
) -> None:
    issued = await build_realm(authorities, "r", "iso2-strict")
    leaf = issued["secc"]
    end = leaf.certificate.not_valid_after
    clock.civil = end
    check(leaf, "iso2-strict", clock)
    clock.civil = end + timedelta(seconds=1)
    with pytest.raises(CertificateError, match="expired"):
        check(leaf, "iso2-strict", clock)
    clock.civil = issued["cpo-sub2"].certificate.not_valid_after - timedelta(seconds=1)
    last = await authorities.issue(Order(realm="r", kind="secc"), actor="t")
    assert last.certificate.not_valid_after == issued["cpo-sub2"].certificate.not_valid_after
    clock.advance(1)
    with pytest.raises(RigError, match="its issuer ended"):
        await authorities.issue(Order(realm="r", kind="secc", valid_from=clock.now()), actor="t")


async def test_dates_beyond_2049_and_explicit_validity(authorities: CertificateAuthorities) -> None:
    await authorities.add_realm("r", "iso2-strict", actor="t")
    end = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    root = await authorities.issue(Order(realm="r", kind="mo-root", valid_to=end), actor="t")
    assert root.certificate.not_valid_after == end


async def test_a_foreign_key_gets_a_certificate_and_stays_foreign(authorities: CertificateAuthorities) -> None:
    await build_realm(authorities, "r", "iso2-strict")
    key = MemoryKey(algorithm_named("secp256r1").generate())
    issued = await authorities.issue(
        Order(realm="r", kind="contract", public_key=key.spki, common_name="DE-ABC-C00000001"), actor="t"
    )
    assert issued.certificate.public_key.dump() == key.spki
    with pytest.raises(RigError, match="not here"):
        await authorities.key_of(issued.stored)


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"common_name": "no emaid at all"}, "is no EMAID"),
        ({"common_name": "x" * 65}, "at most 64"),
        ({"organisation": "a\x00b"}, "printable"),
        ({"country": "DEU"}, "two letters"),
    ],
)
async def test_names_that_the_profile_or_x520_refuse(
    authorities: CertificateAuthorities, fields: dict[str, str], complaint: str
) -> None:
    await build_realm(authorities, "r", "iso2-strict")
    with pytest.raises(PeerError, match=complaint):
        await authorities.issue(Order(realm="r", kind="contract", **fields), actor="t")  # type: ignore[arg-type]


async def test_wrong_curve_in_an_order_is_refused_by_the_profile(authorities: CertificateAuthorities) -> None:
    await build_realm(authorities, "r", "iso2-strict")
    key = MemoryKey(algorithm_named("secp521r1").generate())
    with pytest.raises(CertificateError, match="key is secp521r1"):
        await authorities.issue(Order(realm="r", kind="contract", public_key=key.spki), actor="t")


async def test_revocation_is_once_and_audited(authorities: CertificateAuthorities, clock: ManualClock) -> None:
    issued = await build_realm(authorities, "r", "iso2-strict")
    leaf = issued["contract"].stored
    first = await authorities.revoke(leaf.fingerprint, "superseded", actor="mo-1")
    clock.advance(10)
    again = await authorities.revoke(leaf.fingerprint, "key_compromise", actor="mo-1")
    assert (again.stored.revoked, again.stored.reason) == (first.stored.revoked, "superseded")
    with pytest.raises(RigError, match="reason"):
        await authorities.revoke(leaf.fingerprint, "boredom", actor="mo-1")
    with pytest.raises(RigError, match="is a root"):
        await authorities.revoke(issued["mo-root"].stored.fingerprint, actor="mo-1")
    rows = await authorities.database.read(lambda c: c.execute(sa.select(AUDIT)).all())
    written = [(row.operation, row.actor) for row in rows]
    assert written.count(("pki.issue", "pki")) == len(issued)
    assert written.count(("pki.revoke", "mo-1")) == 1
    assert written.count(("pki.realm", "pki")) == 1


async def test_errors_name_what_is_missing(authorities: CertificateAuthorities) -> None:
    with pytest.raises(RigError, match="profile 'nope' is unknown"):
        await authorities.add_realm("r", "nope", actor="t")
    with pytest.raises(RigError, match="no keys on ed448"):
        await authorities.add_realm("r", "iso2-strict", "ed448", actor="t")
    with pytest.raises(RigError, match="realm 'r' does not exist"):
        await authorities.issue(Order(realm="r", kind="secc"), actor="t")
    await authorities.add_realm("r", "iso2-strict", actor="t")
    with pytest.raises(RigError, match="realm 'r' exists"):
        await authorities.add_realm("r", "iso2-strict", actor="t")
    with pytest.raises(RigError, match="has no certificate 'cpo-sub2'"):
        await authorities.issue(Order(realm="r", kind="secc"), actor="t")
    with pytest.raises(RigError, match="issues no 'bicycle'"):
        await authorities.issue(Order(realm="r", kind="bicycle"), actor="t")
    with pytest.raises(LocalError, match="bad variant 'ugly' is unknown"):
        await authorities.issue(Order(realm="r", kind="v2g-root", bad="ugly"), actor="t")
    with pytest.raises(RigError, match="no certificate 'nothing'"):
        await authorities.find("nothing")


async def test_what_is_found_by_name_kind_serial_and_fingerprint(authorities: CertificateAuthorities) -> None:
    issued = await build_realm(authorities, "r", "iso2-strict", names={"contract": "DE-ABC-C00000009"})
    leaf = issued["contract"]
    for wanted in ("DE-ABC-C00000009", "contract", leaf.stored.serial, leaf.stored.fingerprint[:12]):
        assert (await authorities.find(wanted)).stored == leaf.stored
    assert (await authorities.newest("r", "contract")).chain == leaf.chain
