"""A vehicle that has a contract gets its successor (CertificateUpdateReq), through HTTP only.

Judges: the vehicle's session machine behind a station's, and the envelope opened by hand as RISE-V2G does it.
"""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from backend_client.opcp import OpcpError
from backends.access import Role
from backends.pki.authorities import Order
from tests.backends.ecosystem import SESSION, response_code
from tests.backends.opcp.story import PCID, SMALL, Story
from tests.v2g.session.pair import AutoStation, Pair
from v2g.certificates import load, public_key
from v2g.contract_key import agreement
from v2g.exi.codec import decode, encode
from v2g.exi.generated.iso2 import types as t
from v2g.exi.generated.xmldsig.types import X509IssuerSerialType
from v2g.session.events import CertificateWanted, ContractInstalled, Event
from v2g.session.station_side import CERTIFICATE_SERVICE, CertificateAnswer
from v2g.session.vehicle_side import ContractCredentials, VehicleState
from v2g.signature_suites import P256, signer
from v2g.xmldsig import sign_message, verify_message

NEVER, NEXT_CHARGING, TOMORROW = -1, 0, 1


@dataclass(frozen=True)
class Contract:
    """What a vehicle has installed. certificates: leaf, Sub-CA 2, Sub-CA 1."""

    emaid: str
    certificates: tuple[bytes, ...]
    key: ec.EllipticCurvePrivateKey

    def request(self, roots: list[tuple[str, int]], *, emaid: str = "", key: Any = None, chain: Any = None) -> bytes:
        """CertificateUpdateReq, signed; what is given is wrong on purpose."""
        leaf, *subs = chain or self.certificates
        body = t.CertificateUpdateReqType(
            Id="ID1",
            ContractSignatureCertChain=t.CertificateChainType(
                Certificate=leaf, SubCertificates=t.SubCertificatesType(Certificate=list(subs)) if subs else None
            ),
            eMAID=emaid or self.emaid,
            ListOfRootCertificateIDs=t.ListOfRootCertificateIDsType(
                RootCertificateID=[X509IssuerSerialType(X509IssuerName=name, X509SerialNumber=n) for name, n in roots]
            ),
        )
        message = t.V2G_Message(Header=t.MessageHeaderType(SessionID=SESSION), Body=t.BodyType(BodyElement=body))
        sign_message(message, signer(key or self.key), P256)
        return encode(message)


def body_of(exi: bytes) -> Any:
    """The CertificateUpdateRes for this session."""
    message: Any = decode("iso2", exi)
    assert message.Header.SessionID == SESSION
    assert isinstance(message.Body.BodyElement, t.CertificateUpdateResType)
    return message.Body.BodyElement


def successor(exi: bytes, old: Contract) -> Contract:
    """Opened by hand (RISE-V2G SecurityUtils): SHA-256 of counter, X of the common point, 01 "U" "V"; AES-128-CBC."""
    message, body = decode("iso2", exi), body_of(exi)
    assert (body.ResponseCode, body.RetryCounter) == ("OK", None)
    provider = public_key(load(body.SAProvisioningCertificateChain.Certificate))
    verify_message(message, provider)  # type: ignore[arg-type]
    point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), body.DHpublickey.value)
    common = old.key.exchange(ec.ECDH(), point)
    session_key = hashlib.sha256(b"\0\0\0\1" + common + b"\x01UV").digest()[:16]
    iv, sealed = (
        body.ContractSignatureEncryptedPrivateKey.value[:16],
        body.ContractSignatureEncryptedPrivateKey.value[16:],
    )
    decryptor = Cipher(algorithms.AES(session_key), modes.CBC(iv)).decryptor()
    scalar = int.from_bytes(decryptor.update(sealed) + decryptor.finalize())
    key = ec.derive_private_key(scalar, ec.SECP256R1())
    chain = body.ContractSignatureCertChain
    assert key.public_key() == public_key(load(chain.Certificate))
    return Contract(body.eMAID.value, (chain.Certificate, *chain.SubCertificates.Certificate), key)


class Update:
    """A vehicle with a contract of the MO CA."""

    def __init__(self, story: Story) -> None:
        self.story = story
        self.roots = [story.world.root_id("iso2")]

    async def begin(self, days: int = 30) -> Contract:
        self.vehicle = await self.story.vehicle()
        await self.generate(days)
        return await self.install()

    async def generate(self, days: int) -> None:
        now = self.story.world.clock.now()
        await self.story.small_mo.generate_contract(SMALL, PCID, now, now + timedelta(days=days))

    async def install(self) -> Contract:
        exi = await self.story.ask(self.vehicle)
        emaid, key = self.vehicle.open(exi)
        message: Any = decode("iso2", exi)
        chain = message.Body.BodyElement.ContractSignatureCertChain
        return Contract(emaid, (chain.Certificate, *chain.SubCertificates.Certificate), key)

    async def ask(self, exi: bytes) -> bytes:
        (answer,) = await self.story.cpo.request_contract(exi)
        assert answer.available == (response_code(answer.message) == "OK")
        return answer.message

    async def refused(self, exi: bytes) -> tuple[str, int]:
        """(ResponseCode, RetryCounter)."""
        body = body_of(await self.ask(exi))
        return body.ResponseCode, body.RetryCounter


@pytest.fixture
def update(story: Story) -> Update:
    return Update(story)


async def test_a_contract_is_updated_and_the_vehicle_can_install_the_successor_as_well(update: Update) -> None:
    old = await update.begin()
    await update.generate(60)  # the mobility operator has prolonged it
    await update.story.told("small-mo")
    await update.story.told("oem")
    new = successor(await update.ask(old.request(update.roots)), old)
    assert new.emaid == old.emaid == SMALL
    assert new.key.public_key() != old.key.public_key()
    end = load(new.certificates[0]).not_valid_after
    assert end == (update.story.world.clock.now() + timedelta(days=60)).replace(microsecond=0)
    assert await update.story.told("oem") == ["oem.contract.updated"]
    assert "mo.contract.delivered.to.oem" in await update.story.told("small-mo")
    installed = await update.install()
    assert installed.certificates == new.certificates
    assert installed.key.private_numbers() == new.key.private_numbers()
    again = successor(await update.ask(new.request(update.roots)), new)  # and so on
    assert load(again.certificates[0]).not_valid_after == end


async def test_who_asks_again_gets_the_same(update: Update) -> None:
    old = await update.begin()
    answers = await asyncio.gather(*(update.ask(old.request(update.roots)) for _ in range(4)))
    answers.append(await update.ask(old.request(update.roots)))
    (leaf,) = {successor(one, old).certificates[0] for one in answers}
    assert (await update.install()).certificates[0] == leaf
    await update.generate(90)  # overtakes it
    assert successor(await update.ask(old.request(update.roots)), old).certificates[0] != leaf


async def test_all_certificates_of_a_contract_are_revoked_with_it(update: Update) -> None:
    old = await update.begin()
    new = successor(await update.ask(old.request(update.roots)), old)
    await update.story.small_mo.delete_contract(SMALL)
    for one in (old, new):
        found = await update.story.world.authorities.find(hashlib.sha256(one.certificates[0]).hexdigest())
        assert found.stored.revoked is not None
        assert await update.refused(one.request(update.roots)) == ("FAILED_CertificateRevoked", NEVER)


async def test_a_cancelled_contract(update: Update) -> None:
    old = await update.begin()
    await update.story.small_mo.delete_contract(SMALL, skip_revocation=True)
    assert await update.refused(old.request(update.roots)) == ("FAILED_ContractCanceled", NEVER)
    with pytest.raises(OpcpError) as refused:
        await update.story.cpo.request_contract(old.request(update.roots), always_exi=False)
    assert (refused.value.status, refused.value.messages[0]) == (404, "The contract for the given EMAID not found.")


async def test_an_mo_with_a_pki_of_its_own_has_the_only_copy_of_its_keys(update: Update) -> None:
    update.vehicle = await update.story.vehicle()
    key = await update.story.sign()
    own = await update.install()
    assert own.key.private_numbers() == key.private_numbers()
    assert await update.refused(own.request(update.roots)) == ("FAILED_NoCertificateAvailable", NEVER)


async def test_a_certificate_that_was_never_this_contracts(update: Update) -> None:
    """Any CA below a root of the pool may have issued one with this name."""
    await update.begin()
    order = Order(realm="iso2", kind="contract", common_name=SMALL)
    issued = await update.story.world.authorities.issue(order, actor="somebody")
    key: Any = await update.story.world.authorities.key_of(issued.stored)
    forged = Contract(SMALL, tuple(one.certificate for one in issued.chain[:3]), key.key)
    assert await update.refused(forged.request(update.roots)) == ("FAILED_NoCertificateAvailable", NEVER)


async def test_what_is_wrong_with_a_request_is_said(update: Update) -> None:
    """CertificateUpdate_005 to _016 of ISO 15118-4."""
    old = await update.begin(days=30)
    leaf, sub_2, sub_1 = old.certificates
    other = await update.story.world.add_pki("second", "iso2-strict")
    strangers = [one.certificate for one in other["contract"].chain[:3]]
    wrong = ec.generate_private_key(ec.SECP256R1())
    roots = update.roots
    none, chain = ("FAILED_NoCertificateAvailable", NEXT_CHARGING), ("FAILED_CertChainError", NEXT_CHARGING)
    for request, expected in (
        (old.request(roots, key=wrong), ("FAILED_SignatureError", NEXT_CHARGING)),
        (old.request(roots, chain=(leaf, sub_1, sub_2)), chain),
        (old.request(roots, chain=(leaf, strangers[1], sub_1)), chain),
        (old.request(roots, chain=(leaf, sub_2, strangers[2])), chain),
        (old.request(roots, chain=(leaf,)), chain),
        (old.request(roots, emaid="DE1ABCD2EF357B"), none),
        (old.request(roots, emaid="Invalid_EMAID_"), none),
        (old.request([("CN=Elsewhere", 1)]), ("FAILED_NoCertificateAvailable", TOMORROW)),
    ):
        assert await update.refused(request) == expected
    with pytest.raises(OpcpError, match="EXI format is invalid!"):
        await update.story.cpo.request_contract(old.request(roots)[:-40])
    admin = await update.story.world.client("admin", Role.ADMIN)
    for root in await admin.roots("mo"):
        await admin.delete_root(root.root_certificate_id)
    assert await update.refused(old.request(roots)) == chain


@pytest.mark.parametrize(("seconds", "code"), [(-1, "OK"), (1, "FAILED_CertificateExpired")])
async def test_a_contract_is_updated_to_its_last_second(update: Update, seconds: int, code: str) -> None:
    old = await update.begin(days=30)
    await update.generate(60)
    update.story.world.clock.advance(30 * 86400 + seconds)
    body = body_of(await update.ask(old.request(update.roots)))
    assert body.ResponseCode == code
    assert body.RetryCounter == (None if code == "OK" else NEVER)


async def test_a_session_with_an_update(update: Update) -> None:
    """The station hands the request to the pools, the vehicle checks the answer and pays with the successor."""
    old = await update.begin()
    loop, at = asyncio.get_running_loop(), update.story.world.clock.now()
    pki = update.story.world.pki["iso2"]
    pair = Pair(
        AutoStation(
            payments=("Contract", "ExternalPayment"),
            services=(CERTIFICATE_SERVICE,),
            civil_time=at,
            contract_roots=[pki["mo-root"].certificate],
        ),
        VehicleState(
            payment="Contract",
            contract=ContractCredentials(old.emaid, old.certificates, signer(old.key), agreement(old.key)),
            certificate_action="update",
            root_ids=tuple(update.roots),
            v2g_roots=[pki["v2g-root"].certificate],
            civil_time=at,
        ),
        tls=True,
    )

    def on_event(_who: str, event: Event) -> None:
        if isinstance(event, CertificateWanted):
            work = update.story.cpo.request_contract(event.exi)
            (answer,) = asyncio.run_coroutine_threadsafe(work, loop).result()
            pair.station.certificate_answer = CertificateAnswer(answer.message)
            pair._changed = True

    pair.on_event = on_event
    await asyncio.to_thread(pair.run)
    (installed,) = pair.found(ContractInstalled)
    assert installed.emaid == SMALL
    assert installed.certificates == (await update.install()).certificates
    assert "AuthorizationReq" in pair.sent()
    assert pair.ended("station").outcome == pair.ended("vehicle").outcome == "terminated"
