"""Schemathesis (a fuzzer for OpenAPI that we did not write) against the OPCP 1.0.0 files: no server error, no answer
that the files do not describe, nothing without a token, and bad input refused. Deviations: `opcp_schemas`.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, settings

from backends.access import Role
from backends.api.limits import Limits
from backends.http_server import serve_asgi
from backends.opcp.app import build_app
from backends.opcp.services import Services
from backends.sealing import Sealer
from backends.store.database import Database
from backends.token.clients import register_client
from hil_rigs.real_clock import RealClock
from tests.compliance.opcp_schemas import DEVIATIONS, FOLDER
from tests.compliance.schema_cases import operations, run_cases

if not FOLDER.is_dir():
    pytest.skip("../shared/data/opcp is not there", allow_module_level=True)

checks = pytest.importorskip("schemathesis.checks")

AUDIENCE = "https://pools.test"
MODULES = ("token", "rcp", "pcp", "webhooks")
CLIENTS = {"admin": Role.ADMIN, "oem": Role.OEM, "mo": Role.MO_OWN_PKI, "cpo": Role.CPO}
WHO = {"rcp": "admin", "pcp": "oem", "webhooks": "oem"}
# A schema says "a string" where only a certificate, a client's secret or a public URL will do.
EXCLUDED = [checks.positive_data_acceptance]
FAST = settings(
    max_examples=20,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.function_scoped_fixture],
)


class Server:
    """The pools in a thread of their own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self.url = ""
        self.error: BaseException | None = None

    async def _serve(self) -> None:
        try:
            clock = RealClock()
            database = Database(f"sqlite:///{self._folder / 'pools.db'}", clock)
            for name, role in CLIENTS.items():
                await database.write(
                    lambda c, n=name, r=role: register_client(c, client_id=n, secret=n, role=r, at=0, wmis=["WMI"])
                )
            services = Services(database, Sealer(bytes(32)), clock, issuer=AUDIENCE, audience=AUDIENCE)
            app = build_app(MODULES, services, limits=Limits(per_second=0, token_per_second=0))
            self._stop, self._loop = asyncio.Event(), asyncio.get_running_loop()
            async with await serve_asgi(app) as server:
                self.url = server.url
                self._ready.set()
                await self._stop.wait()
            await database.close()
        except BaseException as error:
            self.error = error
            raise
        finally:
            self._ready.set()

    def __enter__(self) -> Server:
        self._thread.start()
        self._ready.wait()
        if self.error is not None:
            raise self.error
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def token(self, client: str) -> dict[str, str]:
        body = {"client_id": client, "client_secret": client, "audience": AUDIENCE, "grant_type": "client_credentials"}
        answer = httpx.post(f"{self.url}/oauth/token", json=body)
        return {"Authorization": f"Bearer {answer.json()['access_token']}"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("pools")) as running:
        yield running


@pytest.fixture(scope="module")
def tokens(server: Server) -> dict[str, dict[str, str]]:
    return {client: server.token(client) for client in CLIENTS}


@operations("rcp", "pcp", "webhooks", "accessToken")
def test_every_operation(file: str, method: str, path: str, server: Server, tokens: dict[str, dict[str, str]]) -> None:
    headers = tokens[WHO[file]] if file in WHO else {}

    def check(case: Any) -> None:
        case.call_and_validate(base_url=server.url, headers=headers, excluded_checks=EXCLUDED)

    run_cases(file, method, path, FAST, check)


def test_every_deviation_has_a_reason() -> None:
    assert all(deviation.reason for deviation in DEVIATIONS)
