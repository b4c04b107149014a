"""A whole ecosystem in one folder: database, PKI, roots in the pool, one client per role; then any modules of it."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import sqlalchemy as sa
from starlette.applications import Starlette

from backends.access import Principal, Role
from backends.guarded_http import LOOPBACK, GuardedHttp, Network
from backends.http_server import HttpServer, serve_asgi
from backends.opcp.app import MODULES, build_app
from backends.opcp.services import Services
from backends.pki.authorities import CertificateAuthorities
from backends.pki.build_realm import build_realm
from backends.pki.ca_keys import FileKeys, Passphrase
from backends.pki.revocation import Policy, RevocationChecker, RevocationRules
from backends.pools.own_pki import OwnPki
from backends.pools.revocation import AskedRevocation
from backends.pools.root_pool import RootPool, RootType
from backends.pools.webhook_target import TargetRules
from backends.sealing import Sealer
from backends.store.database import Database
from backends.store.ids import SYSTEM
from backends.store.schema import CLIENTS
from backends.token.clients import register_client
from ports.clock import Clock
from ports.errors import RigError
from ports.trace import Tracer, no_trace

AUDIENCE = "https://pools.plugbench.example"
PRESETS = ("iso2-strict", "iso20-strict")
ACTOR = "bring-up"
ROOT_TYPES = {"v2g-root": RootType.V2G, "mo-root": RootType.MO, "oem-root": RootType.OEM}


@dataclass(frozen=True, slots=True)
class Client:
    """Somebody who may ask for tokens."""

    client_id: str
    role: Role
    wmis: tuple[str, ...] = ()
    provider_ids: tuple[str, ...] = ()
    client_secret: str = field(default="", repr=False)


# WMI and provider id are those of the certificates that the PKI presets make.
EXAMPLES = (
    Client("admin", Role.ADMIN),
    Client("oem", Role.OEM, wmis=("PLB",)),
    Client("mo", Role.MO_V2G_PKI, provider_ids=("DEPLB",)),
    Client("mo-own-pki", Role.MO_OWN_PKI, provider_ids=("DEPLB",)),
    Client("cpo", Role.CPO),
    Client("cps", Role.CPS),
)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to bring up.

    folder: of everything that is kept. port: 0 takes a free one. modules: names of MODULES. database: SQLAlchemy URL,
    "" = SQLite in the folder. allow_loopback: webhooks and OCSP requests may go to this machine. certificate, key: PEM
    files for HTTPS; client_ca: PEM file, clients may then show a certificate of it.
    strict_revocation: refuse certificates whose status nobody knows. presets: the realms to make, one per edition.
    clients: who gets a secret and may ask for tokens, where the folder has no clients yet.
    """

    folder: Path
    host: str = "127.0.0.1"
    port: int = 0
    modules: tuple[str, ...] = tuple(MODULES)
    database: str = ""
    allow_loopback: bool = False
    strict_revocation: bool = False
    certificate: Path | None = None
    key: Path | None = None
    client_ca: Path | None = None
    presets: tuple[str, ...] = PRESETS
    clients: tuple[Client, ...] = EXAMPLES


@dataclass(frozen=True, slots=True)
class Running:
    """What runs. url: of all modules. clients: with their secrets, also in `clients_file` (mode 0600)."""

    url: str
    modules: Sequence[str]
    audience: str
    clients_file: Path
    clients: Sequence[Client] = field(repr=False)
    server: HttpServer
    app: Starlette
    services: Services


@asynccontextmanager
async def brought_up(
    plan: Plan,
    clock: Clock,
    tracer: Tracer = no_trace,
    *,
    before: Callable[[Any], Any] = lambda app: app,
    random: Callable[[str], Random] = lambda _part: SYSTEM,
) -> AsyncIterator[Running]:
    """Make what is missing and serve until the end of the context. before: what stands before the ASGI application.

    random: the source of ids of a part ("store", "api"); keys and secrets are never drawn from it.
    Raises RigError, StoreError.
    """
    if unknown := sorted(set(plan.modules) - set(MODULES)):
        raise RigError(f"no module {', '.join(unknown)}; there are {', '.join(MODULES)}")
    context = _tls(plan)
    port = plan.port or _free_port(plan.host)
    scheme = "https" if context else "http"
    host = f"[{plan.host}]" if ":" in plan.host else plan.host
    with _only_one(plan.folder):
        sealer = Sealer.from_file(plan.folder / "master.key")
        database = Database(plan.database or f"sqlite:///{plan.folder / 'pools.db'}", clock, random=random("store"))
        authorities = CertificateAuthorities(
            database,
            clock,
            FileKeys(plan.folder / "pki", _passphrase(plan.folder)),
            ocsp_url=f"http://{host}:{port}/ocsp",
        )
        clients = await _clients(plan, database, clock)
        await _pki(authorities, RootPool(database, clock), plan.presets)
    allowed: tuple[Network, ...] = LOOPBACK if plan.allow_loopback else ()
    http = GuardedHttp(allowed=allowed)
    rules = RevocationRules(policy=Policy.HARD if plan.strict_revocation else Policy.SOFT)
    own = OwnPki(authorities)
    services = Services(
        database,
        sealer,
        clock,
        issuer=f"{AUDIENCE}/",
        audience=AUDIENCE,
        revocation=AskedRevocation(RevocationChecker(database=database, http=http, rules=rules), clock),
        revoke_contracts=own.revoke_all,
        find_signers=own.signers,
        mo_ca=own,
        authorities=authorities,
        targets=TargetRules(allowed),
        tracer=tracer,
        random=random("api"),
    )
    try:
        app = build_app(plan.modules, services)
        async with await serve_asgi(before(app), plan.host, port, ssl=context, clock=clock) as server:
            url = f"{scheme}://{host}:{server.port}"
            modules = [name for name in MODULES if name in plan.modules]
            yield Running(url, modules, AUDIENCE, plan.folder / "clients.json", clients, server, app, services)
    finally:
        await http.close()
        await authorities.close()
        await database.close()


async def _clients(plan: Plan, database: Database, clock: Clock) -> Sequence[Client]:
    """One client per role; their secrets are made once and written where only the owner reads them."""
    path = plan.folder / "clients.json"
    if path.exists():
        content = json.loads(path.read_text(encoding="utf-8"))["clients"]
        clients = [Client(**{**one, "role": Role(one["role"]), **_tuples(one)}) for one in content]
    else:
        clients = [Client(**{**asdict(one), "client_secret": secrets.token_urlsafe(24)}) for one in plan.clients]
        text = json.dumps({"audience": AUDIENCE, "clients": [asdict(one) for one in clients]}, indent=2)
        _write_private(path, text + "\n")
    at = int(clock.now().timestamp())

    def register(connection: sa.Connection) -> None:
        known = set(connection.scalars(sa.select(CLIENTS.c.client_id)))
        for one in clients:
            if one.client_id not in known:
                register_client(
                    connection,
                    client_id=one.client_id,
                    secret=one.client_secret,
                    role=one.role,
                    at=at,
                    wmis=one.wmis,
                    provider_ids=one.provider_ids,
                )

    await database.write(register)
    return clients


def _tuples(one: dict[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    return {name: tuple(one[name]) for name in ("wmis", "provider_ids")}


async def _pki(authorities: CertificateAuthorities, pool: RootPool, presets: Sequence[str]) -> None:
    """A realm for each edition of ISO 15118 that is wanted, its roots in the pool."""
    known = {realm.realm for realm in await authorities.realms()}
    operator = Principal(ACTOR, ACTOR, frozenset({Role.ADMIN}))
    for preset in presets:
        if preset in known:
            continue
        issued = await build_realm(authorities, preset, preset, actor=ACTOR)
        for kind, root_type in ROOT_TYPES.items():
            if kind in issued:
                await pool.put(issued[kind].stored.certificate, root_type, operator)


def _passphrase(folder: Path) -> Passphrase:
    path = folder / "pki.passphrase"
    if not path.exists():
        _write_private(path, secrets.token_urlsafe(24) + "\n")
    return Passphrase(path)


def _write_private(path: Path, text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)


@contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    """Several servers may share a folder; one at a time sets it up."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(folder / "lock", os.O_CREAT | os.O_RDWR, 0o600)
    except OSError as error:
        raise RigError(f"{folder}: {error.strerror}") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _free_port(host: str) -> int:
    """Certificates name the OCSP responder, so the port has to be known before there is a server."""
    with socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET) as one:
        return int(one.getsockname()[1])


def _tls(plan: Plan) -> ssl.SSLContext | None:
    if plan.certificate is None:
        if plan.client_ca is not None or plan.key is not None:
            raise RigError("a key or a client CA needs a server certificate, too")
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(plan.certificate, plan.key)
        if plan.client_ca is not None:
            context.load_verify_locations(plan.client_ca)
            context.verify_mode = ssl.CERT_OPTIONAL
    except (OSError, ssl.SSLError) as error:
        raise RigError(f"TLS files {plan.certificate}, {plan.key}, {plan.client_ca}: {error}") from error
    return context
