from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from backends.api.limits import REMEMBERED, Limits, LimitsMiddleware
from tests.doubles import ManualClock


async def echo(request: Request) -> Response:
    return Response(await request.body())


def limited(limits: Limits, clock: ManualClock) -> Starlette:
    routes = [Route("/{path:path}", echo, methods=["GET", "POST"])]
    return Starlette(routes=routes, middleware=[Middleware(LimitsMiddleware, limits=limits, clock=clock)])


def client(app: ASGIApp, address: str = "192.0.2.1") -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app, client=(address, 1)), base_url="http://pools")


async def test_a_body_is_taken_up_to_its_limit_announced_or_not() -> None:
    app = limited(Limits(body=100), ManualClock())

    async def chunks(size: int) -> AsyncIterator[bytes]:
        for _ in range(size):
            yield b"x"

    async with client(app) as http:
        assert (await http.post("/", content=b"x" * 100)).content == b"x" * 100
        assert (await http.post("/", content=chunks(100))).content == b"x" * 100
        for content in (b"x" * 101, chunks(101)):
            answer = await http.post("/", content=content)
            assert answer.status_code == 413
            assert answer.json()["errorMessages"] == ["The request is longer than 100 octets."]
        assert (await http.post("/", content=b"", headers={"content-length": "-1"})).status_code == 413


async def test_requests_beyond_the_rate_are_told_when_to_come_back() -> None:
    clock = ManualClock()
    app = limited(Limits(per_second=0.5, burst=2), clock)
    async with client(app) as http, client(app, "192.0.2.2") as other:
        assert [(await http.get("/")).status_code for _ in range(3)] == [200, 200, 429]
        assert (await http.get("/")).headers["retry-after"] == "3"
        assert (await other.get("/")).status_code == 200
        clock.advance(2)
        assert [(await http.get("/")).status_code for _ in range(2)] == [200, 429]


async def test_a_client_is_counted_wherever_it_comes_from() -> None:
    limits, known = Limits(per_second=0.5, burst=2), {"good": "mo"}
    app = Starlette(
        routes=[Route("/", echo)],
        middleware=[
            Middleware(
                LimitsMiddleware, limits=limits, clock=ManualClock(), client_of=lambda token: known.get(token, "")
            )
        ],
    )
    mine, forged = {"Authorization": "Bearer good"}, {"Authorization": "Bearer made up"}
    async with client(app) as http, client(app, "192.0.2.2") as elsewhere:
        asked = [(await one.get("/", headers=mine)).status_code for one in (http, elsewhere, http)]
        assert asked == [200, 200, 429]
        assert (await elsewhere.get("/")).status_code == 200  # its address is not used up by its clients
        asked = [(await http.get("/", headers=forged | {"X": str(n)})).status_code for n in range(3)]
        assert asked == [200, 200, 429]  # a token that nobody knows counts for the address


async def test_token_requests_have_a_limit_of_their_own() -> None:
    app = limited(Limits(token_per_second=1, token_burst=1), ManualClock())
    async with client(app) as http:
        assert [(await http.post("/oauth/token")).status_code for _ in range(2)] == [200, 429]
        assert (await http.get("/")).status_code == 200


async def test_no_limit_when_none_is_wanted_and_no_memory_without_end() -> None:
    app = limited(Limits(per_second=0), ManualClock())
    async with client(app) as http:
        assert all([(await http.get("/")).status_code == 200 for _ in range(20)])
    middleware = LimitsMiddleware(Starlette(), Limits(), ManualClock())
    for number in range(REMEMBERED + 10):
        middleware._all.wait_s(str(number))
    assert len(middleware._all._levels) == REMEMBERED
