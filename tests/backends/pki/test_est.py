"""Enrolment: every path that clients call, rights, names, curves, renewal by TLS client certificate and by proxy."""

from __future__ import annotations

import base64
import ipaddress
import ssl
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric import ec, ed448
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from starlette.applications import Starlette

from backends.access import Principal, Role
from backends.http_server import serve_asgi
from backends.pki.authorities import CertificateAuthorities, Issued, Order
from backends.pki.build_realm import build_realm
from backends.pki.ca_keys import MemoryKey
from backends.pki.certs_only import read_certs_only
from backends.pki.client_certificate import TrustedProxy
from backends.pki.est import Enrolment
from backends.pki.est_app import end_entity_routes, est_routes
from backends.pki.export import as_pem
from backends.store.schema import AUDIT
from backends.token.service import TokenRefused
from tests.backends.pki.requests import make_request
from tests.doubles import ManualClock
from v2g.certificate_profiles import ISO2_STRICT, ISO20_STRICT
from v2g.certificate_profiles import Role as CertificateRole
from v2g.certificates import check_chain

EC_KEY = ec.generate_private_key(ec.SECP256R1())
EVSEID, PCID, EMAID = "DE*PLB*E00007", "PLBPROVCERT000007", "DEPLBC00000007"
CLIENTS = {
    "cpo": Principal("cpo-1", "", frozenset({Role.CPO}), provider_ids=frozenset({"DEPLB"})),
    "cpo2": Principal("cpo-2", "", frozenset({Role.CPO})),
    "oem": Principal("oem-1", "", frozenset({Role.OEM}), wmis=frozenset({"PLB"})),
    "mo": Principal("mo-1", "", frozenset({Role.MO_V2G_PKI}), provider_ids=frozenset({"DEPLB"})),
    "cps": Principal("cps-1", "", frozenset({Role.CPS})),
}
NAMES = {"cpo": EVSEID, "oem": PCID, "veh": PCID, "mo": EMAID, "cps": "CPS 2026"}
PROXY = TrustedProxy((ipaddress.ip_network("127.0.0.0/8"),))


async def check_token(token: str) -> Principal:
    if token not in CLIENTS:
        raise TokenRefused("no")
    return CLIENTS[token]


@pytest.fixture
async def curves(authorities: CertificateAuthorities, issued: dict[str, Issued]) -> None:
    await build_realm(authorities, "p521", "iso20-strict")
    await build_realm(authorities, "ed448", "iso20-strict", algorithm="ed448")


def app_of(authorities: CertificateAuthorities, proxy: TrustedProxy | None = None) -> Starlette:
    routes = est_routes(Enrolment(authorities), check_token, proxy=proxy)
    return Starlette(routes=[*routes, *end_entity_routes(authorities, check_token)])


@pytest.fixture
async def http(authorities: CertificateAuthorities, issued: dict[str, Issued]) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app_of(authorities))
    async with httpx.AsyncClient(transport=transport, base_url="https://pki.test") as client:
        yield client


def bearer(name: str) -> dict[str, str]:
    return {"authorization": f"Bearer {name}"}


def body(name: str, key: ec.EllipticCurvePrivateKey | ed448.Ed448PrivateKey = EC_KEY, **more: str) -> bytes:
    return base64.b64encode(make_request(key, name, **more))


def certificates(answer: httpx.Response) -> list[object]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/pkcs7-mime; smime-type=certs-only"
    return read_certs_only(base64.b64decode(answer.content))


ENROL_PATHS = [
    "/.well-known/est/{ca}/simpleenroll/ISO15118-2",
    "/.well-known/est/{ca}/simpleenroll",
    "/.well-known/{ca}/simpleenroll",
    "/.well-known/{ca}/simpleenroll/ISO15118-2",
    "/well-known/{ca}/simpleenroll",
    "/{ca}/simpleenroll/ISO15118-2",
]


async def test_every_path_enrols(http: httpx.AsyncClient, issued: dict[str, Issued], clock: ManualClock) -> None:
    for path in ENROL_PATHS:
        answer = await http.post(path.format(ca="cpo"), content=body(EVSEID), headers=bearer("cpo"))
        (leaf,) = certificates(answer)
        check_chain(
            leaf,
            issued["secc"].sub_cas,
            [issued["secc"].root],
            role=CertificateRole.SECC,
            profile=ISO2_STRICT,
            at=clock.now(),
        )
        assert leaf.public_key.dump() == MemoryKey(EC_KEY).spki


@pytest.mark.parametrize("ca", NAMES)
async def test_every_ca_enrols_its_role_and_no_other(
    http: httpx.AsyncClient, authorities: CertificateAuthorities, ca: str
) -> None:
    own = "oem" if ca == "veh" else ca
    for client in CLIENTS:
        answer = await http.post(f"/.well-known/est/{ca}/simpleenroll", content=body(NAMES[ca]), headers=bearer(client))
        expected = 200 if client == own or (own, client) == ("cpo", "cpo2") else 403
        assert answer.status_code == expected, (client, answer.text)
    rows = await authorities.database.read(
        lambda c: c.execute(sa.select(AUDIT).where(AUDIT.c.actor == CLIENTS[own].client_id)).all()
    )
    assert [row.operation for row in rows] == ["pki.issue"]


async def test_pem_and_der_requests(http: httpx.AsyncClient) -> None:
    der = make_request(EC_KEY, EVSEID)
    pem = b"-----BEGIN CERTIFICATE REQUEST-----\n" + base64.encodebytes(der) + b"-----END CERTIFICATE REQUEST-----\n"
    for content in (der, pem):
        certificates(await http.post("/.well-known/cpo/simpleenroll", content=content, headers=bearer("cpo")))


@pytest.mark.usefixtures("curves")
async def test_the_version_decides_the_curve(
    http: httpx.AsyncClient, authorities: CertificateAuthorities, clock: ManualClock
) -> None:
    keys = {"p521": ec.generate_private_key(ec.SECP521R1()), "ed448": ed448.Ed448PrivateKey.generate()}
    for realm, key in keys.items():
        for tail in ("/ISO15118-20", ""):
            answer = await http.post(
                f"/.well-known/est/veh/simpleenroll{tail}", content=body(PCID, key), headers=bearer("oem")
            )
            (leaf,) = certificates(answer)
            above = (await authorities.newest(realm, "vehicle")).chain
            check_chain(
                leaf,
                [one.x509 for one in above[1:-1]],
                [above[-1].x509],
                role=CertificateRole.VEHICLE,
                profile=ISO20_STRICT,
                at=clock.now(),
            )
        answer = await http.post(
            "/.well-known/est/veh/simpleenroll/ISO15118-2", content=body(PCID, key), headers=bearer("oem")
        )
        assert answer.status_code == 400
        assert "allowed for ISO15118-2: secp256r1" in answer.json()["errorMessages"][0]


REFUSED = [
    ("mo", body("not an emaid"), "is no EMAID"),
    ("oem", body("PLB1"), "is no PCID"),
    ("cpo", body("X"), "is no EVSEID or SECCID"),
    ("cpo", body(EVSEID, organisation=""), "no organisation"),
    ("cpo", body(EVSEID, ec.generate_private_key(ec.SECP384R1())), "key is secp384r1"),
    ("cpo", b"garbage", "neither DER, base64 nor PEM"),
    ("cpo", bytes(40_000), "longer than"),
    ("cpo", b"", "0 octets"),
]


async def test_requests_that_are_refused(http: httpx.AsyncClient) -> None:
    for ca, content, complaint in REFUSED:
        answer = await http.post(f"/.well-known/est/{ca}/simpleenroll", content=content, headers=bearer(ca))
        assert answer.status_code == 400
        assert complaint in answer.json()["errorMessages"][0]


async def test_foreign_identifiers_are_forbidden(http: httpx.AsyncClient) -> None:
    for ca, name in (("oem", "XYZPROVCERT000007"), ("veh", "XYZPROVCERT000007"), ("mo", "DEXYZC00000007")):
        who = "oem" if ca == "veh" else ca
        answer = await http.post(f"/.well-known/est/{ca}/simpleenroll", content=body(name), headers=bearer(who))
        assert answer.status_code == 403, ca


async def test_tokens_are_wanted(http: httpx.AsyncClient) -> None:
    for headers in ({}, bearer("nobody"), {"authorization": "Basic eDp5"}):
        for method, path in (
            ("POST", "/.well-known/est/cpo/simpleenroll"),
            ("POST", "/.well-known/est/cpo/simplereenroll"),
            ("GET", "/cpo/cacerts"),
            ("PUT", "/v1/vra/cpo/endEntities"),
        ):
            answer = await http.request(method, path, headers=headers)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == "Bearer"
    assert (await http.get("/.well-known/est/xyz/cacerts", headers=bearer("cpo"))).status_code == 404


CACERTS_PATHS = [
    "/.well-known/est/{ca}/cacerts",
    "/.well-known/{ca}/cacerts",
    "/{ca}/cacerts/ISO15118-2/secp256r1/",
    "/{ca}/cacerts/ISO15118-2/secp256r1",
    "/{ca}/cacerts/ISO15118-2",
    "/.well-known/est/{ca}/cacerts/ISO15118-2",
]


async def test_every_path_gives_the_ca_certificates_root_last(
    http: httpx.AsyncClient, issued: dict[str, Issued]
) -> None:
    for path in CACERTS_PATHS:
        for ca, kind in (("cpo", "secc"), ("mo", "contract"), ("veh", "vehicle")):
            found = certificates(await http.get(path.format(ca=ca), headers=bearer("cpo")))
            assert [one.dump() for one in found] == [one.certificate for one in issued[kind].chain[1:]], path


@pytest.mark.usefixtures("curves")
async def test_ca_certificates_of_other_curves_and_of_all_cas(http: httpx.AsyncClient) -> None:
    for algorithm in ("secp521r1", "ed448"):
        found = certificates(await http.get(f"/cpo/cacerts/ISO15118-20/{algorithm}/", headers=bearer("cpo")))
        key = found[0].public_key
        assert (key.curve[1] if key.algorithm == "ec" else key.algorithm) == algorithm
    everything = certificates(await http.get("/.well-known/est/cacerts", headers=bearer("cpo")))
    assert len(everything) == 11
    for tail in ("ISO15118-3", "ISO15118-2/ed448"):
        assert (await http.get(f"/cpo/cacerts/{tail}", headers=bearer("cpo"))).status_code == 400


async def test_csr_attributes_are_open_and_name_the_curves(http: httpx.AsyncClient) -> None:
    answer = await http.get("/.well-known/est/cpo/csrattrs/ISO15118-2")
    assert answer.headers["content-type"] == "application/csrattrs"
    p256, p521 = bytes.fromhex("06082a8648ce3d030107"), bytes.fromhex("06052b81040023")
    der = base64.b64decode(answer.content)
    assert (p256 in der, p521 in der) == (True, False)
    der = base64.b64decode((await http.get("/.well-known/est/csrattrs")).content)
    assert (p256 in der, p521 in der) == (True, True)


def tls_context(
    tmp_path: Path, one: Issued | None, authorities: CertificateAuthorities, protocol: int, root: bytes = b""
) -> ssl.SSLContext:
    """Trusts the V2G root; shows the certificate."""
    context = ssl.SSLContext(protocol)
    context.check_hostname = False
    context.load_verify_locations(cadata=one.root.dump() if one else root)
    if one:
        file = tmp_path / f"{one.stored.serial}.pem"
        key = authorities.keys.load(one.stored.key_reference).key
        chain = as_pem([one.certificate, *one.sub_cas])
        file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + chain)
        context.load_cert_chain(file)
    return context


async def test_renewal_with_a_tls_client_certificate(
    tmp_path: Path, authorities: CertificateAuthorities, clock: ManualClock
) -> None:
    # OpenSSL judges validity by the machine's clock
    from hil_rigs.real_clock import RealClock

    clock.civil = RealClock().now()
    issued = await build_realm(authorities, "p256", "iso2-strict", names={"secc": EVSEID})
    held = issued["secc"]
    key_of_server = await authorities.issue(Order(realm="p256", kind="secc", common_name="DE*PLB*E1"), actor="t")
    server_context = tls_context(tmp_path, key_of_server, authorities, ssl.PROTOCOL_TLS_SERVER)
    server_context.verify_mode = ssl.CERT_OPTIONAL
    client_context = tls_context(tmp_path, held, authorities, ssl.PROTOCOL_TLS_CLIENT)
    path = "/.well-known/est/cpo/simplereenroll"
    async with await serve_asgi(app_of(authorities), ssl=server_context) as server:
        async with httpx.AsyncClient(base_url=server.url, verify=client_context, trust_env=False) as client:
            (renewed,) = certificates(await client.post(path, content=body(EVSEID)))
            assert renewed.serial_number != held.certificate.serial_number
            assert (await client.post(path, content=body("DE*PLB*E99999"))).status_code == 400
            assert (await client.post("/mo/simplereenroll", content=body(EMAID))).status_code == 401
            assert (await client.get("/cpo/cacerts")).status_code == 200
            clock.civil = held.certificate.not_valid_after
            certificates(await client.post(path, content=body(EVSEID)))
            clock.civil += timedelta(seconds=1)
            assert "not valid now" in (await client.post(path, content=body(EVSEID))).text
            clock.civil = held.certificate.not_valid_before
            await authorities.revoke(held.stored.fingerprint, actor="t")
            assert "is revoked" in (await client.post(path, content=body(EVSEID))).text
        bare = tls_context(tmp_path, None, authorities, ssl.PROTOCOL_TLS_CLIENT, held.root.dump())
        async with httpx.AsyncClient(base_url=server.url, verify=bare, trust_env=False) as nobody:
            assert (await nobody.post(path, content=body(EVSEID))).status_code == 401


async def test_renewal_through_a_trusted_proxy(authorities: CertificateAuthorities, issued: dict[str, Issued]) -> None:
    held = await authorities.issue(Order(realm="p256", kind="secc", common_name=EVSEID), actor="t")
    der = held.certificate.dump()
    escaped = quote(as_pem([held.certificate]).decode(), safe="")
    plain = base64.b64encode(der).decode()
    path = "/cpo/simplereenroll/ISO15118-2"
    for address, forms, status in (
        ("127.0.0.1", (escaped, plain, f":{plain}:"), 200),
        ("192.0.2.1", (escaped, plain), 401),
        ("127.0.0.1", ("%ff", "AAAA", "x" * 30_000), 400),
    ):
        transport = httpx.ASGITransport(app_of(authorities, PROXY), client=(address, 1234))
        async with httpx.AsyncClient(transport=transport, base_url="http://pki.test") as client:
            for form in forms:
                answer = await client.post(path, content=body(EVSEID), headers={"x-ssl-client-cert": form})
                assert answer.status_code == status, (address, form[:20], answer.text)
    foreign = await build_realm(authorities, "bad", "iso2-strict", bad={"secc": "wrong-dc"}, names={"secc": EVSEID})
    transport = httpx.ASGITransport(app_of(authorities, PROXY))
    async with httpx.AsyncClient(transport=transport, base_url="http://pki.test") as client:
        shown = base64.b64encode(foreign["secc"].certificate.dump()).decode()
        answer = await client.post(path, content=body(EVSEID), headers={"x-ssl-client-cert": shown})
        assert answer.status_code == 401


async def test_stations_are_announced(http: httpx.AsyncClient) -> None:
    path = "/v1/vra/cpo/endEntities"
    entity = {
        "commonName": EVSEID,
        "manufacture": "Maker",
        "deviceName": "Box",
        "evseID": [EVSEID],
        "evseISOversion": "ISO15118-2",
    }
    answer = await http.put(path, json=entity, headers=bearer("cpo"))
    assert (answer.status_code, answer.json()) == (200, entity)
    assert (await http.get(path, headers=bearer("cpo"))).json() == [entity]
    assert (await http.get(path, headers=bearer("cpo2"))).json() == []
    for change, who, status in (
        ({"commonName": "DE*XYZ*E1"}, "cpo", 403),
        ({"evseID": ["DE*XYZ*E1"]}, "cpo", 403),
        ({}, "cpo2", 403),
        ({}, "mo", 403),
        ({"commonName": 5}, "cpo", 400),
        ({"commonName": ""}, "cpo", 400),
    ):
        assert (await http.put(path, json={**entity, **change}, headers=bearer(who))).status_code == status
    enrol = "/.well-known/cpo/simpleenroll"
    assert (await http.post(enrol, content=body(EVSEID), headers=bearer("cpo2"))).status_code == 403
    certificates(await http.post(enrol, content=body(EVSEID), headers=bearer("cpo")))


async def test_a_ca_whose_key_is_away_answers_503_without_details(
    http: httpx.AsyncClient, authorities: CertificateAuthorities
) -> None:
    for file in authorities.keys.folder.rglob("cpo-sub2*"):
        file.unlink()
    await authorities.close()
    authorities.keys._opened.clear()
    answer = await http.post("/cpo/simpleenroll", content=body(EVSEID), headers=bearer("cpo"))
    assert answer.status_code == 503
    assert "private_keys" not in answer.text
