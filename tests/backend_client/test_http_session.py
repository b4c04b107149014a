"""What all our HTTP clients share."""

from __future__ import annotations

import httpx
import pytest

from backend_client.http_session import HttpSession
from ports.errors import LocalError


def session(answer: httpx.Response, **settings: int) -> HttpSession:
    return HttpSession("peer", "http://peer", transport=httpx.MockTransport(lambda _request: answer), **settings)


async def test_an_exchange_gives_answer_and_body():
    async with session(httpx.Response(200, content=b"said")) as one:
        response, body = await one.exchange("GET", "http://peer/path")
    assert (response.status_code, body) == (200, b"said")
    await one.close()  # harmless when closed


async def test_redirects_are_not_followed():
    async with session(httpx.Response(302, headers={"Location": "http://elsewhere/"})) as one:
        response, _ = await one.exchange("GET", "http://peer/")
    assert response.status_code == 302


async def test_answers_have_a_limit():
    async with session(httpx.Response(200, content=b"12345678"), max_answer=8) as one:
        assert (await one.exchange("GET", "http://peer/"))[1] == b"12345678"
    async with session(httpx.Response(200, content=b"123456789"), max_answer=8) as one:
        with pytest.raises(httpx.ReadError, match="longer than 8 octets"):
            await one.exchange("GET", "http://peer/")


async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1/")
    async with session(httpx.Response(204)) as one:
        assert (await one.exchange("GET", "http://peer/"))[0].status_code == 204


@pytest.mark.parametrize("url", ["ftp://peer", "peer", "file:///etc/passwd"])
def test_other_schemes_are_refused(url: str):
    with pytest.raises(LocalError, match=r"peer .*: the scheme must be http or https"):
        HttpSession("peer", url)
