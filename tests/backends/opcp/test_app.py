"""RCP, PCP and webhooks over HTTP: order of checks, bodies, who may what."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest

from backends.access import Role
from backends.opcp.app import MODULES, build_app
from backends.opcp.services import Services
from backends.sealing import Sealer
from backends.store.database import Database
from backends.token.clients import register_client
from ports.errors import RigError
from tests.backends.chains import Tree, tree, vehicle
from tests.backends.pool_doubles import Outside
from tests.doubles import ManualClock
from tests.postgres import as_it_is

AUDIENCE = "https://pools.test"
PCID = "WMIprov0000000001"
PROV, ROOTS, HOOKS = "/v1/oem/provCerts", "/v1/root/rootCerts", "/v1/webhook/endpoints"
Ask = Callable[..., Awaitable[httpx.Response]]


@pytest.fixture
async def services(sqlite_url: str) -> AsyncIterator[Services]:
    database = Database(sqlite_url, ManualClock(), prepare=as_it_is)
    for role in Role:
        await database.write(
            lambda c, r=role: register_client(  # type: ignore[misc]
                c, client_id=r.name, secret="s", role=r, at=0, wmis=["WMI"], provider_ids=["DE8AA"]
            )
        )
    made = Services(database, Sealer(bytes(32)), ManualClock(), issuer=AUDIENCE, audience=AUDIENCE, send=Outside())
    yield made
    await made.http.close()
    await made.signing.close()
    await database.close()


@pytest.fixture
async def ask(services: Services) -> AsyncIterator[Ask]:
    app = build_app(("token", "rcp", "pcp", "webhooks"), services)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=AUDIENCE) as http:

        async def asked(role: Role, method: str, path: str, **more: Any) -> httpx.Response:
            token = await services.tokens.issue(role.name, "s")
            headers = {"Authorization": f"Bearer {token}", **more.pop("headers", {})}
            return await http.request(method, path, headers=headers, **more)

        yield asked


def text(octets: bytes) -> str:
    return base64.b64encode(octets).decode()


def body(oem: Tree, leaf: bytes, **more: object) -> dict[str, object]:
    return {
        "vehicleCertificate": text(leaf),
        "subCA1Certificate": text(oem.sub_1.der),
        "subCA2Certificate": text(oem.sub_2.der),
        **more,
    }


@pytest.fixture
async def oem(ask: Ask) -> Tree:
    made = tree()
    put = await ask(Role.ADMIN, "PUT", ROOTS, json={"caCertificate": text(made.root.der), "rootType": "OEM"})
    assert put.status_code == 200
    return made


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", ROOTS, set(Role)),
        ("PUT", ROOTS, {Role.ADMIN}),
        ("DELETE", f"{ROOTS}/x", {Role.ADMIN}),
        ("PUT", PROV, {Role.OEM}),
        ("GET", f"{PROV}/{PCID}", {Role.OEM, Role.MO_OWN_PKI, Role.MO_V2G_PKI, Role.CPS}),
        ("GET", f"{PROV}/lookupVehicle/{PCID}", {Role.OEM, Role.MO_OWN_PKI, Role.MO_V2G_PKI}),
        ("DELETE", f"{PROV}/{PCID}", {Role.OEM}),
        ("GET", HOOKS, set(Role)),
    ],
)
async def test_who_may_what(ask: Ask, method: str, path: str, allowed: set[Role]) -> None:
    for role in Role:
        answer = await ask(role, method, path)
        assert (answer.status_code == 403) == (role not in allowed), (role, answer.text)


async def test_the_fields_of_a_vehicle(ask: Ask, oem: Tree) -> None:
    more = {"v2gRootAuthorityKeyIdentifiers": ["45:B8:40"], "previousPcid": "WMIprov0000000000", "unknown": {"x": 1}}
    put = await ask(Role.OEM, "PUT", PROV, json=body(oem, vehicle(oem, PCID), **more))
    assert put.status_code == 200
    assert put.json()["v2gRootAuthorityKeyIdentifiers"] == ["45:b8:40"]
    assert put.json()["previousPcid"] == "WMIprov0000000000"
    for spelling in (PCID, PCID.upper(), PCID.lower()):
        got = await ask(Role.MO_OWN_PKI, "GET", f"{PROV}/{spelling}", headers={"broadcast": "true"})
        assert got.json()["OEMMessage"] == put.json()
        assert (await ask(Role.MO_OWN_PKI, "HEAD", f"{PROV}/lookupVehicle/{spelling}")).status_code == 200
    assert (await ask(Role.OEM, "DELETE", f"{PROV}/{PCID}")).content == b""
    assert (await ask(Role.OEM, "DELETE", f"{PROV}/{PCID}")).status_code == 404


@pytest.mark.parametrize(
    ("change", "status", "message"),
    [
        ({"subCA1Certificate": None}, 400, "the body does not fit"),
        ({"vehicleCertificate": 1}, 400, "the body does not fit"),
        ({"xsdMsgDefNamespace": "urn:x"}, 400, "xsdMsgDefNamespace : unknown value"),
        ({"previousPcid": "x"}, 400, "pcid : must match"),
        ({"previousPcid": ""}, 400, "pcid : must match"),
        ({"v2gRootAuthorityKeyIdentifiers": []}, 400, "the body does not fit"),
        ({"v2gRootAuthorityKeyIdentifiers": ["aa", "aa"]}, 400, "v2gRootAuthorityKeyIdentifiers"),
        ({"v2gRootAuthorityKeyIdentifiers": ["x"]}, 400, "v2gRootAuthorityKeyIdentifiers"),
        ({"subCA2Certificate": ""}, 400, "Invalid certificate format on subCa2Certificate"),
    ],
)
async def test_fields_that_do_not_fit(
    ask: Ask, oem: Tree, change: dict[str, object], status: int, message: str
) -> None:
    answer = await ask(Role.OEM, "PUT", PROV, json=body(oem, vehicle(oem, PCID)) | change)
    assert answer.status_code == status
    assert answer.json()["errorMessages"][0].startswith(message)


async def test_form_of_the_id_comes_before_its_ownership(ask: Ask, oem: Tree) -> None:
    for path, status in (("short", 400), ("WVWprov0000000001", 403), (PCID, 404)):
        assert (await ask(Role.OEM, "DELETE", f"{PROV}/{path}")).status_code == status
    foreign = await ask(Role.OEM, "PUT", PROV, json=body(oem, vehicle(oem, "WVWprov0000000001")))
    assert foreign.status_code == 403
    assert "WVW" in foreign.json()["errorMessages"][0]


async def test_an_endpoint_from_beginning_to_end(ask: Ask) -> None:
    made = await ask(Role.OEM, "POST", HOOKS, json={"url": "https://x.example/", "events": ["oem.contract.created"]})
    assert made.status_code == 201
    path = f"{HOOKS}/{made.json()['id']}"
    assert (await ask(Role.OEM, "GET", HOOKS)).json() == [made.json()]
    assert (await ask(Role.CPO, "GET", HOOKS)).json() == []
    assert (await ask(Role.CPO, "GET", path)).status_code == 404
    factory = "mo.prov.cert.updated.factory.reset"
    changed = await ask(Role.OEM, "PUT", path, json={"url": "https://y.example/", "enabledEvents": [factory]})
    assert changed.json()["enabledEvents"] == ["mo.prov.cert.factory.reset"]
    assert changed.json()["secret"] == made.json()["secret"]
    assert (await ask(Role.OEM, "DELETE", path)).status_code == 200
    assert (await ask(Role.OEM, "GET", path)).status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"url": "https://x.example/"},
        {"url": "https://x.example/", "events": ["nothing.happened"]},
        {"url": "https://10.0.0.1/", "events": ["root.cert.added"]},
        {"url": "https://x.example/", "events": ["root.cert.added"], "status": "maybe"},
        {"url": "https://x.example/", "events": ["root.cert.added"], "apiVersion": "v2"},
        {"url": "https://x.example/", "events": ["root.cert.added"], "metadata": []},
    ],
)
async def test_endpoints_that_do_not_fit(ask: Ask, body: dict[str, object]) -> None:
    assert (await ask(Role.OEM, "POST", HOOKS, json=body)).status_code == 400


async def test_no_such_path_and_no_such_method(ask: Ask) -> None:
    assert (await ask(Role.OEM, "GET", "/v1/nothing")).json()["errorMessages"] == ["Not found."]
    wrong = await ask(Role.OEM, "PATCH", f"{PROV}/{PCID}")
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "DELETE, GET, HEAD")
    assert (await ask(Role.OEM, "GET", f"{ROOTS}/%00")).status_code == 404


async def test_modules_stand_alone(services: Services) -> None:
    for module in MODULES.keys() - {"est", "ocsp"}:
        paths = {route.path for route in build_app([module], services).routes}  # type: ignore[attr-defined]
        assert paths
    with pytest.raises(RigError, match="no module xyz"):
        build_app(["xyz"], services)
    with pytest.raises(RigError, match="certificate authorities"):
        build_app(["est"], services)
