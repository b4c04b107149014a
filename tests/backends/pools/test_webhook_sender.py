"""Against servers of our own on loopback."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from backends.guarded_http import LOOPBACK, GuardedHttp
from backends.http_server import serve_asgi
from backends.pools.webhook_sender import MAX_ANSWER, WebhookSender


async def test_answers_arrive_as_they_are_and_redirects_are_not_followed() -> None:
    got: list[tuple[str, bytes, str]] = []

    async def answer(request: Request) -> Response:
        got.append((request.url.path, await request.body(), request.headers["host"]))
        if request.url.path == "/redirect":
            return RedirectResponse("/inside")
        if request.url.path == "/flood":
            return Response(b"x" * (MAX_ANSWER + 1))
        return Response(status_code=int(request.url.path[1:]))

    app = Starlette(routes=[Route("/{path:path}", answer, methods=["POST"])])
    http = GuardedHttp(allowed=LOOPBACK)
    async with await serve_asgi(app) as server:
        send = WebhookSender(http)
        named = f"http://localhost:{server.port}"
        assert await send(f"{named}/204", b"{}", {"x": "y"}) == (204, "")
        assert await send(f"{named}/409", b"{}", {}) == (409, "")
        assert await send(f"{named}/redirect", b"{}", {}) == (307, "")
        status, why = await send(f"{named}/flood", b"{}", {})
        assert status is None
        assert "longer" in why
    assert [path for path, _, _ in got] == ["/204", "/409", "/redirect", "/flood"]
    assert got[0] == ("/204", b"{}", f"localhost:{server.port}")
    status, why = await send(server.url, b"{}", {})  # the server is gone
    assert status is None
    assert why
    await http.close()


async def test_nothing_goes_inside_unless_it_is_allowed() -> None:
    async with await serve_asgi(Starlette()) as server:
        http = GuardedHttp()
        status, why = await WebhookSender(http)(server.url, b"{}", {})
        assert (status, server.requests) == (None, 0)
        assert "no public address" in why
        await http.close()
