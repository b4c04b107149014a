"""Public example bodies of OPCP 1.0.0 against our CPS and CCP, each at a date at which it was valid, and today.

Provenance: hubject/opcp cf4d940, OPCP-1.0.0/reference/ccp.v1.json and cps.v1.json (CC BY-SA 4.0); the trust anchor from
charinev/opnc 419a4be. The vehicle's sub-CAs of the CCP request were never published: its entry in the PCP stands in.
"""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from backend_client.opcp import OpcpError
from backends.access import Role
from backends.pools.certificates import fingerprint_of, key_hash
from backends.pools.contract_data import ContractData, sign_contract_data
from backends.pools.editions import ISO2
from backends.store.schema import PROVISIONING
from tests.backends.ecosystem import SECRET, URL, Ecosystem, ecosystem, response_code
from v2g.certificates import load, public_key
from v2g.contract_key import SealedKey
from v2g.exi.codec import decode
from v2g.signature_suites import signer
from v2g.xmldsig import verify_message

DATA = Path(__file__).parents[3] / "shared" / "data" / "opcp"
ITEMS = DATA / "items"
pytestmark = pytest.mark.skipif(not ITEMS.is_dir(), reason="public OPCP examples (../shared/data/opcp) are not here")

TODAY = datetime(2026, 11, 20, tzinfo=UTC)
PCID, EMAID = "huboemprovcqa0615", "EMP99CQATEST001"
PAST_CONTRACT = "The validUntil date of contract certificate is in the past."


def item(name: str, file: str) -> Any:
    return json.loads((ITEMS / name / file).read_text())


def octets(name: str, file: str) -> bytes:
    return (ITEMS / name / file).read_bytes()


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[Ecosystem]:
    async with ecosystem(f"sqlite:///{tmp_path / 'pools.db'}", tmp_path) as made:
        yield made


async def at(world: Ecosystem, moment: datetime) -> None:
    """The ecosystem at a date: its own PKI, the published trust anchor, all clients; the vehicle where it is valid."""
    world.clock.civil = moment
    await world.add_pki("own", "hubject-qa", "secp256r1")
    admin = await world.client("admin", Role.ADMIN)
    await admin.add_root(octets("trust-anchors", "V2GRootCAQAG1.der"), "V2G")


async def add_vehicle(world: Ecosystem, pcid: str, certificate: bytes) -> None:
    """A row of the PCP, as it was written when the certificate was published."""
    leaf = load(certificate)
    sub = world.pki["own"]["oem-sub2"]
    anchor = fingerprint_of(load(octets("trust-anchors", "V2GRootCAQAG1.der")))
    roots = await world.services.roots.list()
    row = {
        "pcid_key": pcid.upper(),
        "pcid": pcid,
        "certificate": certificate,
        "sub_ca_2": None,
        "sub_ca_1": sub.stored.certificate,
        "namespace": ISO2,
        "root_id": next(root.id for root in roots if root.fingerprint == anchor),
        "v2g_root_key_identifiers": [],
        "previous_pcid": "",
        "public_key_hash": key_hash(leaf),
        "valid_to": int(leaf.not_valid_after.timestamp()),
        "owner": "oem",
        "stored": 0,
    }
    await world.database.write(lambda connection: connection.execute(PROVISIONING.insert().values(row)))


@asynccontextmanager
async def raw_http(world: Ecosystem, client_id: str, role: Role) -> AsyncIterator[httpx.AsyncClient]:
    """Raw HTTP with a token, for bodies that are sent as they were published."""
    await world.client(client_id, role, provider_ids=["EMP99"])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(world.app), base_url=URL) as http:
        asked = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": SECRET, "audience": URL}
        answer = await http.post("/oauth/token", json=asked)
        http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        yield http


async def test_contract_data_of_an_mo_is_signed(world: Ecosystem) -> None:
    await at(world, datetime(2022, 6, 1, tzinfo=UTC))
    body = {"contractData": item("opcp-cps-ContractData", "body.json"), "xsdMsgDefNamespace": ISO2}
    async with raw_http(world, "mo", Role.MO_OWN_PKI) as http:
        answer = await http.put("/v1/cps/contractData/signed", json=body)
        assert answer.status_code == 201, answer.text
        said = answer.json()
        assert said["emaid"] == EMAID
        assert "pcid" not in said
        message_has_four_digests_and_a_signature(base64.b64decode(said["signedData"]))
        world.clock.civil = TODAY
        answer = await http.put("/v1/cps/contractData/signed", json=body)
        assert answer.status_code == 401  # the token is of 2022
    async with raw_http(world, "mo", Role.MO_OWN_PKI) as http:
        answer = await http.put("/v1/cps/contractData/signed", json=body)
        assert answer.status_code == 400


def message_has_four_digests_and_a_signature(xml: bytes) -> None:
    from backends.pools.certificates import read_certificate
    from backends.pools.contract_data import read_signed_contract_data, verify_signed

    data = read_signed_contract_data(xml, ISO2, read_certificate)
    verify_signed(data)
    message: Any = decode("iso2", data.message)
    assert len(message.Header.Signature.SignedInfo.Reference) == 4


async def test_the_deprecated_calls(world: Ecosystem) -> None:
    await at(world, datetime(2022, 6, 1, tzinfo=UTC))
    vehicle = base64.b64decode(item("opcp-pcp-add-huboemprovcqa0615", "request.json")["vehicleCertificate"])
    await add_vehicle(world, PCID, vehicle)
    body = item("opcp-cps-contract-data", "body.json")
    cpo = await world.client("cpo", Role.CPO)
    async with raw_http(world, "mo", Role.MO_OWN_PKI) as http:
        answer = await http.put("/v1/cps/signedContractData", json=body)
        assert (answer.status_code, answer.json()["pcid"]) == (200, PCID)
        assert await cpo.lookup_contract(EMAID) == ()
        answer = await http.put("/v1/cps/forward/signedContractData", json=body)
        assert answer.status_code == 201
        assert [one.emaid for one in await cpo.lookup_contract(EMAID)] == [EMAID]
        published = item("opcp-error-bodies", "errors.json")["PUT /v1/cps/forward/signedContractData 400"]
        chain = "contractSignatureCertChain"
        leaf = "contractSignatureCertChainCertificate"
        for name, spoil in {
            "Invalid PrivateKey": lambda b: b["contractData"].update(contractSignatureEncryptedPrivateKey="a?"),
            "Invalid DH-Public-Key": lambda b: b["contractData"].update(dHpublickey="a?"),
            "Invalid ContractCert": lambda b: b["contractData"][chain].update({leaf: "a?"}),
            "Invalid Contract CA": lambda b: b["contractData"][chain].update(
                contractSignatureCertChainSubCertificates=["YWJj"]
            ),
            "Invalid PCID": lambda b: b.update(pcid="short"),
            "Invalid Emaid": lambda b: b.update(emaid="DE"),
        }.items():
            spoilt = json.loads(json.dumps(body))
            spoil(spoilt)
            answer = await http.put("/v1/cps/forward/signedContractData", json=spoilt)
            assert answer.status_code == 400, name
            assert answer.json()["errorMessages"][0] == published[name]["errorMessages"][0]
    world.clock.civil = TODAY
    async with raw_http(world, "mo", Role.MO_OWN_PKI) as http:
        for path in ("/v1/cps/signedContractData", "/v1/cps/forward/signedContractData"):
            assert (await http.put(path, json=body)).status_code == 400


async def test_generate(world: Ecosystem) -> None:
    await at(world, datetime(2022, 1, 1, tzinfo=UTC))
    body = item("opcp-cps-generate", "body.json")
    published = item("opcp-error-bodies", "errors.json")["PUT /v1/cps/generate/signedContractData 400"]
    path = "/v1/cps/generate/signedContractData"

    async def refused(http: httpx.AsyncClient, name: str, **changes: str) -> None:
        answer = await http.put(path, json=body | changes)
        assert answer.status_code == 400, name
        assert answer.json()["errorMessages"][0] == published[name]["errorMessages"][0]

    async with raw_http(world, "mo", Role.MO_V2G_PKI) as http:
        await refused(http, "PCID not Available")
        await refused(http, "Invalid EMAID", emaid="DE")
        await refused(http, "Invalid PCID", pcid="short")
        vehicle = base64.b64decode(item("opcp-pcp-add-huboemprovcqa0615", "request.json")["vehicleCertificate"])
        await add_vehicle(world, PCID, vehicle)
        answer = await http.put(path, json=body)
        assert (answer.status_code, answer.content) == (201, b"")
        await add_vehicle(world, "huboemprovcqa0616", vehicle)
        await refused(http, "EMAID already used", pcid="huboemprovcqa0616")
    world.clock.civil = TODAY
    async with raw_http(world, "mo", Role.MO_V2G_PKI) as http:
        await refused(http, "Invalid Date")


async def test_signed_data_of_the_hosted_cps_is_stored(world: Ecosystem) -> None:
    await at(world, datetime(2022, 6, 1, tzinfo=UTC))
    xml = octets("opcp-cps-signedData-EMP99CQATEST001", "signedData.xml")
    cps = await world.client("cps", Role.CPS)
    await cps.store_contract(EMAID, PCID, xml)
    oem = await world.client("oem", Role.OEM, wmis=["hub"])
    provided = await oem.provide_contract(EMAID, PCID, session_id=b"\x2a")
    message: Any = decode("iso2", provided.message)
    assert message.Header.SessionID == b"\x2a"
    key = public_key(load(message.Body.BodyElement.SAProvisioningCertificateChain.Certificate))
    assert len(verify_message(message, key).references) == 4  # type: ignore[arg-type]
    with pytest.raises(OpcpError) as refused:
        await cps.store_contract("EMP99CQATEST002", PCID, xml)
    assert refused.value.status == 400
    world.clock.civil = TODAY
    fresh = await world.client("cps", Role.CPS)
    with pytest.raises(OpcpError) as refused:
        await fresh.store_contract(EMAID, PCID, xml)
    assert (refused.value.status, refused.value.messages[0]) == (400, PAST_CONTRACT)


@pytest.mark.parametrize(("moment", "listed"), [(datetime(2022, 6, 1, tzinfo=UTC), True), (TODAY, False)])
async def test_the_published_cps_signer_is_usable_while_it_is_valid(
    world: Ecosystem, moment: datetime, listed: bool
) -> None:
    """Its key is not ours: what counts is whether the service would list and use the certificate."""
    import msgspec

    from backend_client.opcp_messages import Signers
    from backends.pools.provisioning_service import CpsSigner, ProvisioningService

    await at(world, moment)
    (published,) = msgspec.convert(item("opcp-cps-cpsSigner", "body.json"), Signers).cps_certificates
    leaf, *subs = (load(one) for one in published.chain)

    async def sign(_octets: bytes) -> bytes:
        return bytes(64)

    async def find() -> list[CpsSigner]:
        return [CpsSigner(leaf, tuple(subs), sign)]

    services = world.services
    service = ProvisioningService(
        services.database, services.clock, services.trust, services.contracts, find_signers=find
    )
    usable = await service.signers()
    assert bool(usable) is listed
    if listed:
        assert usable[0].root.distinguished_name == published.cps_root_distinguished_name


def cps_below(name: str, serial: int, moment: datetime) -> tuple[bytes, list[bytes], ec.EllipticCurvePrivateKey]:
    """A V2G root with this CN and serial number, and a CPS directly below its only sub-CA."""
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(3)]
    names = [
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, cn), x509.NameAttribute(NameOID.DOMAIN_COMPONENT, dc)])
        for cn, dc in ((name, "V2G"), ("Sub-CA", "CPS"), ("CPS", "CPS"))
    ]
    made = []
    for level in range(3):
        ca = level < 2
        builder = (
            x509.CertificateBuilder()
            .subject_name(names[level])
            .issuer_name(names[max(0, level - 1)])
            .public_key(keys[level].public_key())
            .serial_number(serial)
            .not_valid_before(moment - timedelta(days=1))
            .not_valid_after(moment + timedelta(days=90))
            .add_extension(x509.BasicConstraints(ca, 0 if level == 1 else None), critical=True)
            .add_extension(x509.KeyUsage(not ca, False, False, False, False, ca, ca, False, False), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(keys[level].public_key()), critical=False)
        )
        made.append(builder.sign(keys[max(0, level - 1)], hashes.SHA256()).public_bytes(Encoding.DER))
    return made[0], [made[2], made[1]], keys[2]


async def test_the_published_request_of_a_vehicle(world: Ecosystem) -> None:
    moment = datetime(2021, 6, 1, tzinfo=UTC)
    await at(world, moment)
    name, pcid = "opcp-ccp-req-hubjectopenpnc0001", "hubjectopenpnc0001"
    exi, certificate = octets(name, "message.exi"), octets(name, "oem_leaf.der")
    cpo = await world.client("cpo", Role.CPO)

    async def ask() -> Any:
        (answer,) = await cpo.request_contract(exi)
        message: Any = decode("iso2", answer.message)
        assert message.Header.SessionID.hex().upper() == "69FC09895168C8B2"
        return message

    assert (await ask()).Body.BodyElement.ResponseCode == "FAILED_NoCertificateAvailable"  # unknown to the PCP
    await add_vehicle(world, pcid, certificate)
    data, _ = await world.contract("own", "DEPLBC00000001", certificate)
    mo = await world.client("mo", Role.MO_OWN_PKI, provider_ids=["DEPLB"])
    await mo.sign_contract(data, pcid=pcid)
    # the only root in the list is a test root of RISE V2G: CN=V2GRootCA, serial number 12345
    assert (await ask()).Body.BodyElement.ResponseCode == "FAILED_NoCertificateAvailable"

    root, (leaf, sub), key = cps_below("V2GRootCA", 12345, moment)
    admin = await world.client("admin", Role.ADMIN)
    await admin.add_root(root, "V2G")
    sign = signer(key)

    async def sign_later(octets_: bytes) -> bytes:
        return sign(octets_)

    signed = await sign_contract_data(
        ContractData(
            ISO2,
            load(data.certificate),
            (load(data.sub_ca_2 or b""), load(data.sub_ca_1)),
            SealedKey(data.encrypted_private_key, data.dh_public_key),
        ),
        [load(leaf), load(sub)],
        sign_later,
    )
    cps = await world.client("cps", Role.CPS)
    await cps.store_contract("DEPLBC00000001", pcid, signed.xml)
    message = await ask()
    assert message.Body.BodyElement.ResponseCode == "OK"
    verify_message(message, key.public_key())

    world.clock.civil = TODAY
    cpo = await world.client("cpo", Role.CPO)
    assert response_code((await cpo.request_contract(exi))[0].message) == "FAILED_CertificateExpired"
    with pytest.raises(OpcpError) as refused:
        await cpo.request_contract(exi, always_exi=False)
    assert refused.value.status == 400


async def test_published_error_texts_of_the_contract_pool(world: Ecosystem) -> None:
    await at(world, datetime(2022, 6, 1, tzinfo=UTC))
    published = item("opcp-error-bodies", "errors.json")
    pcid = "hubprovcert000001"
    emaid = "EMP99-CQATEST09"
    async with raw_http(world, "mo", Role.MO_OWN_PKI) as mo:
        delete = "DELETE /v1/ccp/signedContractData/{emaid}"
        answers = {
            (f"{delete} 400", "Invalid EMAID"): await mo.delete("/v1/ccp/signedContractData/DE"),
            (f"{delete} 404", "EMAID not found"): await mo.delete(f"/v1/ccp/signedContractData/{emaid}"),
        }
    await world.client("oem", Role.OEM, wmis=["HUB"])
    async with raw_http(world, "oem", Role.OEM) as oem:
        provide, path = "GET /v1/ccp/provideSignedContractData/{emaid}/{pcid}", "/v1/ccp/provideSignedContractData"
        answers |= {
            (f"{provide} 400", "Invalid PCID"): await oem.get(f"{path}/{emaid}/short"),
            (f"{provide} 400", "Invalid EMAID"): await oem.get(f"{path}/DE/{pcid}"),
            (f"{provide} 400", "Invalid SessionID"): await oem.get(f"{path}/{emaid}/{pcid}?sessionID=xyz"),
            (f"{provide} 404", "Not Found"): await oem.get(f"{path}/{emaid}/{pcid}"),
            ("GET /v1/ccp/lookupContract/{emaid} 400", "Invalid EMAID"): await oem.get("/v1/ccp/lookupContract/DE"),
        }
    for (operation, name), answer in answers.items():
        assert answer.status_code == int(operation[-3:]), operation
        assert answer.json()["errorMessages"][0] == published[operation][name]["errorMessages"][0]
    named = {f"{operation} {name}" for operation, name in answers}
    for operation, bodies in published.items():
        if "/v1/ccp/" in operation and not operation.startswith("POST"):
            for name in bodies:
                assert f"{operation} {name}" in named or "PUT" in operation, (operation, name)
