"""Delivery over HTTP: what ends a delivery, what is tried again, and TLS that trusts only its own root."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import cast

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from backend_client.cpo_rest import MAX_ANSWER, CpoRest
from backend_client.credential import Credential
from backends import cpo_store
from backends.cpo import cpo_app
from backends.cpo_receiver import CpoReceiver, KeyPolicy
from backends.http_server import serve_asgi
from backends.store.database import Database
from ports.backend import Ack
from ports.errors import LocalError, PeerError, RigError
from tests.backends.signed_records import RecordMaker
from tests.doubles import ManualClock

RECORD = RecordMaker().make()


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = Database(f"sqlite:///{tmp_path / 'cpo.db'}", ManualClock(), cpo_store.prepare)
    yield opened
    await opened.close()


def app(database: Database, **options: str) -> object:
    clock = ManualClock()
    receiver = CpoReceiver(database, clock, policy=KeyPolicy.FIRST_USE)
    return cpo_app(receiver, database, clock, token=options.get("token"))


async def test_over_a_real_connection_a_record_is_stored_once(database: Database) -> None:
    async with await serve_asgi(app(database)) as server, CpoRest(f"{server.url}/") as backend:
        assert await backend.deliver(RECORD) is Ack.STORED
        assert await backend.deliver(RECORD) is Ack.DUPLICATE
        url = server.url
    async with CpoRest(url) as backend:
        with pytest.raises(RigError, match=r"gave no answer: ConnectError"):
            await backend.deliver(RECORD)


def answering(status: int, body: object = None) -> Callable[[httpx.Request], httpx.Response]:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return lambda request: httpx.Response(status, content=content)


GOOD = {"record_id": RECORD.record_id, "ack": "stored"}
BAD = {"record_id": RECORD.record_id, "error": "signature", "reason": "does not fit"}


@pytest.mark.parametrize(
    ("status", "body", "kind", "text"),
    [
        (422, BAD, PeerError, "refused page T1 with 422 signature: does not fit"),
        (409, BAD, PeerError, "409"),
        (413, b"too large", PeerError, "413"),
        (400, {"detail": "x"}, PeerError, "400"),
        (424, BAD, RigError, "424"),
        (401, BAD, RigError, "401"),
        (404, b"<html>", RigError, "404 with something else"),
        (429, BAD, RigError, "429"),
        (500, BAD, RigError, "500"),
        (503, b"", RigError, "503"),
        (302, b"", RigError, "302"),
        (200, b"", RigError, "not JSON"),
        (200, GOOD | {"ack": "what"}, RigError, "ack"),
        (200, {"record_id": RECORD.record_id}, RigError, "answered 200"),
        (201, GOOD | {"record_id": "0" * 64}, RigError, "acknowledged record 0000"),
        (200, b"x" * (MAX_ANSWER + 1), RigError, "longer than"),
    ],
)
async def test_only_a_clear_answer_ends_a_delivery(status: int, body: object, kind: type[Exception], text: str) -> None:
    async with CpoRest("http://cpo", transport=httpx.MockTransport(answering(status, body))) as backend:
        with pytest.raises(kind, match=text):
            await backend.deliver(RECORD)


@asynccontextmanager
async def talking(answer: bytes | None) -> AsyncIterator[str]:
    """A server that reads a request and sends these octets, or nothing until the client goes; yields its URL."""
    connections: list[asyncio.Task[None]] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(cast("asyncio.Task[None]", asyncio.current_task()))
        await reader.readuntil(b"\r\n\r\n")
        if answer is None:
            await reader.read()
        else:
            writer.write(answer)
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()
    await asyncio.gather(*connections, return_exceptions=True)


async def test_a_slow_backend_times_out() -> None:
    async with talking(None) as url, CpoRest(url, timeout_s=0.05) as backend:
        with pytest.raises(RigError, match="ReadTimeout"):
            await backend.deliver(RECORD)
        await backend.close()


async def test_an_answer_cut_short_is_no_answer() -> None:
    async with talking(b"HTTP/1.1 201 Created\r\nContent-Length: 100\r\n\r\n{") as url, CpoRest(url) as backend:
        with pytest.raises(RigError, match=r"RemoteProtocolError|ReadError"):
            await backend.deliver(RECORD)
        await backend.close()


async def test_the_token_comes_from_a_file(database: Database, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("s3cret\n")
    transport = httpx.ASGITransport(app(database, token="s3cret"))  # type: ignore[arg-type]
    async with CpoRest("http://cpo", token=Credential(token), transport=transport) as backend:
        assert await backend.deliver(RECORD) is Ack.STORED
    with pytest.raises(RigError, match="cannot be read"):
        CpoRest("http://cpo", token=Credential(tmp_path / "missing"))


def test_other_schemes_and_missing_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LocalError, match="scheme"):
        CpoRest("ftp://cpo")
    with pytest.raises(RigError, match=r"root\.pem for TLS"):
        CpoRest("https://cpo", ca_file=tmp_path / "root.pem")


async def test_https_trusts_only_the_given_root(database: Database, tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "cpo")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    root, private = tmp_path / "root.pem", tmp_path / "key.pem"
    root.write_bytes(certificate.public_bytes(Encoding.PEM))
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(root, private)
    async with await serve_asgi(app(database), ssl=context) as server:
        async with CpoRest(server.url, ca_file=root) as backend:
            assert await backend.deliver(RECORD) is Ack.STORED
        async with CpoRest(server.url) as backend:
            with pytest.raises(RigError, match="CERTIFICATE_VERIFY_FAILED"):
                await backend.deliver(RECORD)
