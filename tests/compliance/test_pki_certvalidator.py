"""pyhanko-certvalidator (PyPI, 0.33) validates our chains with our OCSP answers and revocation lists, required.

It is asked directly here, not through our own code: RFC 5280 paths with revocation required for every certificate.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from pyhanko_certvalidator import CertificateValidator, ValidationContext
from pyhanko_certvalidator.errors import PathValidationError

from backends.pki.authorities import CertificateAuthorities, Issued
from backends.pki.build_realm import build_realm
from backends.pki.ca_keys import FileKeys, Passphrase
from backends.pki.crl import sign_crl
from backends.pki.ocsp_responder import OcspResponder
from backends.pki.profiles import PRESETS, load_profile
from backends.pki.revocation import ocsp_request
from backends.store.database import Database
from tests.doubles import ManualClock

# rise names no responder, and this judge wants one named before it uses an answer
CHECKED = [preset for preset in PRESETS if preset != "rise"]
SETS = [(preset, algorithm) for preset in CHECKED for algorithm in load_profile(preset).algorithms]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def authorities(tmp_path: Path, clock: ManualClock) -> AsyncIterator[CertificateAuthorities]:
    (tmp_path / "passphrase").write_text("open sesame")
    (tmp_path / "passphrase").chmod(0o600)
    database = Database(f"sqlite:///{tmp_path / 'pki.db'}", clock)
    keys = FileKeys(tmp_path / "keys", Passphrase(tmp_path / "passphrase"))
    made = CertificateAuthorities(database, clock, keys, ocsp_url="http://ocsp.test/ocsp")
    yield made
    await made.close()
    await database.close()


async def validate(one: Issued, clock: ManualClock, *, ocsps: Sequence[bytes] = (), crls: Sequence[bytes] = ()) -> int:
    context = ValidationContext(
        trust_roots=[one.root],
        other_certs=one.sub_cas,
        moment=clock.now(),
        ocsps=ocsps,
        crls=crls,
        revocation_mode="require",
        allow_fetching=False,
    )
    path = await CertificateValidator(one.certificate, validation_context=context).async_validate_path()
    return len(path)


async def answers(responder: OcspResponder, one: Issued) -> list[bytes]:
    pairs = zip(one.chain, one.chain[1:], strict=False)
    return [(await responder.answer(ocsp_request(low.x509, high.x509))).der for low, high in pairs]


@pytest.mark.parametrize(("preset", "algorithm"), SETS)
async def test_chains_with_ocsp_answers_and_with_lists(
    authorities: CertificateAuthorities, clock: ManualClock, preset: str, algorithm: str
) -> None:
    issued = await build_realm(authorities, "r", preset, algorithm=algorithm)
    responder = OcspResponder(authorities)
    for kind in ("secc", "cps", "contract", "provisioning", "vehicle"):
        one = issued[kind]
        assert await validate(one, clock, ocsps=await answers(responder, one)) == 4
        assert await validate(one, clock, crls=[await sign_crl(authorities, ca) for ca in one.chain[1:]]) == 4
        with pytest.raises(PathValidationError):
            await validate(one, clock)


async def test_a_revoked_sub_ca_breaks_the_path(authorities: CertificateAuthorities, clock: ManualClock) -> None:
    one = (await build_realm(authorities, "r", "iso2-strict"))["contract"]
    await authorities.revoke(one.chain[1].fingerprint, "ca_compromise", actor="t")
    clock.advance(1)
    with pytest.raises(PathValidationError, match="revoked"):
        await validate(one, clock, ocsps=await answers(OcspResponder(authorities), one))
    with pytest.raises(PathValidationError, match="revoked"):
        await validate(one, clock, crls=[await sign_crl(authorities, ca) for ca in one.chain[1:]])


@pytest.mark.parametrize(("seconds", "holds"), [(3599, True), (3602, False)])
async def test_ocsp_answers_are_fresh_for_an_hour(
    authorities: CertificateAuthorities, clock: ManualClock, seconds: int, holds: bool
) -> None:
    one = (await build_realm(authorities, "r", "iso2-strict"))["secc"]
    ocsps = await answers(OcspResponder(authorities), one)
    clock.civil += timedelta(seconds=seconds)
    if holds:
        assert await validate(one, clock, ocsps=ocsps) == 4
    else:
        with pytest.raises(PathValidationError):
            await validate(one, clock, ocsps=ocsps)
