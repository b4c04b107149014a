"""What an installation request costs beside the cryptography and coding in it; a fleet in one process."""

from __future__ import annotations

import asyncio
import base64
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric import ec

from backend_client.opcp import ContractData, Credentials, OpcpClient
from backends.bring_up import AUDIENCE, Plan, brought_up
from backends.opcp.app import MODULES
from backends.pki.authorities import CertificateAuthorities, Issued, Order
from backends.pki.ca_keys import FileKeys, MemoryKey, Passphrase
from backends.store.database import Database
from backends.store.schema import CONTRACTS, PROVISIONING, SIGNED_CONTRACTS
from benchmarks.report import Report
from hil_rigs.real_clock import RealClock
from v2g.certificates import load, public_key
from v2g.contract_key import ISO2, seal_key
from v2g.exi.codec import decode, encode
from v2g.exi.generated.iso2 import types as iso2
from v2g.exi.generated.xmldsig.types import X509IssuerSerialType
from v2g.signature_suites import P256, signer
from v2g.xmldsig import sign_message, verify_message

TITLE = "Pools: installation requests, processor time per request (SQLite), and a fleet of 100 000 in one process"

PCID, EMAID = "PLBPROVCERT000001", "DEPLBC00000001"
ROUNDS, PER_ROUND = 15, 40
SMALL, LARGE, FLEET = 1_000, 1_000_000, 100_000
CLIENTS, REQUESTS = 20, 2_000
CCP = "/v1/ccp/signedContractData"
LOAD = Path(__file__).parent / "peers" / "http_load.py"
FILLER = bytes(64)  # in place of certificates and messages of vehicles that nobody asks for


@dataclass(frozen=True, slots=True)
class Ecosystem:
    """A folder with pools, one vehicle with its contract, and what it asks. answer: EXI."""

    folder: Path
    request: bytes
    answer: bytes
    vehicle: Issued
    tokens: Mapping[str, str]

    @property
    def chain(self) -> tuple[bytes, bytes, bytes]:
        """DER of the vehicle's leaf, Sub-CA 2 and Sub-CA 1."""
        leaf, sub_2, sub_1 = (one.certificate for one in self.vehicle.chain[:3])
        return leaf, sub_2, sub_1


def run(report: Report) -> None:
    """Measure."""
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".pools-benchmark-") as name:
        _processes(report, asyncio.run(_in_one_process(report, Path(name))))


async def _in_one_process(report: Report, folder: Path) -> Ecosystem:
    clock = RealClock()
    plan = Plan(folder=folder, modules=("token", "rcp", "pcp", "cps", "ccp", "webhooks"))
    report.progress("making a PKI, a vehicle and its contract")
    async with brought_up(plan, clock) as running:
        world = await _vehicle(folder, running.url, clock)
        app = running.app
        ccp = _Asgi(app, "POST", CCP, world.tokens["cpo"], _body(world.request))
        await _beside_coding(report, world, ccp)
        await _flat(report, world, ccp)
    return world


async def _beside_coding(report: Report, world: Ecosystem, ccp: _Asgi) -> None:
    key = public_key(world.vehicle.certificate)

    async def coding() -> None:
        message = decode("iso2", world.request)
        verify_message(message, key)  # type: ignore[arg-type]
        encode(decode("iso2", world.answer))

    times = await _interleaved({"ours": ccp, "coding": coding})
    detail = f"{times['ours'] * 1e6:.0f} us beside {times['coding'] * 1e6:.0f} us"
    name = "CCP request / verify + decode + encode of its octets"
    report.ratio(name, 1 / times["ours"], 1 / times["coding"], 0.3, detail=detail)


def _load(port: int, request: bytes, clients: int, count: int) -> list[float]:
    """Seconds of each answer, asked by another process."""
    command = [sys.executable, str(LOAD), str(port), str(clients), str(count)]
    seconds: list[float] = json.loads(subprocess.run(command, input=request, stdout=subprocess.PIPE, check=True).stdout)
    return seconds


def _octets(method: str, path: str, token: str, body: bytes = b"") -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nHost: pools\r\nContent-Type: application/json\r\n"
    return f"{head}Authorization: Bearer {token}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


async def _flat(report: Report, world: Ecosystem, ccp: _Asgi) -> None:
    engine = sa.create_engine(f"sqlite:///{world.folder / 'pools.db'}")
    _fill(engine, 0, SMALL, world.chain)
    few = (await _interleaved({"ours": ccp}))["ours"]
    report.progress(f"storing {LARGE} contracts")
    _fill(engine, SMALL, FLEET, world.chain)
    _fill(engine, FLEET, LARGE, (FILLER, FILLER, FILLER))
    many = (await _interleaved({"ours": ccp}))["ours"]
    engine.dispose()
    detail = f"{few * 1e6:.0f} us, {many * 1e6:.0f} us"
    report.ratio(f"CCP request with {LARGE} contracts / with {SMALL}", many, few, ceiling=1.3, detail=detail)


def _processes(report: Report, world: Ecosystem) -> None:
    """A process of its own with a fleet: start, answers to many at once, memory."""
    engine = sa.create_engine(f"sqlite:///{world.folder / 'pools.db'}")
    with engine.begin() as connection:
        for table, key, first, last in (
            ("provisioning", "pcid_key", _pcid(FLEET), _pcid(LARGE)),
            ("signed_contracts", "emaid_key", _emaid(FLEET), _emaid(LARGE)),
            ("contracts", "emaid_key", _emaid(FLEET), _emaid(LARGE)),
        ):
            where = sa.text(f"DELETE FROM {table} WHERE {key} BETWEEN :first AND :last")
            connection.execute(where, {"first": first, "last": last})
    engine.dispose()
    command = [sys.executable, "-m", "plugbench", "backends", "up", "--port", "0", "--json"]
    begin = time.perf_counter()
    with subprocess.Popen(
        [*command, "--data", str(world.folder)], stdout=subprocess.PIPE, text=True, cwd=Path.cwd()
    ) as process:
        try:
            assert process.stdout is not None
            url = json.loads(process.stdout.readline())["url"]
            report.value("start of the all-in-one process", time.perf_counter() - begin, "s", "aim <= 1.5 s")
            request = _octets("POST", CCP, world.tokens["cpo"], _body(world.request))
            seconds = _load(urlsplit(url).port or 80, request, CLIENTS, REQUESTS)
            p99 = statistics.quantiles(seconds, n=100)[98]
            report.value(f"CCP over HTTP, {CLIENTS} clients at once: median", statistics.median(seconds) * 1e3, "ms")
            report.value(f"CCP over HTTP, {CLIENTS} clients at once: p99", p99 * 1e3, "ms", "aim <= 150 ms")
            lines = Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()
            pss = next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
            name = f"memory (PSS) with {FLEET} vehicles and contracts"
            report.value(name, pss / 1024, "MB", f"aim <= 150 MB; modules {', '.join(MODULES)}")
        finally:
            process.terminate()


async def _interleaved(sides: dict[str, Callable[[], Awaitable[object]]]) -> dict[str, float]:
    """Median processor seconds per call of each side: what one core has to do for it."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(ROUNDS):
        for name, call in sides.items():
            begin = time.process_time()
            for _ in range(PER_ROUND):
                await call()
            times[name].append((time.process_time() - begin) / PER_ROUND)
    return {name: statistics.median(values) for name, values in times.items()}


class _Asgi:
    """One request to an application, again and again, without a socket."""

    def __init__(self, app: Any, method: str, path: str, token: str, body: bytes = b"") -> None:
        self._app = app
        self._body = body
        self._scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "scheme": "http",
            "query_string": b"",
            "client": ("127.0.0.1", 1),
            "server": ("pools", 80),
            "headers": [
                (b"host", b"pools"),
                (b"content-type", b"application/json"),
                (b"content-length", str(len(body)).encode()),
                (b"authorization", f"Bearer {token}".encode()),
            ],
        }

    async def __call__(self) -> None:
        """Once. Anything but 200 ends the benchmark."""
        await self.body()

    async def body(self) -> bytes:
        """The answer's body."""
        sent: list[Any] = []

        async def receive() -> dict[str, object]:
            return {"type": "http.request", "body": self._body, "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        await self._app(dict(self._scope), receive, send)
        assert sent[0]["status"] == 200, sent
        return bytes(sent[1]["body"])


def _body(request: bytes) -> bytes:
    exi = base64.b64encode(request).decode()
    return msgspec.json.encode({"certificateInstallationReq": exi, "xsdMsgDefNamespace": "urn:iso:15118:2:2013:MsgDef"})


async def _vehicle(folder: Path, url: str, clock: RealClock) -> Ecosystem:
    """Publish a vehicle, give it a contract; returns what it asks and gets."""
    secrets = json.loads((folder / "clients.json").read_text())["clients"]
    clients = {}
    for one in secrets:
        file = folder / f"{one['client_id']}.secret"
        file.write_text(one["client_secret"])
        clients[one["client_id"]] = OpcpClient(url, Credentials(one["client_id"], file, AUDIENCE), clock)
    database = Database(f"sqlite:///{folder / 'pools.db'}", clock, prepare=lambda _connection: None)
    keys = FileKeys(folder / "pki", Passphrase(folder / "pki.passphrase"))
    authorities = CertificateAuthorities(database, clock, keys, ocsp_url=f"{url}/ocsp")
    made = {}
    for kind, name in (("provisioning", PCID), ("contract", EMAID)):
        made[kind] = await authorities.issue(Order(realm="iso2-strict", kind=kind, common_name=name), actor="bench")
    vehicle, contract = made["provisioning"], made["contract"]
    vehicle_key, contract_key = [await authorities.key_of(made[kind].stored) for kind in ("provisioning", "contract")]
    assert isinstance(vehicle_key, MemoryKey)
    assert isinstance(contract_key, MemoryKey)
    leaf, sub_2, sub_1 = (one.certificate for one in vehicle.chain[:3])
    await clients["oem"].publish_vehicle(leaf, sub_1, sub_2)
    recipient = public_key(load(leaf))
    assert isinstance(recipient, ec.EllipticCurvePublicKey)
    assert isinstance(contract_key.key, ec.EllipticCurvePrivateKey)
    sealed = seal_key(ISO2, contract_key.key, recipient)
    chain = [one.certificate for one in contract.chain[:3]]
    data = ContractData(chain[0], chain[2], chain[1], sealed.encrypted_private_key, sealed.dh_public_key)
    await clients["mo-own-pki"].sign_contract(data, pcid=PCID)
    root = (await authorities.newest("iso2-strict", "v2g-root")).certificate
    identifier = X509IssuerSerialType(X509IssuerName="CN=Plugbench V2G Root CA", X509SerialNumber=root.serial_number)
    body = iso2.CertificateInstallationReqType(
        Id="ID1",
        OEMProvisioningCert=leaf,
        ListOfRootCertificateIDs=iso2.ListOfRootCertificateIDsType(RootCertificateID=[identifier]),
    )
    header = iso2.MessageHeaderType(SessionID=bytes(range(8)))
    message = iso2.V2G_Message(Header=header, Body=iso2.BodyType(BodyElement=body))
    sign_message(message, signer(vehicle_key.key), P256)
    request = encode(message)
    (answer,) = await clients["cpo"].request_contract(request, deadline_s=60)
    tokens = {name: await client._session._bearer() for name, client in clients.items()}
    for client in clients.values():
        await client.close()
    await authorities.close()
    await database.close()
    return Ecosystem(folder, request, answer.message, vehicle, tokens)


def _pcid(number: int) -> str:
    return f"PLBFLEET{number:010d}"


def _emaid(number: int) -> str:
    return f"DEPLBF{number:08d}"


def _fill(engine: sa.Engine, begin: int, end: int, chain: tuple[bytes, bytes, bytes]) -> None:
    """Vehicles and contracts that are only there."""
    until = int((datetime.now().astimezone() + timedelta(days=365)).timestamp())
    with engine.begin() as connection:
        connection.exec_driver_sql("PRAGMA synchronous=OFF")
        for first in range(begin, end, 50_000):
            numbers = range(first, min(first + 50_000, end))
            connection.execute(PROVISIONING.insert(), [_vehicle_row(number, until, chain) for number in numbers])
            connection.execute(CONTRACTS.insert(), [_contract_row(number) for number in numbers])
            connection.execute(SIGNED_CONTRACTS.insert(), [_signed_row(number, until) for number in numbers])


def _vehicle_row(number: int, until: int, chain: tuple[bytes, bytes, bytes]) -> dict[str, object]:
    return {
        "pcid_key": _pcid(number),
        "pcid": _pcid(number),
        "certificate": chain[0],
        "sub_ca_2": chain[1],
        "sub_ca_1": chain[2],
        "namespace": "urn:iso:15118:2:2013:MsgDef",
        "root_id": "0",
        "v2g_root_key_identifiers": [],
        "previous_pcid": "",
        "public_key_hash": "0" * 64,
        "valid_to": until,
        "owner": "bench",
        "stored": 0,
    }


def _contract_row(number: int) -> dict[str, object]:
    return {
        "emaid_key": _emaid(number),
        "emaid": _emaid(number),
        "pcid_key": _pcid(number),
        "pcid": _pcid(number),
        "provider_id": "DEPLB",
        "is_default": True,
        "created": 0,
        "sequence": 1,
        "owner": "bench",
    }


def _signed_row(number: int, until: int) -> dict[str, object]:
    return {
        "emaid_key": _emaid(number),
        "namespace": "urn:iso:15118:2:2013:MsgDef",
        "cps_root_id": "0",
        "message": FILLER,
        "xml": FILLER,
        "contract_certificate": FILLER,
        "cps_root_name": "nobody",
        "valid_to": until,
        "stored": 0,
    }
