from __future__ import annotations

import json
import ssl
from pathlib import Path

import httpx
import pytest

from backends.access import Role
from backends.bring_up import Client, Plan, Running, brought_up
from backends.opcp.app import MODULES
from hil_rigs.real_clock import RealClock
from ports.errors import RigError
from tests.tls import tls_files


def secret(running: Running, client_id: str) -> str:
    return next(one.client_secret for one in running.clients if one.client_id == client_id)


async def token(http: httpx.AsyncClient, running: Running, client_id: str, audience: str = "") -> dict[str, str]:
    body = {"client_id": client_id, "client_secret": secret(running, client_id), "grant_type": "client_credentials"}
    answer = await http.post("/oauth/token", json=body | {"audience": audience or running.audience})
    assert answer.status_code == 200, answer.text
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


async def test_everything_in_one_and_again_in_parts(tmp_path: Path) -> None:
    clock, folder = RealClock(), tmp_path / "data"
    async with brought_up(Plan(folder), clock) as running, httpx.AsyncClient(base_url=running.url) as http:
        assert list(running.modules) == list(MODULES)
        oem = await token(http, running, "oem", audience=running.url)  # many clients ask for the URL that they call
        roots = (await http.get("/v1/root/rootCerts", headers=oem)).json()["RootCertificateCollection"]
        assert sorted(one["rootType"] for one in roots["rootCertificates"]) == ["MO", "MO", "OEM", "OEM", "V2G", "V2G"]
        assert (await http.get("/.well-known/cpo/cacerts", headers=oem)).status_code == 200
        assert (await http.get("/v1/cps/signer/", headers=oem)).status_code == 200
        assert (await http.post("/ocsp", content=b"x")).headers["content-type"] == "application/ocsp-response"
        clients = running.clients
    for path in folder.iterdir():
        assert not path.stat().st_mode & 0o077, path
    assert json.loads((folder / "clients.json").read_text())["clients"][0]["role"] == "ADMIN"
    parts = brought_up(Plan(folder, modules=("rcp",)), clock)
    tokens = brought_up(Plan(folder, modules=("token",)), clock)
    async with parts as rcp, tokens as issuer:
        assert rcp.clients == clients
        async with httpx.AsyncClient(base_url=issuer.url) as http:
            mo = await token(http, issuer, "mo")
            assert (await http.get("/v1/root/rootCerts", headers=mo)).status_code == 404
        async with httpx.AsyncClient(base_url=rcp.url) as http:
            assert len((await http.get("/v1/root/rootCerts", headers=mo)).json()["RootCertificateCollection"]) == 1
            assert (await http.post("/oauth/token", json={})).status_code == 404


async def test_secrets_are_not_shown_by_accident(tmp_path: Path) -> None:
    async with brought_up(Plan(tmp_path / "data", modules=("token",)), RealClock()) as running:
        assert secret(running, "oem") not in repr(running)


async def test_https_with_a_certificate_of_the_client_if_it_likes(tmp_path: Path) -> None:
    certificate, key = tls_files(tmp_path)
    plan = Plan(tmp_path / "data", modules=("token",), certificate=certificate, key=key, client_ca=certificate)
    trust = ssl.create_default_context(cafile=str(certificate))
    async with brought_up(plan, RealClock()) as running, httpx.AsyncClient(verify=trust) as http:
        assert running.url.startswith("https://")
        assert (await http.get(f"{running.url}/.well-known/jwks.json")).status_code == 200
        trust.load_cert_chain(certificate, key)
    async with brought_up(plan, RealClock()) as running, httpx.AsyncClient(verify=trust) as http:
        assert (await http.get(f"{running.url}/.well-known/jwks.json")).status_code == 200


@pytest.mark.parametrize(
    ("plan", "why"),
    [
        ({"modules": ("rcp", "xyz")}, "no module xyz"),
        ({"key": Path("key.pem")}, "needs a server certificate"),
        ({"certificate": Path("/nowhere/cert.pem")}, "TLS files"),
    ],
)
async def test_mistakes_are_named_before_anything_is_made(tmp_path: Path, plan: dict[str, object], why: str) -> None:
    with pytest.raises(RigError, match=why):
        async with brought_up(Plan(tmp_path / "data", **plan), RealClock()):  # type: ignore[arg-type]
            pass
    assert not (tmp_path / "data").exists()


def test_a_client_hides_its_secret() -> None:
    assert "s3cret" not in repr(Client("x", Role.OEM, client_secret="s3cret"))
