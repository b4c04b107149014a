"""Schemathesis against the CPS and CCP files of OPCP 1.0.0, at a date at which their own examples are valid.

No server error, no answer that the files do not describe, nothing without a token. Deviations: `opcp_schemas`.
"""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, settings

from backends.access import Role
from backends.http_server import serve_asgi
from tests.backends.ecosystem import SECRET, URL, ecosystem
from tests.compliance.opcp_schemas import FOLDER
from tests.compliance.schema_cases import operations, run_cases
from tests.doubles import HeldClock

if not FOLDER.is_dir():
    pytest.skip("../shared/data/opcp is not there", allow_module_level=True)

from tests.compliance.test_opcp_contract_items import ITEMS, add_vehicle, at, octets

checks = pytest.importorskip("schemathesis.checks")

CLIENTS = {
    "cpo": Role.CPO,
    "cps": Role.CPS,
    "mo": Role.MO_OWN_PKI,
    "small-mo": Role.MO_V2G_PKI,
    "oem": Role.OEM,
}
WHO = {
    ("POST", "/v1/ccp/signedContractData"): "cpo",
    ("PUT", "/v1/ccp/signedContractData"): "cps",
    ("DELETE", "/v1/ccp/signedContractData/{emaid}"): "mo",
    ("GET", "/v1/ccp/lookupContract/{emaid}"): "cpo",
    ("PUT", "/v1/cps/generate/signedContractData"): "small-mo",
}
# A schema says "a string" where only a certificate, an EXI message or a date will do.
EXCLUDED = [checks.positive_data_acceptance]
# The file has one path template under two names, one for GET and one for DELETE: Allow lists both methods.
ONE_TEMPLATE = {"/v1/ccp/signedContractData/{emaid}", "/v1/ccp/signedContractData/{pcid}"}
FAST = settings(
    max_examples=4,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.function_scoped_fixture],
)


class Server:
    """An ecosystem in a thread of its own, with the vehicle and the contract of the examples."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self.url = ""
        self.error: BaseException | None = None

    async def _serve(self) -> None:
        try:
            async with ecosystem(f"sqlite:///{self._folder / 'pools.db'}", self._folder, clock=HeldClock()) as world:
                await at(world, datetime(2022, 6, 1, tzinfo=UTC))
                body = json.loads((ITEMS / "opcp-pcp-add-huboemprovcqa0615" / "request.json").read_text())
                await add_vehicle(world, "huboemprovcqa0615", base64.b64decode(body["vehicleCertificate"]))
                for name, role in CLIENTS.items():
                    await world.client(name, role, wmis=["HUB"], provider_ids=["EMP99"])
                cps = await world.client("cps", Role.CPS)
                xml = octets("opcp-cps-signedData-EMP99CQATEST001", "signedData.xml")
                await cps.store_contract("EMP99CQATEST001", "huboemprovcqa0615", xml)
                self._stop, self._loop = asyncio.Event(), asyncio.get_running_loop()
                async with await serve_asgi(world.app) as server:
                    self.url = server.url
                    self._ready.set()
                    await self._stop.wait()
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
        body = {"client_id": client, "client_secret": SECRET, "audience": URL, "grant_type": "client_credentials"}
        answer = httpx.post(f"{self.url}/oauth/token", json=body)
        return {"Authorization": f"Bearer {answer.json()['access_token']}"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("pools")) as running:
        yield running


@pytest.fixture(scope="module")
def tokens(server: Server) -> dict[str, dict[str, str]]:
    return {client: server.token(client) for client in CLIENTS}


@operations("ccp", "cps")
def test_every_operation(file: str, method: str, path: str, server: Server, tokens: dict[str, dict[str, str]]) -> None:
    who = WHO.get((method.upper(), path), {"ccp": "oem", "cps": "mo"}[file])
    excluded = [*EXCLUDED, checks.allow_header_conformance] if path in ONE_TEMPLATE else EXCLUDED

    def check(case: Any) -> None:
        case.call_and_validate(base_url=server.url, headers=tokens[who], excluded_checks=excluded)

    run_cases(file, method, path, FAST, check)
