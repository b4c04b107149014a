"""Published OPCP bodies under the dates at which they hold: root and provisioning pool, tokens, webhooks, errors.

Items and expected results: index.json in ../shared/data/opcp (hubject/opcp cf4d940, CC BY-SA 4.0; trust anchor of
charinev/opnc 419a4be, CC BY-SA 4.0). Shapes are judged by jsonschema-rs against the OpenAPI files.
"""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import jsonschema_rs
import pytest
from asn1crypto.x509 import Certificate  # type: ignore[import-untyped]
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from backends.access import Role
from backends.opcp.app import build_app
from backends.opcp.event_names import event_body
from backends.opcp.services import Services
from backends.pools import deliveries
from backends.pools.editions import ISO2
from backends.pools.events import EventKind, contract_body, emit
from backends.pools.identifiers import emaid_key
from backends.refusals import Refused
from backends.sealing import Sealer
from backends.store.database import Database
from backends.token.clients import register_client
from tests.compliance.opcp_schemas import FOLDER, load_schema
from tests.doubles import ManualClock

if not FOLDER.is_dir():
    pytest.skip("../shared/data/opcp is not there", allow_module_level=True)

ITEMS = FOLDER.parent / "items"
AUDIENCE = "https://eu.plugncharge-qa.hubject.com"  # of the published token
TODAY = datetime(2026, 11, 20, tzinfo=UTC)
ROLES = {"admin": Role.ADMIN, "oem": Role.OEM, "mo": Role.MO_OWN_PKI}
Ask = Callable[..., Any]


def item(name: str, file: str) -> Any:
    return json.loads((ITEMS / name / file).read_text(encoding="utf-8"))


def shape(name: str, *place: str) -> jsonschema_rs.Validator:
    """Validator of one schema of a file."""
    content = load_schema(name)
    part: Any = content
    for key in place:
        part = part[key]
    return jsonschema_rs.validator_for({**part, "components": content["components"]}, validate_formats=True)


@asynccontextmanager
async def pools(url: str, at: datetime) -> AsyncIterator[Ask]:
    """The pools at a frozen date; the trust anchor is there. Yields ask(client, method, path, **httpx)."""
    clock = ManualClock(at)
    database = Database(url, clock)
    for name, role in ROLES.items():
        await database.write(
            lambda c, n=name, r=role: register_client(
                c, client_id=n, secret=n, role=r, at=0, wmis=["HUB"], provider_ids=["EMP99"]
            )  # type: ignore[misc]
        )
    services = Services(database, Sealer(bytes(32)), clock, issuer=AUDIENCE, audience=AUDIENCE)
    transport = httpx.ASGITransport(build_app(("token", "rcp", "pcp", "webhooks"), services))
    async with httpx.AsyncClient(transport=transport, base_url=AUDIENCE) as http:

        async def ask(client: str, method: str, path: str, **more: Any) -> httpx.Response:
            token = await services.tokens.issue(client, client)
            return await http.request(method, path, headers={"Authorization": f"Bearer {token}"}, **more)

        anchor = base64.b64encode((ITEMS / "trust-anchors" / "V2GRootCAQAG1.der").read_bytes()).decode()
        body = {"caCertificate": anchor, "rootType": "V2G"}
        if at >= datetime(2019, 4, 27, tzinfo=UTC):
            assert (await ask("admin", "PUT", "/v1/root/rootCerts", json=body)).status_code == 200
        ask.http, ask.database, ask.clock = http, database, clock  # type: ignore[attr-defined]
        yield ask
    await database.close()


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'pools.db'}"


@pytest.mark.parametrize("at", [datetime(2019, 1, 11, tzinfo=UTC), TODAY, datetime(2059, 1, 9, tzinfo=UTC)])
async def test_root_with_its_derived_fields(url: str, at: datetime) -> None:
    async with pools(url, at) as ask:
        put = await ask("admin", "PUT", "/v1/root/rootCerts", json=item("opcp-rcp-V2GRootCA-G2", "request.json"))
        assert put.status_code == 200
        answer = await ask("mo", "GET", f"/v1/root/rootCerts/{put.json()['rootCertificateId']}")
        everything = await ask("mo", "GET", "/v1/root/rootCerts?rootType=v2g")
    got = answer.json()["RootResponse"]
    expected = {
        "distinguishedName": "CN=V2G Root CA G2, DC=V2G, O=Hubject GmbH, C=DE",
        "commonName": "V2G Root CA G2",
        "rootAuthorityKeyIdentifier": "RbhAnuE4+L8=",
        "rootIssuerSerialNumber": "bbbbbc1ac45ad2dfe5b1d873c35c84",
        "validFrom": "2019-01-10T12:54:26Z",
        "validTo": "2059-01-09T19:00:00Z",
        "organizationName": "Hubject GmbH",
        "rootType": "V2G",
        "fingerprint": "a76ae4c5d00e06a967554511865bfa89e79590e8a61b5a71f9ce22e039d6c370",
        "fingerprintSha1": "d8367e861f5807f8141fea572d676dbf58bb5f7c",
        "xsdMsgDefNamespace": ISO2,
        "signatureAlgorithm": "secp256r1",
    }
    assert got.items() >= expected.items()
    shape("rcp", "components", "schemas", "GetRootCertResponseV1").validate(answer.json())
    shape("rcp", "components", "schemas", "GetAllRootCertsResponseV1").validate(everything.json())


async def test_provisioning_certificate_is_published_echoed_and_fetched(url: str) -> None:
    expected = item("opcp-pcp-add-huboemprovcqa0615", "response200.json")
    del expected["v2gRootAuthorityKeyIdentifier"]  # not in the request: an example of its own
    async with pools(url, datetime(2023, 1, 1, tzinfo=UTC)) as ask:
        body = item("opcp-pcp-add-huboemprovcqa0615", "request.json")
        put = await ask("oem", "PUT", "/v1/oem/provCerts", json=body)
        got = await ask("mo", "GET", "/v1/oem/provCerts/HUBOEMPROVCQA0615")
        named = {"subCa1Certificate": body["subCA1Certificate"], "subCa2Certificate": body["subCA2Certificate"]}
        later = await ask(
            "oem", "PUT", "/v1/oem/provCerts", json={**named, "provisioningCertificate": body["vehicleCertificate"]}
        )
    assert put.status_code == later.status_code == 200
    assert put.json().items() >= expected.items()
    assert got.json() == {"OEMMessage": put.json()}
    shape("pcp", "components", "schemas", "ProvisioningCertificateData").validate(put.json())
    shape("pcp", "components", "schemas", "GetProvisioningCertificateResponse").validate(got.json())


async def test_published_in_time_and_gone_today(url: str) -> None:
    async with pools(url, datetime(2023, 1, 1, tzinfo=UTC)) as ask:
        await ask("oem", "PUT", "/v1/oem/provCerts", json=item("opcp-pcp-add-huboemprovcqa0615", "request.json"))
        ask.clock.civil = TODAY
        got = await ask("mo", "GET", "/v1/oem/provCerts/huboemprovcqa0615")
    assert got.status_code == 404
    assert got.json()["errorMessages"] == ["The OEM provisioning certificate with given PCID is not found."]


async def test_expired_provisioning_certificate(url: str) -> None:
    async with pools(url, TODAY) as ask:
        body = item("opcp-pcp-add-huboemprovcqa0615", "request.json")
        put = await ask("oem", "PUT", "/v1/oem/provCerts", json=body)
    assert put.status_code == 400
    assert put.json()["errorMessages"][0] == "The chain of vehicleCertificate has expired."
    assert "huboemprovcqa0615" in put.json()["errorMessages"][1]
    shape("pcp", "components", "schemas", "Error").validate(put.json())


@pytest.mark.parametrize("at", [datetime(2022, 1, 1, tzinfo=UTC), datetime(2024, 5, 27, 16, tzinfo=UTC)])
async def test_chain_of_an_unpublished_root(url: str, at: datetime) -> None:
    shown = item("opcp-pcp-get-hubUsEaTest000003", "response200.json")["OEMMessage"]
    async with pools(url, at) as ask:
        names = ("subCA1Certificate", "subCA2Certificate", "vehicleCertificate")
        put = await ask("oem", "PUT", "/v1/oem/provCerts", json={name: shown[name] for name in names})
    assert put.status_code == 400
    assert put.json()["errorMessages"][0] == (
        "The chain of vehicleCertificate does not end in a root certificate of the pool."
    )
    shape("pcp", "components", "schemas", "ProvisioningCertificateData").validate(shown)


SHOWN = "opcp-pcp-get-hubUsEaTest000003"
MISSING_ROOT = 0x413DE92D304EA90AF4C9710392B437CF


def stand_in_root(key: ec.EllipticCurvePrivateKey) -> bytes:
    """For "US V2G Root CA TEST G2", which is not published: its name, serial number and key identifier, our key."""
    below = x509.load_der_x509_certificate((ITEMS / SHOWN / "subCA1Certificate_0.der").read_bytes())
    identifier = below.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    assert identifier is not None
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    made = (
        x509.CertificateBuilder()
        .subject_name(below.issuer)
        .issuer_name(below.issuer)
        .public_key(key.public_key())
        .serial_number(MISSING_ROOT)
        .not_valid_before(datetime(2019, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2059, 1, 1, tzinfo=UTC))
        .add_extension(x509.BasicConstraints(True, None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier(identifier), critical=False)
    )
    return made.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


def signed_again(certificate: bytes, key: ec.EllipticCurvePrivateKey) -> bytes:
    """The same content under a signature of another key."""
    parsed = Certificate.load(certificate)
    parsed["signature_value"] = key.sign(parsed["tbs_certificate"].dump(), ec.ECDSA(hashes.SHA256()))
    return bytes(parsed.dump(force=True))


def text(octets: bytes) -> str:
    return base64.b64encode(octets).decode()


async def test_the_answer_that_a_stand_in_for_the_missing_root_makes_reachable(url: str) -> None:
    """Frozen at 2022-01-01. With the published sub-CA 1 only the signature of the missing root is wrong.

    When sub-CA 1 is signed by the stand-in, the answer is the published one: vehicle and sub-CA 2 byte for byte.
    """
    shown = item(SHOWN, "response200.json")["OEMMessage"]
    body = {name: shown[name] for name in ("subCA1Certificate", "subCA2Certificate", "vehicleCertificate")}
    key = ec.generate_private_key(ec.SECP256R1())
    sub_ca_1 = base64.b64decode(body["subCA1Certificate"])
    async with pools(url, datetime(2022, 1, 1, tzinfo=UTC)) as ask:
        root = {"caCertificate": text(stand_in_root(key)), "rootType": "V2G"}
        assert (await ask("admin", "PUT", "/v1/root/rootCerts", json=root)).status_code == 200
        refused = await ask("oem", "PUT", "/v1/oem/provCerts", json=body)
        taken = body | {"subCA1Certificate": text(signed_again(sub_ca_1, key))}
        put = await ask("oem", "PUT", "/v1/oem/provCerts", json=taken)
        got = await ask("mo", "GET", "/v1/oem/provCerts/hubUsEaTest000003")
        ask.clock.civil = datetime(2024, 5, 27, 16, 28, 37, tzinfo=UTC)
        to_the_last_second = await ask("mo", "GET", "/v1/oem/provCerts/hubUsEaTest000003")
        ask.clock.civil = TODAY
        gone = await ask("mo", "GET", "/v1/oem/provCerts/hubUsEaTest000003")
    assert refused.status_code == 400
    assert "does not end in a root certificate of the pool" in refused.json()["errorMessages"][0]
    assert "signature" in refused.json()["errorMessages"][1]
    assert put.status_code == got.status_code == to_the_last_second.status_code == 200
    answer = got.json()["OEMMessage"]
    for name in ("vehicleCertificate", "subCA2Certificate", "rootIssuerDistinguishedName", "rootIssuerSerialNumber"):
        assert answer[name] == shown[name], name
    content = Certificate.load(base64.b64decode(answer["subCA1Certificate"]))["tbs_certificate"].dump()
    assert content == Certificate.load(sub_ca_1)["tbs_certificate"].dump()
    key_identifier = "rootAuthorityKeyIdentifier"
    assert answer[key_identifier].upper() == shown[key_identifier]  # both cases of hex are in the examples
    shape("pcp", "components", "schemas", "GetProvisioningCertificateResponse").validate(got.json())
    assert gone.status_code == 404
    assert gone.json()["errorMessages"] == ["The OEM provisioning certificate with given PCID is not found."]


async def test_token_layout_and_a_foreign_token(url: str) -> None:
    body = item("opcp-token", "request.json")["QA EU Token"]["value"]
    published = item("opcp-token", "response.json")["Token Response"]["value"]
    async with pools(url, TODAY) as ask:
        for form in ("json", "data"):
            own = {**body, "client_id": "oem", "client_secret": "oem"}
            answer = await ask.http.post("/oauth/token", **{form: own})
            assert answer.json().keys() == published.keys()
            assert {name: answer.json()[name] for name in ("scope", "expires_in", "token_type")} == {
                name: published[name] for name in ("scope", "expires_in", "token_type")
            }
            claims, theirs = (
                json.loads(base64.urlsafe_b64decode(one["access_token"].split(".")[1] + "=="))
                for one in (answer.json(), published)
            )
            assert {name: type(one) for name, one in claims.items()} == {n: type(one) for n, one in theirs.items()}
            assert claims[f"{AUDIENCE}/role"] == ["OEM"]
        refused = await ask.http.post("/oauth/token", json=body)
        assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")
        headers = {"Authorization": f"Bearer {published['access_token']}"}
        assert (await ask.http.get("/v1/root/rootCerts", headers=headers)).status_code == 401


async def test_webhook_endpoints_under_both_names_of_the_events(url: str) -> None:
    bodies = item("opcp-webhooks", "endpoints.json")
    published = bodies["post"]["create-webhook-example"]["value"]
    other = {"url": published["url"], "events": published["enabledEvents"]}
    async with pools(url, TODAY) as ask:
        for body in (published, other):
            answer = await ask("oem", "POST", "/v1/webhook/endpoints", json=body)
            assert answer.status_code == 201
            assert answer.json()["enabledEvents"] == answer.json()["events"] == published["enabledEvents"]
            assert answer.json().keys() >= bodies["201"]["endpoint-created"]["value"].keys()
            shape("webhooks", "components", "schemas", "EndpointResponse").validate(answer.json())


def payloads(path: str) -> list[Any]:
    return [one["value"] for one in item("opcp-webhooks", "payloads.json")[path].values()]


def payload_shape(path: str) -> jsonschema_rs.Validator:
    content = load_schema("webhook.payload")
    schema = content["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
    # the pattern of contractCert is a sentence
    schema["properties"]["payload"]["properties"].get("contractCert", {}).pop("pattern", None)
    return jsonschema_rs.validator_for(schema, validate_formats=True)


async def test_events_have_the_published_shape(url: str) -> None:
    roots, contracts = "/customer.defined.root.event.webhook.path", "/customer.defined.pcid.emaid.event.webhook.path"
    async with pools(url, TODAY) as ask:
        await ask(
            "oem", "POST", "/v1/webhook/endpoints", json={"url": "https://x.example/", "events": ["root.cert.added"]}
        )
        await ask(
            "mo",
            "POST",
            "/v1/webhook/endpoints",
            json={"url": "https://x.example/", "events": ["mo.contract.created.sent.to.oem"]},
        )
        await ask("admin", "PUT", "/v1/root/rootCerts", json=item("opcp-rcp-V2GRootCA-G2", "request.json"))
        at = int(TODAY.timestamp())
        body = contract_body(
            emaid="EMP99CQATEST001",
            pcid="huboemprovcqa0615",
            certificate=b"0\x82",
            cps_root_fingerprint="a76a",
            cps_root_name="V2G Root CA G2",
            curve="secp256r1",
        )
        await ask.database.write(
            lambda c: emit(
                c, EventKind.CONTRACT_CREATED_SENT, at=at, namespace=ISO2, body=body, emaid="EMP99CQATEST001"
            )
        )
        root, contract = (
            json.loads(event_body(one)) for one in await ask.database.write(lambda c: deliveries.take(c, at, 10))
        )
    for got, path in ((root, roots), (contract, contracts)):
        payload_shape(path).validate(got)
        for published in payloads(path):
            assert got.keys() == published.keys()
            assert got["payload"].keys() == published["payload"].keys()
            assert got["eventType"] == published["eventType"]
    published_root = payloads(roots)[0]["payload"]
    assert {**root["payload"], "rootCertificateId": ""} == {**published_root, "rootCertificateId": ""}


def test_the_emaid_of_the_payload_examples_is_a_mistake() -> None:
    for published in payloads("/customer.defined.pcid.emaid.event.webhook.path"):
        with pytest.raises(Refused):
            emaid_key(published["payload"]["emaid"])


LEAF, SUB_1, SUB_2 = "vehicleCertificate", "subCA1Certificate", "subCA2Certificate"
PUT_ERRORS = {
    "INVALID PCID": {LEAF: ITEMS / "trust-anchors" / "V2GRootCAQAG1.der"},
    "INVALID POVISIONING CERTIFICATE": {LEAF: "AAAA"},
    "INVALID SUB CA 2 CERTIFICATE": {SUB_2: "not base64"},
    "INVALID SUB CA 1 CERTIFICATE": {SUB_1: "AAAA"},
}
GET_ERRORS = {
    "GET /v1/root/rootCerts/{rootCertificateId} 404": "/v1/root/rootCerts/c52fe6ad-1e39-4f6e-a0d0-e2d51aacf09f",
    "GET /v1/oem/provCerts/{pcid} 400": "/v1/oem/provCerts/short",
    "GET /v1/oem/provCerts/{pcid} 404": "/v1/oem/provCerts/hubUsEaTest000003",
    "GET /v1/oem/provCerts/lookupVehicle/{pcid} 400": "/v1/oem/provCerts/lookupVehicle/hub-UsEaTest00003",
    "GET /v1/oem/provCerts/lookupVehicle/{pcid} 404": "/v1/oem/provCerts/lookupVehicle/hubUsEaTest000003",
}
OURS = ("/v1/root/", "/v1/oem/")


async def test_published_error_texts_byte_by_byte(url: str) -> None:
    published = item("opcp-error-bodies", "errors.json")
    mine = {key: value for key, value in published.items() if key.split()[1].startswith(OURS)}
    assert mine.keys() == GET_ERRORS.keys() | {"PUT /v1/oem/provCerts 400"}
    assert mine["PUT /v1/oem/provCerts 400"].keys() == PUT_ERRORS.keys()
    right = item("opcp-pcp-add-huboemprovcqa0615", "request.json")
    async with pools(url, TODAY) as ask:
        for key, path in GET_ERRORS.items():
            answer = await ask("oem", "GET", path)
            (expected,) = mine[key].values()
            assert (answer.status_code, answer.json()["errorMessages"][0]) == (
                int(key.split()[-1]),
                expected["errorMessages"][0],
            )
            assert answer.json()["traceId"] != expected["traceId"]
        for name, change in PUT_ERRORS.items():
            text = {
                field: base64.b64encode(value.read_bytes()).decode() if isinstance(value, Path) else value
                for field, value in change.items()
            }
            answer = await ask("oem", "PUT", "/v1/oem/provCerts", json=right | text)
            expected = mine["PUT /v1/oem/provCerts 400"][name]
            assert (answer.status_code, answer.json()["errorMessages"][0]) == (400, expected["errorMessages"][0])
            shape("pcp", "components", "schemas", "Error").validate(answer.json())
