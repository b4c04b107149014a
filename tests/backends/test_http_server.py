"""The HTTP server shell: the same server in real and in virtual time, with an unmodified httpx as client."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from backends.http_server import HttpServer, serve_asgi
from hil_rigs.real_clock import RealClock
from hil_rigs.virtual_clock import VirtualClock, run_virtual
from ports.clock import Clock
from ports.errors import LocalError, RigError
from tests.tls import tls_contexts

START = datetime(2026, 3, 29, 0, 55, tzinfo=UTC)
Main = Callable[[Clock], Coroutine[Any, Any, Any]]
Run = Callable[[Main], Any]


def _virtual(main: Main) -> Any:
    return run_virtual(main, start=START)


def _real(main: Main) -> Any:
    async def with_clock() -> Any:
        return await main(RealClock())

    return asyncio.run(with_clock())


@pytest.fixture(params=[_virtual, _real], ids=["virtual", "real"])
def run(request: pytest.FixtureRequest) -> Run:
    return request.param  # type: ignore[no-any-return]


def application(clock: Clock, log: list[str] | None = None) -> Starlette:
    log = [] if log is None else log

    async def echo(request: Request) -> Response:
        return JSONResponse({"body": (await request.body()).decode(), "scheme": request.url.scheme})

    async def slow(request: Request) -> Response:
        await clock.sleep(float(request.query_params["s"]))
        return Response("done")

    async def fail(request: Request) -> Response:
        raise KeyError("bug")

    async def stream(request: Request) -> Response:
        async def chunks() -> AsyncIterator[bytes]:
            for _ in range(100):
                yield bytes(100_000)

        return StreamingResponse(chunks())

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        log.append("up")
        yield
        log.append("down")

    return Starlette(
        routes=[
            Route("/echo", echo, methods=["POST"]),
            Route("/slow", slow),
            Route("/fail", fail),
            Route("/stream", stream),
        ],
        lifespan=lifespan,
    )


@asynccontextmanager
async def serving(clock: Clock, tls: bool = False) -> AsyncIterator[tuple[HttpServer, httpx.AsyncClient]]:
    contexts = tls_contexts() if tls else (None, True)
    async with await serve_asgi(application(clock), ssl=contexts[0], clock=clock) as server:
        async with httpx.AsyncClient(base_url=server.url, verify=contexts[1]) as client:
            yield server, client


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
def test_requests_are_answered(run: Run, tls: bool) -> None:
    async def main(clock: Clock) -> None:
        async with serving(clock, tls) as (server, client):
            assert server.url.startswith("https://127.0.0.1:" if tls else "http://127.0.0.1:")
            for number in range(3):
                answer = await client.post("/echo", content=f"{number}")
                assert answer.json() == {"body": f"{number}", "scheme": "https" if tls else "http"}
            assert (await client.get("/nowhere")).status_code == 404
            assert len((await client.get("/stream")).content) == 10_000_000
            large = "x" * 1_000_000
            assert (await client.post("/echo", content=large)).json()["body"] == large
            assert server.requests == 6

    run(main)


def test_the_date_comes_from_the_clock() -> None:
    async def main(clock: Clock) -> list[str]:
        dates = []
        async with serving(clock) as (_, client):
            for _ in range(2):
                dates.append((await client.post("/echo")).headers["date"])
                await clock.sleep(3600)
        return dates

    assert _virtual(main) == ["Sun, 29 Mar 2026 00:55:00 GMT", "Sun, 29 Mar 2026 01:55:00 GMT"]


def test_an_error_in_the_application_is_a_500_and_in_the_log(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def main(clock: Clock) -> None:
        async with serving(clock) as (_, client):
            assert (await client.get("/fail")).status_code == 500
            assert (await client.post("/echo", content="still there")).status_code == 200

    with caplog.at_level(logging.ERROR):
        run(main)
    assert "KeyError: 'bug'" in caplog.text


def test_closing_lets_a_request_finish(run: Run) -> None:
    async def main(clock: Clock) -> None:
        log: list[str] = []
        server = await serve_asgi(application(clock, log))
        assert log == ["up"]
        async with httpx.AsyncClient(base_url=server.url) as client:
            request = asyncio.create_task(client.get("/slow?s=0.1"))
            await clock.sleep(0.05)
            await server.close()
            assert (await request).text == "done"
            await server.close()
            assert log == ["up", "down"]
            with pytest.raises(httpx.ConnectError):
                await client.get("/slow?s=0")

    run(main)


def test_closing_cuts_what_takes_too_long(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def main(clock: Clock) -> None:
        server = await serve_asgi(application(clock))
        async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
            request = asyncio.create_task(client.get("/slow?s=30"))
            await clock.sleep(0.05)
            began = clock.monotonic()
            await server.close(grace_s=0.1)
            assert clock.monotonic() - began < 10
            with pytest.raises(httpx.RemoteProtocolError):
                await request

    with caplog.at_level(logging.CRITICAL):
        run(main)


def test_a_port_that_is_taken(run: Run) -> None:
    async def main(clock: Clock) -> None:
        async with await serve_asgi(application(clock)) as server:
            with pytest.raises(RigError, match=f"cannot listen on 127.0.0.1:{server.port}: .*in use"):
                await serve_asgi(application(clock), port=server.port)

    run(main)


def test_an_application_that_does_not_start(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    @asynccontextmanager
    async def broken(_app: Starlette) -> AsyncIterator[None]:
        raise OSError("no database")
        yield

    async def main(clock: Clock) -> None:
        with pytest.raises(LocalError, match="did not start"):
            await serve_asgi(Starlette(lifespan=broken))

    with caplog.at_level(logging.ERROR):
        run(main)
    assert "no database" in caplog.text


def test_an_idle_connection_is_given_up_and_the_client_opens_another() -> None:
    async def main(clock: Clock) -> None:
        async with await serve_asgi(application(clock), keep_alive_s=5) as server:
            # httpx's own expiry counts real seconds: none here
            limits = httpx.Limits(keepalive_expiry=None)
            async with httpx.AsyncClient(base_url=server.url, limits=limits) as client:
                for _ in range(5):
                    assert (await client.post("/echo")).status_code == 200
                    await clock.sleep(3600)

    _virtual(main)


async def _deliver(client: httpx.AsyncClient, waiting: list[int]) -> None:
    """Send what waits, oldest first, until something goes wrong."""
    while waiting:
        try:
            answer = await client.post("/values", content=f"{waiting[0]}")
        except httpx.TransportError:
            return
        if answer.status_code == 200:
            waiting.pop(0)


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
def test_six_hours_of_outage_with_a_reading_each_minute(tls: bool) -> None:
    """Seven hours: half an hour of normal life, six hours of silence of the backend, half an hour again."""
    received: list[tuple[float, int]] = []
    contexts = tls_contexts() if tls else (None, True)

    async def main(clock: VirtualClock) -> float:
        async def values(request: Request) -> Response:
            received.append((clock.monotonic() - 1000, int(await request.body())))
            return Response()

        app = Starlette(routes=[Route("/values", values, methods=["POST"])])
        loop = asyncio.get_running_loop()
        loop.net.names.add("cpo.example", "192.0.2.10")  # type: ignore[attr-defined]
        link = loop.net.link("cpo.example")  # type: ignore[attr-defined]
        link.latency_s = 0.05
        async with await serve_asgi(app, "192.0.2.10", 443, ssl=contexts[0]):
            url = f"{'https' if tls else 'http'}://cpo.example:443"
            async with httpx.AsyncClient(base_url=url, verify=contexts[1], timeout=10) as client:
                waiting: list[int] = []
                delivering: set[asyncio.Task[None]] = set()
                for minute in range(7 * 60):
                    if minute == 30:
                        link.up = False
                    if minute == 390:
                        link.up = True
                    waiting.append(minute)
                    if not delivering:
                        task = asyncio.create_task(_deliver(client, waiting))
                        delivering.add(task)
                        task.add_done_callback(delivering.discard)
                    await clock.sleep(60)
        return clock.monotonic() - 1000

    began = time.monotonic()
    assert _run(main) == pytest.approx(7 * 3600, abs=10)
    took = time.monotonic() - began
    assert [number for _, number in received] == list(range(420))
    assert not [at for at, _ in received if 30 * 60 + 1 < at < 390 * 60]
    print(f"seven virtual hours took {took * 1000:.0f} ms")  # noqa: T201 - read with pytest -s


def _run(main: Callable[[VirtualClock], Awaitable[float]]) -> float:
    return run_virtual(main, start=START)  # type: ignore[arg-type]


def test_one_seed_gives_one_order_of_events() -> None:
    async def main(clock: VirtualClock) -> list[tuple[float, str]]:
        events: list[tuple[float, str]] = []

        async def note(request: Request) -> Response:
            events.append((clock.monotonic(), (await request.body()).decode()))
            return Response()

        loop = asyncio.get_running_loop()
        link = loop.net.link()  # type: ignore[attr-defined]
        link.latency_s, link.loss, link.segment = 0.02, 0.2, 100
        async with await serve_asgi(Starlette(routes=[Route("/", note, methods=["POST"])])) as server:
            async with httpx.AsyncClient(base_url=server.url, timeout=600) as client:

                async def send(name: str) -> None:
                    for number in range(10):
                        await client.post("/", content=f"{name}{number}")
                        await clock.sleep(clock.random.random())

                async with asyncio.TaskGroup() as group:
                    for name in "abcd":
                        group.create_task(send(name))
        return events

    first = run_virtual(main, start=START, seed=17)
    assert len(first) == 40
    assert first == run_virtual(main, start=START, seed=17)
    assert first != run_virtual(main, start=START, seed=18)
