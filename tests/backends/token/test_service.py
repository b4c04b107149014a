from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet, OctKey
from starlette.applications import Starlette

from backends.access import Role
from backends.sealing import Sealer
from backends.store.database import Database
from backends.token.app import token_routes
from backends.token.clients import register_client
from backends.token.keys import SIGN_FOR_S
from backends.token.service import TOKEN_LIFE_S, TokenRefused, TokenService
from tests.doubles import ManualClock

AUDIENCE = "https://pools.test"
BODY = {"client_id": "mo-1", "client_secret": "s3cret", "audience": AUDIENCE, "grant_type": "client_credentials"}


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def database(tmp_path: Path, clock: ManualClock) -> AsyncIterator[Database]:
    opened = Database(f"sqlite:///{tmp_path / 'store.db'}", clock)
    await opened.write(
        lambda connection: register_client(
            connection,
            client_id="mo-1",
            secret="s3cret",
            role=Role.MO_OWN_PKI,
            at=0,
            wmis=["hub"],
            provider_ids=["emp-99"],
        )
    )
    yield opened
    await opened.close()


@pytest.fixture
def service(database: Database, clock: ManualClock) -> TokenService:
    return TokenService(database, Sealer(bytes(32)), clock, "https://auth.test/", AUDIENCE)


@pytest.fixture
async def client(service: TokenService) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(Starlette(routes=token_routes(service)))
    async with httpx.AsyncClient(transport=transport, base_url=AUDIENCE) as opened:
        yield opened


@pytest.mark.parametrize("form", ["json", "data"])
async def test_json_and_form_both_get_a_token(client: httpx.AsyncClient, service: TokenService, form: str) -> None:
    answer = await client.post("/oauth/token", **{form: BODY})  # type: ignore[arg-type]
    assert answer.status_code == 200
    assert answer.json()["expires_in"] == 86400
    principal = await service.check(answer.json()["access_token"])
    assert principal.roles == {Role.MO_OWN_PKI}
    assert (principal.wmis, principal.provider_ids) == ({"HUB"}, {"EMP99"})


@pytest.mark.parametrize(
    ("change", "status", "error"),
    [
        ({"client_secret": "wrong"}, 401, "invalid_client"),
        ({"client_id": "nobody"}, 401, "invalid_client"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"audience": "https://other.test"}, 400, "invalid_request"),
    ],
)
async def test_wrong_requests_are_refused(
    client: httpx.AsyncClient, change: dict[str, str], status: int, error: str
) -> None:
    answer = await client.post("/oauth/token", json=BODY | change)
    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert "s3cret" not in answer.text


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b'{"client_id": 5}', b"x" * 20000])
@pytest.mark.parametrize("media", ["application/json", "application/x-www-form-urlencoded", "text/plain"])
async def test_hostile_bodies_are_a_bad_request(client: httpx.AsyncClient, body: bytes, media: str) -> None:
    answer = await client.post("/oauth/token", content=body, headers={"content-type": media})
    assert answer.status_code == 400


async def test_the_token_verifies_with_the_published_keys_and_has_the_claims(
    client: httpx.AsyncClient, service: TokenService
) -> None:
    token = await service.issue("mo-1", "s3cret")
    assert token is not None
    keys = KeySet.import_key_set((await client.get("/.well-known/jwks.json")).json())
    decoded = jwt.decode(token, keys, algorithms=["RS256"])
    assert decoded.header["alg"] == "RS256"
    assert decoded.claims[f"{AUDIENCE}/role"] == ["MO_EXTERNAL_PKI"]
    assert decoded.claims["sub"] == "mo-1@clients"
    assert "d" not in (await client.get("/.well-known/jwks.json")).json()["keys"][0]


@pytest.mark.parametrize(("offset", "holds"), [(-1, True), (0, False), (1, False)])
async def test_a_token_holds_until_its_last_second(
    service: TokenService, clock: ManualClock, offset: int, holds: bool
) -> None:
    token = await service.issue("mo-1", "s3cret")
    assert token is not None
    await service.check(token)
    clock.advance(TOKEN_LIFE_S + offset)
    if holds:
        await service.check(token)
    else:
        with pytest.raises(TokenRefused, match="expired"):
            await service.check(token)


async def test_rotation_keeps_old_tokens_and_signs_with_a_new_key(service: TokenService) -> None:
    old = await service.issue("mo-1", "s3cret")
    await service.rotate()
    new = await service.issue("mo-1", "s3cret")
    assert old is not None
    assert new is not None
    await service.check(old)
    await service.check(new)
    assert len((await service.jwks())["keys"]) == 2


async def test_keys_rotate_by_themselves_and_vanish_with_their_last_token(
    service: TokenService, clock: ManualClock
) -> None:
    await service.issue("mo-1", "s3cret")
    clock.advance(SIGN_FOR_S)
    await service.issue("mo-1", "s3cret")
    assert len((await service.jwks())["keys"]) == 2
    clock.advance(SIGN_FOR_S)
    await service.issue("mo-1", "s3cret")
    assert len((await service.jwks())["keys"]) == 2


async def test_another_server_on_the_same_store_knows_a_rotated_key(
    service: TokenService, database: Database, clock: ManualClock
) -> None:
    other = TokenService(database, Sealer(bytes(32)), clock, service.issuer, AUDIENCE)
    await other.issue("mo-1", "s3cret")
    await service.rotate()
    token = await service.issue("mo-1", "s3cret")
    assert token is not None
    assert (await other.check(token)).client_id == "mo-1"


async def test_forged_tokens_are_refused(service: TokenService) -> None:
    token = await service.issue("mo-1", "s3cret")
    assert token is not None
    head, body, signature = token.split(".")
    by_secret = jwt.encode({"alg": "HS256"}, {"aud": AUDIENCE}, OctKey.import_key("x" * 32))
    for forged in (
        f"{head}.{body}.{signature[:-8]}AAAAAAAA",
        f"{head}.{body}.",
        by_secret,
        "",
        "a.b.c",
        "x" * 9000,
        f"eyJhbGciOiJub25lIn0.{body}.",
    ):
        with pytest.raises(TokenRefused):
            await service.check(forged)


async def test_a_token_of_another_audience_is_refused(
    service: TokenService, database: Database, clock: ManualClock
) -> None:
    other = TokenService(database, Sealer(bytes(32)), clock, service.issuer, "https://other.test")
    token = await other.issue("mo-1", "s3cret")
    assert token is not None
    with pytest.raises(TokenRefused, match="somebody else"):
        await service.check(token)
