"""Reads of the root and provisioning pools over HTTP, against a bare Starlette route with the same token check."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import statistics
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmarks.report import Report

TITLE = "Pools: reads over HTTP"
ROUNDS, REQUESTS = 9, 150


def serve(pipe: Connection) -> None:
    """Both sides in one process, each on a port of its own; ends when told to."""
    asyncio.run(_serve(pipe))


async def _serve(pipe: Connection) -> None:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    from backends import bring_up
    from backends.api.limits import Limits
    from backends.http_server import serve_asgi
    from backends.opcp.fields import base64_text
    from hil_rigs.real_clock import RealClock

    held: list[Any] = []
    build = bring_up.build_app

    def build_without_limits(modules: Any, services: Any) -> Any:
        held.append(services)
        return build(modules, services, limits=Limits(per_second=0, token_per_second=0))

    bring_up.build_app = build_without_limits  # type: ignore[assignment]
    with tempfile.TemporaryDirectory() as folder:
        plan = bring_up.Plan(Path(folder), modules=("rcp", "pcp"))
        async with bring_up.brought_up(plan, RealClock()) as running:
            services = held[0]
            secret = {one.client_id: one.client_secret for one in running.clients}
            token = await services.tokens.issue("oem", secret["oem"])

            async def bare(request: Request) -> JSONResponse:
                principal = await services.tokens.check(request.headers["authorization"].removeprefix("Bearer "))
                return JSONResponse({"client": principal.client_id})

            issued = await services.authorities.newest("iso2-strict", "provisioning")
            leaf, sub_2, sub_1 = (one.certificate for one in issued.chain[:3])
            fields = {"vehicleCertificate": leaf, "subCA2Certificate": sub_2, "subCA1Certificate": sub_1}
            body = {name: base64_text(der) for name, der in fields.items()}
            async with await serve_asgi(Starlette(routes=[Route("/bare", bare)])) as other:
                ports = (running.server.port, other.port)
                pipe.send((ports, token, body, issued.stored.common_name))
                await asyncio.to_thread(pipe.recv)


class Client:
    """One connection that asks again and again, as cheaply as can be."""

    def __init__(self, port: int, token: str) -> None:
        self._port = port
        self._token = token

    async def open(self) -> None:
        """Connect."""
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)

    async def ask(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        """One request; status and body."""
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {self._token}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        self._writer.write(head.encode() + body)
        answer = await self._reader.readuntil(b"\r\n\r\n")
        length = int(answer.lower().partition(b"content-length: ")[2].split(b"\r\n", 1)[0])
        return int(answer[9:12]), await self._reader.readexactly(length)

    def close(self) -> None:
        """Disconnect."""
        self._writer.close()


async def _measure(report: Report, ports: tuple[int, int], token: str, body: dict[str, str], pcid: str) -> None:
    pools, bare = Client(ports[0], token), Client(ports[1], token)
    await pools.open()
    await bare.open()
    status, answer = await pools.ask("PUT", "/v1/oem/provCerts", json.dumps(body).encode())
    assert status == 200, answer
    _, answer = await pools.ask("GET", "/v1/root/rootCerts")
    root = json.loads(answer)["RootCertificateCollection"]["rootCertificates"][0]["rootCertificateId"]
    sides = {
        "bare": (bare, "/bare"),
        "RCP, one root": (pools, f"/v1/root/rootCerts/{root}"),
        "RCP, all roots": (pools, "/v1/root/rootCerts"),
        "PCP, one vehicle": (pools, f"/v1/oem/provCerts/{pcid}"),
        "PCP, look-up": (pools, f"/v1/oem/provCerts/lookupVehicle/{pcid}"),
    }
    rates: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(ROUNDS):
        report.progress(f"round {number + 1} of {ROUNDS}")
        for name, (client, path) in sides.items():
            begin = time.perf_counter()
            for _ in range(REQUESTS):
                status, answer = await client.ask("GET", path)
                assert status == 200, answer
            rates[name].append(REQUESTS / (time.perf_counter() - begin))
    median = {name: statistics.median(rate) for name, rate in rates.items()}
    for name in list(sides)[1:]:
        report.ratio(f"{name} / bare route", median[name], median["bare"], floor=0.3)
    report.value("bare route", median["bare"], "/s")
    pools.close()
    bare.close()


def run(report: Report) -> None:
    """One connection, one request at a time; chain and status are known after the first."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs,))
    process.start()
    try:
        asyncio.run(_measure(report, *ours.recv()))
    finally:
        ours.send("end")
        process.join()
