"""The whole provisioning story, through HTTP only: from the factory to a vehicle that holds its contract key."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from backend_client.opcp import ContractData, OpcpError
from backends.access import Role
from backends.pki.authorities import Order
from backends.pools.contract_rows import no_own_certificates
from backends.pools.editions import ISO2, ISO20
from ports.errors import RigError
from tests.backends.ecosystem import Vehicle, response_code
from tests.backends.opcp.story import EMAID, OTHER, PCID, SMALL, Story
from tests.backends.pool_doubles import Revocations

P521_POINT = (
    ec.generate_private_key(ec.SECP521R1()).public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
)


async def test_an_mo_with_a_pki_gives_the_vehicle_its_contract(story: Story) -> None:
    vehicle = await story.vehicle()
    key = await story.sign()
    emaid, opened = vehicle.open(await story.ask(vehicle))
    assert emaid == EMAID
    assert opened.private_numbers() == key.private_numbers()
    assert await story.told("oem") == ["oem.contract.created"]
    assert await story.told("mo") == ["mo.contract.delivered.to.oem", "mo.contract.created.sent.to.oem"]


async def test_an_mo_without_a_pki_has_its_contract_made(story: Story) -> None:
    vehicle = await story.vehicle()
    now = story.world.clock.now()
    for _ in range(2):  # the second time it is renewed
        await story.small_mo.generate_contract("DE-PLC-C00000042", PCID, now, now + timedelta(days=30))
    emaid, opened = vehicle.open(await story.ask(vehicle))
    assert emaid == "DEPLCC00000042"
    assert opened.curve.name == "secp256r1"
    assert await story.told("oem") == ["oem.contract.created", "oem.contract.updated"]
    # deleting revokes what our own MO CA has issued
    (listed,) = await story.small_mo.lookup_contract("DEPLCC00000042")
    await story.small_mo.delete_contract("DEPLCC00000042")
    revoked = [one.revoked for one in (await story.world.authorities.find("DEPLCC00000042")).chain[:1]]
    assert revoked != [None]
    assert listed.default_contract
    assert await story.told("oem") == ["oem.contract.deleted"]
    assert response_code(await story.ask(vehicle)) == "FAILED_NoCertificateAvailable"


async def test_the_deprecated_way_of_another_cps(story: Story) -> None:
    vehicle = await story.vehicle()
    data, _ = await story.world.contract("iso2", EMAID, (await story.mo.vehicle(PCID)).certificate)
    signed = await story.mo.sign_contract(data)  # not stored
    assert await story.mo.lookup_contract(EMAID) == ()
    await story.cps.store_contract(EMAID, PCID, signed.xml)
    assert vehicle.open(await story.ask(vehicle))[0] == EMAID
    tampered = signed.xml.replace(b"<n", b"<n", 1).replace(b"DEPLBC00000042<", b"DEPLBC00000043<")
    with pytest.raises(OpcpError) as refused:
        await story.cps.store_contract(OTHER, PCID, tampered)
    assert refused.value.status == 400


async def test_a_new_key_of_the_vehicle_drops_its_contracts(story: Story) -> None:
    await story.vehicle()
    await story.sign()
    await story.told("oem")
    await story.told("mo")
    again = await story.vehicle()
    assert response_code(await story.ask(again)) == "FAILED_NoCertificateAvailable"
    assert await story.told("oem") == ["oem.contract.deleted"]
    assert await story.told("mo") == ["mo.prov.cert.updated", "mo.contract.deleted.sent.to.oem"]
    await story.sign()
    assert again.open(await story.ask(again))[0] == EMAID


async def test_a_deleted_vehicle_takes_its_contracts_along(story: Story) -> None:
    vehicle = await story.vehicle()
    await story.sign()
    now = story.world.clock.now()
    await story.small_mo.generate_contract("DEPLCC00000001", PCID, now, now + timedelta(days=30))
    for who in ("oem", "mo", "small-mo"):
        await story.told(who)
    await story.oem.delete_vehicle(PCID)
    assert response_code(await story.ask(vehicle)) == "FAILED_NoCertificateAvailable"
    assert await story.told("oem") == ["oem.contract.deleted"] * 2
    for who in ("mo", "small-mo"):
        assert await story.told(who) == ["mo.prov.cert.deleted", "mo.contract.deleted.sent.to.oem"]
    assert (await story.world.authorities.find("DEPLCC00000001")).stored.revoked is not None


async def test_default_contract_choice_and_no_promotion(story: Story) -> None:
    vehicle = await story.vehicle()
    await story.sign(EMAID)
    await story.sign(OTHER)
    assert vehicle.open(await story.ask(vehicle))[0] == EMAID
    await story.oem.set_default_contract(PCID, "DE-PLB-C00000043")
    assert vehicle.open(await story.ask(vehicle))[0] == OTHER
    assert [one.emaid for one in await story.oem.contracts_of(PCID.lower())] == [OTHER, EMAID]
    await story.mo.delete_contract(OTHER)
    assert response_code(await story.ask(vehicle)) == "FAILED_NoCertificateAvailable"
    await story.oem.set_default_contract(PCID, EMAID)
    assert vehicle.open(await story.ask(vehicle))[0] == EMAID
    with pytest.raises(OpcpError) as refused:
        await story.oem.set_default_contract(PCID, OTHER)
    assert (refused.value.status, refused.value.messages[0]) == (400, "The contract for the given EMAID not found.")


async def test_the_oem_takes_a_contract_without_a_request(story: Story) -> None:
    vehicle = await story.vehicle()
    await story.sign()
    provided = await story.oem.provide_contract(EMAID, PCID, session_id=b"\x12\x34")
    assert vehicle.open(provided.message, b"\x12\x34")[0] == EMAID
    with pytest.raises(OpcpError) as refused:
        await story.oem.provide_contract(EMAID, PCID, session_id=bytes(9))
    assert refused.value.messages[0].startswith("Invalid SessionID format, make sure the length is maximum 8")


async def test_an_emaid_belongs_to_one_vehicle(story: Story) -> None:
    await story.vehicle()
    await story.vehicle("PLBPROVCERT000043")
    await story.sign()
    with pytest.raises(OpcpError) as refused:
        await story.sign(EMAID, "PLBPROVCERT000043")
    assert refused.value.messages[0] == "Invalid Tupple - EMAID is already used by other PCID."


@pytest.mark.parametrize(("seconds", "code"), [(-1, "OK"), (1, "FAILED_NoCertificateAvailable")])
async def test_a_contract_serves_to_its_last_second(story: Story, seconds: int, code: str) -> None:
    vehicle = await story.vehicle()
    await story.sign(days=10)
    story.world.clock.advance(10 * 86400 + seconds)
    assert response_code(await story.ask(vehicle)) == code
    await story.told("oem")
    await story.told("mo")
    assert (await story.world.services.cleansing.cleanse()).contracts == (seconds > 0)
    assert await story.told("oem") == ["oem.contract.deleted"] * (seconds > 0)


@pytest.mark.parametrize(("seconds", "code"), [(-1, "OK"), (1, "FAILED_CertificateExpired")])
async def test_a_vehicle_is_served_to_its_last_second(story: Story, seconds: int, code: str) -> None:
    end = story.world.clock.now() + timedelta(days=10)
    vehicle = await story.world.vehicle("iso2", PCID, valid_to=end)
    await story.world.publish(story.oem, vehicle)
    await story.sign(days=80)
    story.world.clock.advance(10 * 86400 + seconds)
    assert response_code(await story.ask(vehicle)) == code
    assert (await story.world.services.cleansing.cleanse()).vehicles == (seconds > 0)
    assert await story.mo.has_vehicle(PCID) is (seconds < 0)


async def test_revoked_certificates_get_nothing_and_are_cleansed(story: Story) -> None:
    vehicle = await story.vehicle()
    await story.sign()
    await story.world.authorities.revoke(vehicle.issued.stored.fingerprint, actor="test")
    assert response_code(await story.ask(vehicle)) == "FAILED_CertificateRevoked"
    await story.told("mo")
    assert (await story.world.services.cleansing.cleanse()).vehicles == 1
    assert "mo.prov.cert.deleted" in await story.told("mo")


async def test_a_cps_that_expires_signs_no_more(story: Story) -> None:
    await story.vehicle()
    data, _ = await story.world.contract("iso2", EMAID, (await story.mo.vehicle(PCID)).certificate)
    assert len(await story.mo.signers()) == 1
    story.world.clock.advance(89 * 86400 + 23 * 3600)
    assert len(await story.mo.signers()) == 1
    story.world.clock.advance(2 * 3600)
    assert await story.mo.signers() == []
    with pytest.raises(OpcpError) as refused:
        await story.mo.sign_contract(data)
    assert refused.value.status == 400


async def test_only_a_vehicle_that_signs_and_shares_a_root_is_served(story: Story) -> None:
    vehicle = await story.vehicle()
    await story.sign()
    name, serial = story.world.root_id("iso2")

    async def code(exi: bytes) -> str:
        (answer,) = await story.cpo.request_contract(exi)
        return response_code(answer.message)

    assert await code(vehicle.request([("<Name(C=DE,CN=Plugbench V2G Root CA)>", serial)])) == "OK"
    assert await code(vehicle.request([("CN=Elsewhere", 1), (name, serial)])) == "OK"
    assert await code(vehicle.request([(name, serial + 1)])) == "FAILED_NoCertificateAvailable"
    assert await code(vehicle.request([("CN=V2GRootCA", serial)])) == "FAILED_NoCertificateAvailable"
    stranger = Vehicle(PCID, vehicle.issued, ec.generate_private_key(ec.SECP256R1()), ISO2)
    assert await code(stranger.request([(name, serial)])) == "FAILED_SignatureError"
    with pytest.raises(OpcpError) as refused:
        await story.cpo.request_contract(vehicle.request([(name, serial + 1)]), always_exi=False)
    assert (refused.value.status, refused.value.messages[0]) == (404, "Contract or Vehicle not found.")
    for broken in (b"", b"\x80\x98", vehicle.request([(name, serial)])[:-40]):
        with pytest.raises(OpcpError) as refused:
            await story.cpo.request_contract(broken)
        assert (refused.value.status, refused.value.messages[0]) == (400, "EXI format is invalid!")


async def test_several_cps_roots(story: Story) -> None:
    """One contract, signed once per root; every vehicle gets the variant that it can check."""
    await story.world.add_pki("second", "hubject-qa", "secp256r1")
    vehicle = await story.vehicle()
    data, _ = await story.world.contract("iso2", EMAID, vehicle.issued.stored.certificate)
    signers = await story.mo.signers()
    for signer in signers:
        await story.mo.sign_contract(data, pcid=PCID, cps_root=signer.root)
    assert {one.root for one in await story.mo.lookup_contract(EMAID)} == {one.root for one in signers}
    for realm in ("iso2", "second"):
        (answer,) = await story.cpo.request_contract(vehicle.request([story.world.root_id(realm)]))
        assert vehicle.open(answer.message)[0] == EMAID


async def test_everybody_stays_within_their_own(story: Story) -> None:
    await story.vehicle()
    key = await story.sign()
    assert key
    foreign_oem = await story.world.client("oem-2", Role.OEM, wmis=["XXX"])
    foreign_mo = await story.world.client("mo-2", Role.MO_OWN_PKI, provider_ids=["DEXXX"])

    async def status(work: object) -> int:
        with pytest.raises(OpcpError) as refused:
            await work  # type: ignore[misc]
        return refused.value.status

    assert await status(foreign_mo.delete_contract(EMAID)) == 403
    assert await status(foreign_mo.lookup_contract(EMAID)) == 403
    assert await status(foreign_oem.contracts_of(PCID)) == 403
    assert await status(foreign_oem.provide_contract(EMAID, PCID)) == 403
    assert await status(foreign_oem.set_default_contract(PCID, EMAID)) == 403
    assert await foreign_oem.lookup_contract(EMAID) == ()
    data, _ = await story.world.contract("iso2", "DEPLBC00000099", (await story.mo.vehicle(PCID)).certificate)
    assert await status(foreign_mo.sign_contract(data)) == 403
    assert await status(story.cpo.sign_contract(data)) == 403
    assert await status(story.oem.request_contract(b"")) == 403


async def test_iso15118_20_contracts_are_delivered_and_marked_unconfirmed(story: Story) -> None:
    await story.world.add_pki("iso20", "iso20-strict")
    vehicle = await story.world.vehicle("iso20", PCID, namespace=ISO20)
    await story.world.publish(story.oem, vehicle)
    data, key = await story.world.contract("iso20", EMAID, vehicle.issued.stored.certificate, pcid=PCID)
    await story.mo.sign_contract(data, pcid=PCID, namespace=ISO20)
    now = story.world.clock.now()
    await story.small_mo.generate_contract("DEPLCC00000042", PCID, now, now + timedelta(days=30), namespace=ISO20)
    roots = [story.world.root_id("iso20")]
    answers = await story.cpo.request_contract(vehicle.request(roots, maximum=5), namespace=ISO20)
    assert [answer.emaid for answer in answers] == [EMAID, "DEPLCC00000042"]
    assert all(answer.note.startswith("unconfirmed") for answer in answers)
    opened = [vehicle.open(answer.message) for answer in answers]
    assert opened[0][1].private_numbers() == key.private_numbers()
    wish = vehicle.request(roots, maximum=1, wanted=["DEPLCC00000042"])
    (answer,) = await story.cpo.request_contract(wish, namespace=ISO20)
    assert answer.emaid == "DEPLCC00000042"


async def test_requests_at_once(story: Story) -> None:
    vehicle = await story.vehicle()
    await story.sign()
    answers = await asyncio.gather(*(story.ask(vehicle) for _ in range(20)))
    assert len(set(answers)) == 1


async def test_what_the_mo_ca_cannot_revoke_is_kept(story: Story) -> None:
    vehicle = await story.vehicle()
    now = story.world.clock.now()
    await story.small_mo.generate_contract(SMALL, PCID, now, now + timedelta(days=30))

    async def away(_certificates: Collection[bytes], _actor: str) -> None:
        raise RigError("the CA's token is away")

    revoke, story.world.services.removal._revoke = story.world.services.removal._revoke, away
    for work in (story.small_mo.delete_contract(SMALL), story.oem.delete_vehicle(PCID)):
        with pytest.raises(OpcpError) as refused:
            await work
        assert refused.value.status == 502
    assert vehicle.open(await story.ask(vehicle))[0] == SMALL
    await story.small_mo.delete_contract(SMALL, skip_revocation=True)
    assert (await story.world.authorities.find(SMALL)).stored.revoked is None
    story.world.services.removal._revoke = revoke
    assert response_code(await story.ask(vehicle)) == "FAILED_NoCertificateAvailable"


@pytest.mark.parametrize(
    ("revoked", "unknown", "code"),
    [
        ({PCID}, set(), "FAILED_CertificateRevoked"),
        ({"Plugbench OEM Sub-CA 1"}, set(), "FAILED_CertificateRevoked"),
        (set(), {PCID}, "FAILED_CertChainError"),
        (set(), set(), "OK"),
    ],
)
async def test_the_status_of_a_foreign_vehicle_is_asked_for(
    story: Story, revoked: set[str], unknown: set[str], code: str
) -> None:
    vehicle = await story.vehicle()
    await story.sign()
    story.world.services.contracts._own_revocations = no_own_certificates
    story.world.services.trust.revocation = Revocations(revoked=revoked, unknown=unknown)
    assert response_code(await story.ask(vehicle)) == code


async def test_a_vehicle_with_a_renewed_certificate_for_its_key_is_served(story: Story) -> None:
    vehicle = await story.vehicle()
    await story.sign()
    key = await story.world.authorities.key_of(vehicle.issued.stored)
    renewed = await story.world.authorities.issue(
        Order(realm="iso2", kind="provisioning", common_name=PCID, public_key=key.spki), actor="oem"
    )
    again = Vehicle(PCID, renewed, vehicle.key, ISO2)
    assert again.open(await story.ask(again))[0] == EMAID
    other = await story.world.vehicle("iso2", PCID)  # the same name, another key: nothing is sealed for it
    assert response_code(await story.ask(other)) == "FAILED_NoCertificateAvailable"


async def test_a_contract_has_a_key_of_its_edition(story: Story) -> None:
    await story.vehicle()
    data, _ = await story.world.contract("iso2", EMAID, (await story.mo.vehicle(PCID)).certificate)
    long = ContractData(data.certificate, data.sub_ca_1, data.sub_ca_2, bytes(94), P521_POINT)
    with pytest.raises(OpcpError, match="does not fit the certificate profile"):
        await story.mo.sign_contract(long, namespace=ISO20)


async def test_roots_that_go_take_their_contracts_off_the_menu(story: Story) -> None:
    """A root that is withdrawn removes nothing, but nothing below it is handed out anymore."""
    vehicle = await story.vehicle()
    await story.sign()
    admin = await story.world.client("admin", Role.ADMIN)
    for root_type, code in (("v2g", "FAILED_NoCertificateAvailable"), ("oem", "FAILED_CertChainError")):
        (root,) = await admin.roots(root_type)
        await admin.delete_root(root.root_certificate_id)
        assert response_code(await story.ask(vehicle)) == code
    assert len(await story.cpo.lookup_contract(EMAID)) == 1
