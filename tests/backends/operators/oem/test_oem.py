"""The manufacturer between pools and vehicles: certificates, webhooks, contracts over the air."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from backend_client.opcp import OpcpError
from backend_client.opcp_messages import ISO2
from backends.faults import BackendFault, FaultKind, FaultSwitch
from backends.operators.mo import tables as mo_tables
from backends.operators.mo.customers import CustomerError, Status, add_contract, add_customer, set_contract
from backends.operators.mo.publishing import Publisher
from backends.operators.mo.tables import CONTRACTS as MO_CONTRACTS
from backends.operators.oem import tables
from backends.operators.oem.serve import RunningOem, serve_oem
from backends.operators.oem.settings import OemSettings
from backends.operators.oem.tables import CONTRACTS
from backends.pools.own_pki import OwnPki
from backends.pools.webhook_signature import signature_headers
from backends.store.database import Database
from tests.backends.ecosystem import SESSION
from tests.backends.ecosystem import Vehicle as EcosystemVehicle
from tests.backends.opcp.story import EMAID, OTHER, SMALL, Story

PCID = "PLBPROVCERT000077"
URL = "https://oem.example"


class Car:
    """A vehicle on the air: its key never leaves it."""

    def __init__(self, http: httpx.AsyncClient, pcid: str, token: str) -> None:
        self.http = http
        self.pcid = pcid
        self.headers = {"Authorization": f"Bearer {token}"}
        self.key = ec.generate_private_key(ec.SECP256R1())

    def request(self, name: str = "") -> str:
        """A certificate request for its key."""
        names = [(NameOID.COMMON_NAME, name or self.pcid), (NameOID.ORGANIZATION_NAME, "Plugbench")]
        subject = x509.Name([x509.NameAttribute(kind, value) for kind, value in names])
        made = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(self.key, hashes.SHA256())
        return base64.b64encode(made.public_bytes(Encoding.DER)).decode()

    async def ask(self, method: str, path: str, body: Any = None) -> httpx.Response:
        return await self.http.request(method, f"/v1/vehicles/{self.pcid}/{path}", headers=self.headers, json=body)

    async def contracts(self) -> list[dict[str, Any]]:
        listed: list[dict[str, Any]] = (await self.ask("GET", "contracts")).json()["contracts"]
        return listed

    def installs(self, exi: str) -> str:
        """The EMAID of a contract, after every check that a vehicle makes."""
        opener = EcosystemVehicle(self.pcid, None, self.key, ISO2)  # type: ignore[arg-type]
        return opener.open(base64.b64decode(exi), session_id=bytes(1))[0]


class OemBench:
    """Pools, manufacturer, vehicle."""

    def __init__(self, story: Story, oem: RunningOem, http: httpx.AsyncClient, faults: FaultSwitch) -> None:
        self.story = story
        self.oem = oem
        self.http = http
        self.faults = faults

    async def car(self, pcid: str = PCID) -> Car:
        """A new vehicle with a published certificate."""
        car = Car(self.http, pcid, await self.oem.add_vehicle(pcid))
        assert (await car.ask("PUT", "certificate", {"request": car.request()})).status_code == 200
        return car

    async def webhooks(self) -> list[int]:
        """Bring what the pools have sent to the manufacturer; its answers."""
        outside = self.story.world.outside
        await self.story.world.deliveries()
        mine, outside.sent = [one for one in outside.sent if one.url.startswith(URL)], []
        path = "/webhooks/opcp"
        return [(await self.http.post(path, content=one.body, headers=one.headers)).status_code for one in mine]

    async def rows(self) -> list[Any]:
        return await self.oem.database.read(lambda connection: connection.execute(CONTRACTS.select()).all())


@asynccontextmanager
async def oem_bench(story: Story, folder: Path, **settings: Any) -> AsyncIterator[OemBench]:
    database = Database(f"sqlite:///{folder / 'oem.db'}", story.world.clock, tables.prepare)
    faults = FaultSwitch()
    options = {"url": URL, "sync_s": 0, **settings}
    oem = await serve_oem(OemSettings(**options), database, story.world.clock, story.oem, faults=faults)
    try:
        async with httpx.AsyncClient(base_url=oem.url, trust_env=False, verify=False) as http:
            yield OemBench(story, oem, http, faults)
    finally:
        await oem.close()
        await database.close()


@pytest.fixture
async def bench(story: Story, tmp_path: Path) -> AsyncIterator[OemBench]:
    async with oem_bench(story, tmp_path) as made:
        yield made


async def test_a_contract_reaches_the_vehicle_over_the_air(bench: OemBench) -> None:
    car = await bench.car()
    assert await bench.story.mo.has_vehicle(PCID)
    await bench.story.sign(EMAID, PCID)
    assert await bench.webhooks() == [200]
    assert await car.contracts() == [{"emaid": EMAID, "default": True, "installed": False}]
    found = (await car.ask("GET", f"contracts/{EMAID}")).json()
    assert car.installs(found["certificateInstallationRes"]) == EMAID
    assert (await car.ask("PUT", f"contracts/{EMAID}/installed")).status_code == 200
    assert (await car.contracts())[0]["installed"]


async def test_the_pools_answer_is_the_one_that_a_station_would_bring(bench: OemBench) -> None:
    car = await bench.car()
    await bench.story.sign(EMAID, PCID)
    await bench.webhooks()
    published = await bench.oem.vehicle(PCID)
    assert published is not None
    found = (await car.ask("GET", f"contracts/{EMAID}")).json()["certificateInstallationRes"]
    provided = await bench.story.oem.provide_contract(EMAID, PCID)
    assert base64.b64decode(found) == provided.message
    assert SESSION not in provided.message  # made for no session


async def test_the_default_contract_can_be_chosen(bench: OemBench) -> None:
    car = await bench.car()
    for emaid in (EMAID, OTHER):
        await bench.story.sign(emaid, PCID)
    await bench.webhooks()
    assert [(one["emaid"], one["default"]) for one in await car.contracts()] == [(EMAID, True), (OTHER, False)]
    assert (await car.ask("PUT", f"contracts/{OTHER}/default")).status_code == 200
    assert [one["emaid"] for one in await car.contracts()] == [OTHER, EMAID]
    listed = await bench.story.oem.contracts_of(PCID)
    assert [one.emaid for one in listed if one.default_contract] == [OTHER]
    assert (await car.ask("PUT", "contracts/DEPLBC99999999/default")).status_code == 404


async def test_a_deleted_contract_is_gone_and_a_new_one_replaces_the_old(bench: OemBench) -> None:
    car = await bench.car()
    await bench.story.sign(EMAID, PCID)
    await bench.webhooks()
    first = (await car.ask("GET", f"contracts/{EMAID}")).json()
    await bench.story.sign(EMAID, PCID)
    await bench.webhooks()
    second = (await car.ask("GET", f"contracts/{EMAID}")).json()
    assert first != second
    assert car.installs(second["certificateInstallationRes"]) == EMAID
    await bench.story.mo.delete_contract(EMAID, skip_revocation=True)
    await bench.webhooks()
    assert await car.contracts() == []
    assert (await car.ask("GET", f"contracts/{EMAID}")).status_code == 404


async def test_a_new_key_ends_the_contracts_of_the_old_one(bench: OemBench) -> None:
    car = await bench.car()
    await bench.story.sign(EMAID, PCID)
    await bench.webhooks()
    car.key = ec.generate_private_key(ec.SECP256R1())
    assert (await car.ask("PUT", "certificate", {"request": car.request()})).status_code == 200
    await bench.webhooks()
    assert await car.contracts() == []
    await bench.story.sign(EMAID, PCID)
    await bench.webhooks()
    found = (await car.ask("GET", f"contracts/{EMAID}")).json()
    assert car.installs(found["certificateInstallationRes"]) == EMAID


async def test_a_vehicle_can_be_withdrawn(bench: OemBench) -> None:
    car = await bench.car()
    await bench.story.sign(EMAID, PCID)
    await bench.webhooks()
    await bench.oem.vehicles.withdraw(PCID)
    assert (await car.ask("GET", "contracts")).status_code == 401
    assert not await bench.story.mo.has_vehicle(PCID)
    assert await bench.oem.vehicle(PCID) is None
    assert await bench.webhooks() == [200]  # of the contract that ended with it: nobody's any more
    await bench.oem.vehicles.withdraw(PCID)


async def test_a_webhook_counts_once_and_only_with_its_signature(bench: OemBench) -> None:
    await bench.car()
    await bench.story.sign(EMAID, PCID)
    outside = bench.story.world.outside
    await bench.story.world.deliveries()
    (sent,) = [one for one in outside.sent if one.url.startswith(URL)]
    path = "/webhooks/opcp"
    for headers in (
        {},
        {**sent.headers, "payload-signature": "0" * 64},
        signature_headers("another secret", sent.body),
    ):
        answer = await bench.http.post(path, content=sent.body, headers=headers)
        assert answer.status_code == 401
    assert (await bench.http.post(path, content=sent.body + b" ", headers=sent.headers)).status_code == 401
    assert await bench.rows() == []
    receipts = [(await bench.http.post(path, content=sent.body, headers=sent.headers)).json() for _ in range(3)]
    assert receipts == [{"receipt": "acted"}, {"receipt": "known"}, {"receipt": "known"}]
    (row,) = await bench.rows()
    assert row.changes == 1
    bench.story.world.clock.advance(timedelta(days=2).total_seconds())
    late = await bench.http.post(path, content=sent.body, headers=sent.headers)
    assert late.status_code == 400  # too old to be believed


async def test_webhooks_of_strangers_and_odd_ones_have_no_effect(bench: OemBench) -> None:
    await bench.car()
    receiver = None
    for endpoint in await bench.story.oem.endpoints():
        receiver = endpoint if endpoint.url.startswith(URL) else receiver
    assert receiver is not None
    assert receiver.enabled_events == ["oem.contract.created", "oem.contract.updated", "oem.contract.deleted"]
    at = bench.story.world.clock.now().isoformat()
    assert bench.oem._routes.webhooks is not None
    secret = bench.oem._routes.webhooks._secret
    odd = (
        ({"eventType": "oem.contract.created", "payload": {"pcid": "XXXPROVCERT000001", "emaid": EMAID}}, 200),
        ({"eventType": "root.cert.added", "payload": {}}, 200),
        ({"eventType": "oem.contract.created", "payload": {"pcid": PCID}}, 400),
        ({"eventType": "oem.contract.created", "payload": [1]}, 400),
        ({"eventType": "oem.contract.created", "payload": {"pcid": PCID, "emaid": "x" * 40}}, 400),
    )
    for number, (change, status) in enumerate(odd):
        body = json.dumps({"timestamp": at, "eventId": f"odd-{number}", **change}).encode()
        answer = await bench.http.post("/webhooks/opcp", content=body, headers=signature_headers(secret, body))
        assert answer.status_code == status
    too_long = b"x" * (65 << 10)
    assert (await bench.http.post("/webhooks/opcp", content=too_long)).status_code == 413
    assert await bench.rows() == []


async def test_what_webhooks_have_missed_is_asked_for(story: Story, tmp_path: Path) -> None:
    async with oem_bench(story, tmp_path, webhooks=False) as bench:
        car = await bench.car()
        await story.sign(EMAID, PCID)
        await story.sign(OTHER, PCID)
        assert (await bench.http.post("/webhooks/opcp", content=b"{}")).status_code == 401
        assert await car.contracts() == []
        await bench.oem.sync()
        assert [one["emaid"] for one in await car.contracts()] == [EMAID, OTHER]
        assert all(row.message for row in await bench.rows())
    await story.mo.delete_contract(OTHER, skip_revocation=True)
    async with oem_bench(story, tmp_path) as bench:  # started again: it asks before anything else
        assert [one.emaid for one in await bench.oem.contracts.of(PCID)] == [EMAID]
        mine = [one for one in await story.oem.endpoints() if one.url.startswith(URL)]
    async with oem_bench(story, tmp_path):
        again = [one for one in await story.oem.endpoints() if one.url.startswith(URL)]
        assert len(mine) == len(again) == 1
        assert mine[0].id != again[0].id  # a new secret each time


async def test_faults_of_the_receiver_end_in_one_effect(bench: OemBench) -> None:
    car = await bench.car()
    await bench.story.sign(EMAID, PCID)
    await bench.story.world.deliveries()
    (sent,) = [one for one in bench.story.world.outside.sent if one.url.startswith(URL)]
    kinds = (FaultKind.ERROR, FaultKind.LOST_ACK, FaultKind.DUPLICATE, FaultKind.SLOW)
    bench.faults.queue += [BackendFault(kind, seconds=5) for kind in kinds]
    statuses = []
    for _ in kinds:
        answer = await bench.http.post("/webhooks/opcp", content=sent.body, headers=sent.headers)
        statuses.append(answer.status_code)
    assert statuses == [503, 504, 200, 200]
    assert [row.changes for row in await bench.rows()] == [1]
    assert len(await car.contracts()) == 1


async def test_vehicles_speak_for_themselves_only(bench: OemBench) -> None:
    car, other = await bench.car(), await bench.car("PLBPROVCERT000078")
    await bench.story.sign(EMAID, PCID)
    await bench.webhooks()
    thief = Car(bench.http, PCID, "")
    thief.headers = other.headers
    for method, path in (("GET", "contracts"), ("GET", f"contracts/{EMAID}"), ("PUT", f"contracts/{EMAID}/default")):
        assert (await thief.ask(method, path)).status_code == 401
    thief.headers = {}
    assert (await thief.ask("GET", "contracts")).status_code == 401
    foreign = await car.ask("PUT", "certificate", {"request": car.request("PLBPROVCERT000078")})
    assert (foreign.status_code, "another vehicle" in foreign.json()["error"]) == (403, True)
    for body in ({}, {"request": "!"}, {"request": "AAAA"}, {"request": car.request(), "more": 1}, [1]):
        assert (await car.ask("PUT", "certificate", body)).status_code == 400
    assert (await car.ask("PUT", "certificate")).status_code == 415
    kept = await bench.oem.vehicles.all()
    assert car.headers["Authorization"].split()[1] not in str(kept)


# --- the mobility operator's side of the pools ---------------------------------------------------------------------


@asynccontextmanager
async def contracts_of(bench: OemBench, folder: Path, *emaids: str) -> AsyncIterator[Database]:
    """An MO's database with one customer."""
    clock = bench.story.world.clock
    database = Database(f"sqlite:///{folder / 'mo.db'}", clock, mo_tables.prepare)
    now = int(clock.now().timestamp())

    def add(connection: Any) -> None:
        add_customer(connection, "c1", "alice", "Alice", "x$y")
        for emaid in emaids:
            add_contract(connection, "c1", emaid, now - 100, now + 86400 * 90, now)

    await database.write(add)
    try:
        yield database
    finally:
        await database.close()


@pytest.mark.parametrize("own_pki", [False, True])
async def test_an_mo_publishes_contracts_with_and_without_a_pki(bench: OemBench, tmp_path: Path, own_pki: bool) -> None:
    car = await bench.car()
    emaid, client = (EMAID, bench.story.mo) if own_pki else (SMALL, bench.story.small_mo)
    async with contracts_of(bench, tmp_path, emaid) as database:
        own = OwnPki(bench.story.world.authorities) if own_pki else None
        publisher = Publisher(database, bench.story.world.clock, client, own)
        await publisher.publish(emaid, PCID)
        await bench.webhooks()
        found = (await car.ask("GET", f"contracts/{emaid}")).json()
        assert car.installs(found["certificateInstallationRes"]) == emaid
        row = await database.read(lambda connection: connection.execute(MO_CONTRACTS.select()).one())
        assert (row.pcid, row.status) == (PCID, "active")
        await publisher.withdraw(emaid)
        await publisher.withdraw(emaid)  # gone already
        await bench.webhooks()
        assert await car.contracts() == []
        row = await database.read(lambda connection: connection.execute(MO_CONTRACTS.select()).one())
        assert (row.pcid, row.status) == ("", "revoked")
        with pytest.raises(CustomerError, match="is revoked"):
            await publisher.publish(emaid, PCID)
        with pytest.raises(CustomerError, match="not ours"):
            await publisher.publish("DEPLBC99999999", PCID)


async def test_a_lost_answer_of_the_mo_ca_is_cleared_up_by_asking(bench: OemBench, tmp_path: Path) -> None:
    await bench.car()
    client = bench.story.small_mo
    generate = client.generate_contract

    async def lost(*arguments: Any, **options: Any) -> None:
        await generate(*arguments, **options)
        raise OpcpError("PUT", 0, ("no answer",))

    async def never(*arguments: Any, **options: Any) -> None:
        raise OpcpError("PUT", 503, ("away",))

    async with contracts_of(bench, tmp_path, SMALL) as database:
        publisher = Publisher(database, bench.story.world.clock, client)
        client.generate_contract = never  # type: ignore[method-assign]
        with pytest.raises(OpcpError, match="away"):
            await publisher.publish(SMALL, PCID)
        client.generate_contract = lost  # type: ignore[method-assign]
        await publisher.publish(SMALL, PCID)
        await database.write(lambda connection: set_contract(connection, SMALL, 0, status=Status.BLOCKED))
        with pytest.raises(CustomerError, match="is blocked"):
            await publisher.publish(SMALL, PCID)
