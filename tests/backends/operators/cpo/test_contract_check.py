"""Contract chains without pools: roots from the settings, the clock at the boundary."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from asn1crypto import pem  # type: ignore[import-untyped]
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID

from backends.operators.cpo.certificate_status import CertificateId
from backends.operators.cpo.contract_check import ContractCheck, ContractRefused, ContractRoots
from backends.operators.cpo.settings import CpoSettings
from backends.pki.revocation import Policy, RevocationRules, Status
from hil_rigs.virtual_clock import VirtualClock, run_virtual
from ports.authorisation import ContractStatus
from tests.backends.chains import FROM, NOW, TO, Authority, key, tree
from tests.backends.operators.cpo.parts import ACCOUNT, START, Wire, accepting, running_cpo, station, virtual

EMAID = "DEPLBC00000042"
TREE, OTHER = tree("MO"), tree("Other")


def contract(valid_from: datetime = FROM, valid_to: datetime = TO) -> Authority:
    """A contract certificate (ISO 15118-2 table F.4) that names no OCSP responder."""
    name = x509.Name(
        [x509.NameAttribute(NameOID.COMMON_NAME, EMAID), x509.NameAttribute(NameOID.ORGANIZATION_NAME, "P")]
    )
    usage = x509.KeyUsage(True, True, True, False, True, False, False, False, False)
    issuer_key = key(TREE.sub_2.number)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(TREE.sub_2.certificate.subject)
        .public_key(key(9).public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(valid_from)
        .not_valid_after(valid_to)
        .add_extension(x509.BasicConstraints(False, None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key(9).public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
        .add_extension(usage, critical=True)
    )
    return Authority(made.sign(issuer_key, hashes.SHA256()), 9)


async def status(wire: Wire, *chain: Authority, emaid: str = EMAID) -> str:
    text = "".join(pem.armor("CERTIFICATE", one.der).decode() for one in chain)
    said = await wire.ask("Authorize", {"idToken": {"idToken": emaid, "type": "eMAID"}, "certificate": text})
    answer: str = said[2]["certificateStatus"]
    assert (said[2]["idTokenInfo"]["status"] == "Accepted") == (answer == "Accepted")
    return answer


def settings(policy: Policy) -> CpoSettings:
    return CpoSettings(stations=[ACCOUNT], contract_roots=[TREE.root.der], revocation=RevocationRules(policy=policy))


@virtual
async def test_chains(tmp_path: Path, clock: VirtualClock) -> None:
    good = (contract(), TREE.sub_2, TREE.sub_1)
    async with running_cpo(
        tmp_path, clock, settings(Policy.SOFT), authorisers=[accepting(EMAID, "DE-PLB-C00000042")]
    ) as cpo:
        async with station(cpo.running) as wire:
            assert await status(wire, *good) == "Accepted"
            assert await status(wire, *good, TREE.root) == "Accepted"  # a root that came along is ignored
            assert await status(wire, *good, emaid="DE-PLB-C00000042") == "Accepted"  # the same EMAID
            assert await status(wire, *good[:2]) == "CertChainError"
            assert await status(wire, good[0], OTHER.sub_2, OTHER.sub_1) == "CertChainError"
            assert await status(wire, contract(valid_to=NOW - timedelta(days=1)), *good[1:]) == "CertificateExpired"
            assert await status(wire, contract(valid_from=NOW + timedelta(days=1)), *good[1:]) == "CertificateExpired"


@virtual
async def test_the_last_second_of_a_contract(tmp_path: Path, clock: VirtualClock) -> None:
    chain = (contract(valid_to=NOW + timedelta(hours=1)), TREE.sub_2, TREE.sub_1)
    async with running_cpo(tmp_path, clock, settings(Policy.SOFT), authorisers=[accepting(EMAID)]) as cpo:
        async with station(cpo.running) as wire:
            await clock.sleep((NOW + timedelta(hours=1) - clock.now()).total_seconds() - 1)
            assert await status(wire, *chain) == "Accepted"
            await clock.sleep(2)
            assert await status(wire, *chain) == "CertificateExpired"


@virtual
async def test_a_status_that_nobody_knows(tmp_path: Path, clock: VirtualClock) -> None:
    word = accepting(EMAID)
    async with running_cpo(tmp_path, clock, settings(Policy.HARD), authorisers=[word]) as cpo:
        async with station(cpo.running) as wire:
            assert await status(wire, contract(), TREE.sub_2, TREE.sub_1) == "CertChainError"
    assert word.asked == []
    assert "names no OCSP responder" in cpo.traced("csms.authorised")[0]["detail"]


class Silent:
    """Responders that do not answer."""

    async def status(self, _one: CertificateId, _known: object) -> tuple[Status, str]:
        await asyncio.Event().wait()
        raise AssertionError

    async def __call__(self, _path: object, _field: str, /) -> None:
        await asyncio.Event().wait()


@pytest.mark.parametrize("policy", Policy)
def test_silent_responders_leave_the_station_time_for_its_answer(policy: Policy) -> None:
    async def check(clock: VirtualClock) -> None:
        roots = ContractRoots([TREE.root.der], None, clock)
        rules = RevocationRules(policy=policy)
        one = ContractCheck(roots, Silent(), Silent(), rules, clock, 1.5)  # type: ignore[arg-type]
        asked = [CertificateId("sha256", b"", b"", serial, "http://ocsp.example") for serial in range(4)]
        chain = "".join(pem.armor("CERTIFICATE", made.der).decode() for made in (contract(), TREE.sub_2, TREE.sub_1))
        began = clock.monotonic()
        refused = []
        for work in (one.chain(EMAID, chain), one.hashes(asked)):
            try:
                await work
            except ContractRefused as error:
                refused.append(error)
        assert clock.monotonic() - began == pytest.approx(3.0)
        assert [one.status for one in refused] == [ContractStatus.CERT_CHAIN_ERROR] * (2 * (policy is Policy.HARD))
        assert all("within 1.5 s" in str(one) for one in refused)

    run_virtual(check, start=START)
