from __future__ import annotations

import asyncio

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from backends.guarded_http import LOOPBACK, AddressRefused, GuardedHttp, check_address, check_url
from backends.http_server import serve_asgi
from ports.errors import PeerError


@pytest.mark.parametrize("address", ["93.184.215.14", "2606:4700::1111"])
def test_public_addresses(address: str) -> None:
    check_address(address)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "::1",
        "0.0.0.0",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "fe80::1%eth0",
        "fc00::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "::",
        "nonsense",
    ],
)
def test_addresses_of_our_own_are_refused(address: str) -> None:
    with pytest.raises(AddressRefused):
        check_address(address)


def test_what_is_allowed_is_allowed() -> None:
    for address in ("127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"):
        check_address(address, LOOPBACK)
    with pytest.raises(AddressRefused):
        check_address("10.0.0.1", LOOPBACK)


@pytest.mark.parametrize(
    "url",
    ["file:///etc/passwd", "ftp://a.test/", "http://", "http:///x", "http://u:p@a.test/", "gopher://x", "", "x" * 600],
)
def test_urls_that_are_never_called(url: str) -> None:
    with pytest.raises(AddressRefused):
        check_url(url)


async def test_nothing_is_sent_to_an_address_of_our_own() -> None:
    async def answer(_: Request) -> Response:
        return Response("reached")

    async with await serve_asgi(Starlette(routes=[Route("/", answer, methods=["POST"])])) as server:
        http = GuardedHttp()
        for host in ("127.0.0.1", "localhost", "0x7f000001", "2130706433"):
            with pytest.raises(PeerError):
                await http.post(f"http://{host}:{server.port}/", b"", {}, timeout_s=5, max_answer=100)
        assert server.requests == 0
        await http.close()
        open_http = GuardedHttp(allowed=LOOPBACK)
        reached = await open_http.post(f"{server.url}/", b"", {}, timeout_s=5, max_answer=100)
        assert (reached.status, reached.body) == (200, b"reached")
        with pytest.raises(PeerError, match="longer than 3"):
            await open_http.post(f"{server.url}/", b"", {}, timeout_s=5, max_answer=3)
        await open_http.close()


async def test_a_name_with_one_bad_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    async def lookup(host: str, port: int, **_: object) -> list[object]:
        return [(2, 1, 6, "", (address, port)) for address in ("93.184.215.14", "127.0.0.1")]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", lookup)
    http = GuardedHttp(transport=httpx.MockTransport(lambda _: httpx.Response(200)))
    with pytest.raises(AddressRefused, match=r"127\.0\.0\.1"):
        await http.post("http://two.test/", b"", {}, timeout_s=5, max_answer=10)
    await http.close()
