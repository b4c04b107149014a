"""Random work on pools that run as processes of their own, and what has to be true of the store afterwards."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric import ec
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from backend_client.opcp import ContractData, Credentials, OpcpClient, OpcpError
from backends.bring_up import AUDIENCE
from backends.guarded_http import LOOPBACK, GuardedHttp
from backends.http_server import serve_asgi
from backends.opcp.event_names import API, event_body
from backends.pki.authorities import CertificateAuthorities, Order
from backends.pki.ca_keys import FileKeys, Passphrase
from backends.pools.certificates import read_certificate
from backends.pools.contract_data import SignedContractData, read_signed_contract_data, verify_signed
from backends.pools.dispatcher import Dispatcher
from backends.pools.editions import ISO2
from backends.pools.webhook_sender import WebhookSender
from backends.sealing import Sealer
from backends.store.database import Database
from backends.store.schema import (
    AUDIT,
    CONTRACT_CERTIFICATES,
    CONTRACTS,
    DELIVERIES,
    EVENTS,
    PROVISIONING,
    SIGNED_CONTRACTS,
)
from hil_rigs.real_clock import RealClock
from ports.errors import RigError
from tests.doubles import ManualClock
from tests.postgres import as_it_is
from v2g.certificates import load, public_key
from v2g.contract_key import ISO2 as ISO2_ENVELOPE
from v2g.contract_key import seal_key
from v2g.exi.codec import decode, encode
from v2g.message_xml import from_xml

VEHICLES, CONTRACTS_PER_MO = 5, 8
KINDS = {"contract created", "contract updated", "contract deleted"}


def arguments(folder: Path, database: str = "") -> list[str]:
    """Of `plugbench`, for pools."""
    more = ["--database", database] if database else []
    modules = ["--only", "token,rcp,pcp,cps,ccp,webhooks"]
    return ["backends", "up", "--port", "0", "--json", "--allow-loopback", "--data", str(folder), *modules, *more]


@contextmanager
def pools(folder: Path, database: str = "") -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`plugbench backends up` in a process of its own: (process, URL). It is killed at the end."""
    command = [sys.executable, "-m", "plugbench", *arguments(folder, database)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    with process:
        try:
            assert process.stdout is not None
            yield process, json.loads(process.stdout.readline())["url"]
        finally:
            process.kill()


class Receiver:
    """An endpoint that counts what it gets, by event."""

    def __init__(self) -> None:
        self.bodies: dict[str, set[bytes]] = {}

    async def take(self, request: Request) -> Response:
        try:
            body = await request.body()
        except ClientDisconnect:  # killed while it sent
            return Response(status_code=400)
        self.bodies.setdefault(json.loads(body)["eventId"], set()).add(body)
        return Response()


@asynccontextmanager
async def receiver() -> AsyncIterator[tuple[Receiver, str]]:
    """One that runs: (receiver, URL)."""
    made = Receiver()
    app = Starlette(routes=[Route("/{who}", made.take, methods=["POST"])])
    async with await serve_asgi(app) as server:
        yield made, server.url


@dataclass(slots=True)
class Acknowledged:
    """How often each kind of work was answered with success, per thing."""

    done: Counter[tuple[str, str]] = field(default_factory=Counter)
    answers: int = 0
    unanswered: int = 0


@dataclass(slots=True)
class Seen:
    """What earlier checks have read: logs only grow. changes, told: kinds of events by EMAID, as the audit log and the
    events have them. wrote: audit entries by operation and subject. verified: digests of signed rows."""

    note: int = 0
    notes: int = 0
    event: int = 0
    events: int = 0
    changes: dict[str, list[str]] = field(default_factory=dict)
    told: dict[str, list[str]] = field(default_factory=dict)
    wrote: Counter[tuple[str, str]] = field(default_factory=Counter)
    verified: set[bytes] = field(default_factory=set)


class Hasty(RealClock):
    """Repeats come at once: who has lost its server waits for nothing."""

    async def sleep(self, _seconds: float) -> None:
        await asyncio.sleep(0)


class Moving(httpx.AsyncBaseTransport):
    """Takes requests to wherever the pools are now."""

    def __init__(self) -> None:
        self._inner = httpx.AsyncHTTPTransport(verify=False)
        self._port = 0

    async def to(self, url: str) -> None:
        """Speak to the pools at this URL from now on, over new connections."""
        await self._inner.aclose()
        self._inner = httpx.AsyncHTTPTransport(verify=False)
        self._port = httpx.URL(url).port or 80

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        request.url = request.url.copy_with(port=self._port)
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        await self._inner.aclose()


class Campaign:
    """Vehicles, contracts and the clients that work with them."""

    def __init__(self, folder: Path, database_url: str) -> None:
        self.folder = folder
        self.url = database_url
        self.acknowledged = Acknowledged()
        self.seen = Seen()
        self._ways: dict[int, Moving] = {}
        self._clients: dict[int, dict[str, OpcpClient]] = {}
        self.on_answer: Callable[[], None] = lambda: None

    async def prepare(self) -> None:
        """Certificates of vehicles (two each: the second is a re-key) and contracts of the MO with a PKI."""
        for one in json.loads((self.folder / "clients.json").read_text())["clients"]:
            (self.folder / f"{one['client_id']}.secret").write_text(one["client_secret"])
        clock = RealClock()
        database = Database(self.url, clock, prepare=as_it_is)
        keys = FileKeys(self.folder / "pki", Passphrase(self.folder / "pki.passphrase"))
        authorities = CertificateAuthorities(database, clock, keys, ocsp_url="http://127.0.0.1:1/")
        chains: dict[str, list[tuple[bytes, bytes, bytes]]] = {}
        self.contracts: dict[tuple[str, str], ContractData] = {}
        for number in range(VEHICLES):
            pcid = f"PLBPROVCERT{number:06d}"
            for _ in range(2):
                order = Order(realm="iso2-strict", kind="provisioning", common_name=pcid)
                issued = await authorities.issue(order, actor="test")
                leaf, sub_2, sub_1 = (one.certificate for one in issued.chain[:3])
                chains.setdefault(pcid, []).append((leaf, sub_1, sub_2))
        for number in range(CONTRACTS_PER_MO):
            emaid = f"DEPLBC{number:08d}"
            issued = await authorities.issue(
                Order(realm="iso2-strict", kind="contract", common_name=emaid), actor="test"
            )
            leaf, sub_2, sub_1 = (one.certificate for one in issued.chain[:3])
            key: Any = await authorities.key_of(issued.stored)
            for pcid, versions in chains.items():
                recipient = public_key(load(versions[0][0]))
                assert isinstance(recipient, ec.EllipticCurvePublicKey)
                sealed = seal_key(ISO2_ENVELOPE, key.key, recipient)
                self.contracts[emaid, pcid] = ContractData(
                    leaf, sub_1, sub_2, sealed.encrypted_private_key, sealed.dh_public_key
                )
        self.vehicles = chains
        await authorities.close()
        await database.close()

    async def clients(self, url: str, place: int = 0) -> dict[str, OpcpClient]:
        """Those of the ecosystem, with the tokens that they have: every server of the folder takes them.

        place: of several servers at once.
        """
        if place not in self._clients:
            way = self._ways[place] = Moving()
            self._clients[place] = {
                name: OpcpClient(
                    "http://127.0.0.1",
                    Credentials(name, self.folder / f"{name}.secret", AUDIENCE),
                    Hasty(),
                    timeout_s=60,
                    transport=way,
                )
                for name in ("oem", "mo", "mo-own-pki")
            }
        await self._ways[place].to(url)
        return self._clients[place]

    async def close(self) -> None:
        """The clients."""
        for way in self._ways.values():
            await way.aclose()

    async def listen(self, url: str, receiver_url: str) -> None:
        """Publish the vehicles; webhooks of the OEM and of both MOs."""
        who = await self.clients(url)
        for versions in self.vehicles.values():
            await who["oem"].publish_vehicle(*versions[0])
        await who["oem"].add_endpoint(f"{receiver_url}/oem", [f"oem.contract.{one}" for one in _CHANGES])
        told = [f"mo.contract.{one}.sent.to.oem" for one in _CHANGES]
        await who["mo"].add_endpoint(f"{receiver_url}/mo", [*told, "mo.prov.cert.deleted", "mo.prov.cert.updated"])

    async def work(self, who: dict[str, OpcpClient], seed: int, operations: int | None = None) -> None:
        """One worker: random operations until they are done or the pools are gone."""
        chance = random.Random(seed)
        count = 0
        while operations is None or count < operations:
            count += 1
            try:
                done = await self._operation(chance, who)
            except (OpcpError, RigError) as error:
                if getattr(error, "status", 0) in (0, 500, 502, 503):
                    self.acknowledged.unanswered += 1
                    if operations is None:
                        return  # killed
                    raise
            else:
                self.acknowledged.done[done] += 1
            self.acknowledged.answers += 1
            self.on_answer()

    async def _operation(self, chance: random.Random, who: dict[str, OpcpClient]) -> tuple[str, str]:
        pcid = chance.choice(list(self.vehicles))
        emaid, pcid_of_contract = chance.choice(list(self.contracts))
        choice = chance.random()
        if choice < 0.15:
            leaf, sub_1, sub_2 = chance.choice(self.vehicles[pcid])
            await who["oem"].publish_vehicle(leaf, sub_1, sub_2)
            return "provisioning.put", pcid
        if choice < 0.55:
            data = self.contracts[emaid, pcid_of_contract]
            await who["mo-own-pki"].sign_contract(data, pcid=pcid_of_contract)
            return "contract.sign", emaid
        if choice < 0.75:
            now = RealClock().now()
            made = emaid.replace("DEPLBC", "DEPLBG")
            await who["mo"].generate_contract(made, pcid, now, now + timedelta(days=30))
            return "contract.generate", made
        if choice < 0.87:
            gone = chance.choice([emaid, emaid.replace("DEPLBC", "DEPLBG")])
            await who["mo"].delete_contract(gone)
            return "contract.delete", gone
        if choice < 0.95:
            await who["oem"].set_default_contract(pcid_of_contract, emaid)
            return "contract.set_default", pcid_of_contract
        await who["oem"].delete_vehicle(pcid)
        return "provisioning.delete", pcid


_CHANGES = ("created", "updated", "deleted")


def check_store(connection: sa.Connection, campaign: Campaign) -> None:
    """Nothing half-written, nothing lost, nothing twice."""
    seen = campaign.seen
    signed = connection.execute(sa.select(SIGNED_CONTRACTS)).all()
    contracts = {row.emaid_key: row for row in connection.execute(sa.select(CONTRACTS))}
    vehicles = set(connection.scalars(sa.select(PROVISIONING.c.pcid_key)))
    certificates = {(row.emaid_key, row.certificate) for row in connection.execute(sa.select(CONTRACT_CERTIFICATES))}
    assert {row.emaid_key for row in signed} == set(contracts), "a contract without signed data, or the other way round"
    assert {(row.emaid_key, row.contract_certificate) for row in signed} <= certificates
    for row in signed:
        digest = hashlib.sha256(b"\0".join((row.emaid_key.encode(), row.message, row.xml))).digest()
        if digest not in seen.verified:
            _check_signed(row)
            seen.verified.add(digest)
    assert {row.pcid_key for row in contracts.values()} <= vehicles, "a contract of a vehicle that is gone"
    for pcid in vehicles:
        assert sum(row.is_default for row in contracts.values() if row.pcid_key == pcid) <= 1
    _read_logs(connection, seen)
    assert seen.told == seen.changes, "an event for every change and a change for every event"
    for emaid, history in seen.changes.items():
        assert (history[-1] != "contract deleted") == (emaid in contracts), emaid
    for (operation, subject), count in campaign.acknowledged.done.items():
        if operation != "contract.set_default":  # writes nothing when it is the default already
            assert seen.wrote[operation, subject] >= count, f"{operation} {subject} was acknowledged and is not there"


def _check_signed(row: Any) -> None:
    read = read_signed_contract_data(row.xml, ISO2, read_certificate)
    assert read.message == row.message
    assert encode(decode("iso2", row.message)) == row.message
    assert from_xml(row.xml, "iso2").Body.BodyElement.eMAID.value == row.emaid_key
    verify_signed(SignedContractData(ISO2, row.emaid_key, row.message, row.xml, read.contract, read.cps))


def _read_logs(connection: sa.Connection, seen: Seen) -> None:
    """What is new in them; what was read before is still there."""
    for table, column, last, count in (
        (AUDIT, AUDIT.c.id, seen.note, seen.notes),
        (EVENTS, EVENTS.c.sequence, seen.event, seen.events),
    ):
        before = sa.select(sa.func.count()).select_from(table).where(column <= last)
        assert connection.execute(before).scalar_one() == count, f"{table.name} lost entries"
    columns = AUDIT.c
    notes = sa.select(columns.id, columns.operation, columns.subject).where(columns.id > seen.note)
    for note in connection.execute(notes.order_by(columns.id)):
        seen.note, seen.notes = note.id, seen.notes + 1
        seen.wrote[note.operation, note.subject] += 1
        kind = {"contract.sign": "put", "contract.generate": "put", "contract.delete": "deleted"}.get(note.operation)
        if kind:
            there = seen.changes.setdefault(note.subject, [])
            new = not there or there[-1] == "contract deleted"
            there.append("contract deleted" if kind == "deleted" else f"contract {'created' if new else 'updated'}")
    events = sa.select(EVENTS.c.sequence, EVENTS.c.event_type, EVENTS.c.subject).where(EVENTS.c.sequence > seen.event)
    for event in connection.execute(events.order_by(EVENTS.c.sequence)):
        seen.event, seen.events = event.sequence, seen.events + 1
        if event.event_type in KINDS:
            seen.told.setdefault(event.subject, []).append(event.event_type)


async def everything_delivered(campaign: Campaign, receiver: Receiver) -> None:
    """Two hours later all leases of dead servers are over: deliver the rest; then each event has come to its receivers.

    It may come more than once (nobody knows whether a dead server had sent it): always with the same id and octets.
    """
    clock = ManualClock(RealClock().now() + timedelta(hours=2))
    database = Database(campaign.url, clock, prepare=as_it_is)
    http = GuardedHttp(allowed=LOOPBACK)
    sealer = Sealer.from_file(campaign.folder / "master.key")
    await Dispatcher(database, sealer, clock, WebhookSender(http), {API: event_body}).deliver_due()

    def look(connection: sa.Connection) -> tuple[set[str], set[str], list[str]]:
        sent = sa.select(EVENTS.c.id).join(DELIVERIES, DELIVERIES.c.event == EVENTS.c.sequence)
        causes = sa.select(EVENTS.c.cause).where(EVENTS.c.cause.is_not(None))
        return (
            set(connection.scalars(sent)),
            set(connection.scalars(sent.where(EVENTS.c.event_type.in_(KINDS)))),
            list(connection.scalars(causes)),
        )

    sent, for_oem, causes = await database.read(look)
    assert sent == set(receiver.bodies)
    assert for_oem
    assert sorted(for_oem) == sorted(causes), "the MO is told once of each delivery to the OEM"
    assert all(len(bodies) == 1 for bodies in receiver.bodies.values()), "one event with two bodies"
    await http.close()
    await database.close()


async def check(campaign: Campaign) -> None:
    """Check the store as it is."""
    database = Database(campaign.url, RealClock(), prepare=as_it_is)
    await database.read(lambda connection: check_store(connection, campaign))
    await database.close()


async def workers(campaign: Campaign, urls: Sequence[str], count: int, seed: int, operations: int | None) -> None:
    """So many workers at once, spread over the servers."""
    who = [await campaign.clients(url, place) for place, url in enumerate(urls)]
    await asyncio.gather(*(campaign.work(who[number % len(who)], seed + number, operations) for number in range(count)))
