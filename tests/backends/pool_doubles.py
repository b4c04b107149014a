"""Doubles around the pools: the servers of webhook owners, OCSP, the MO CA; and rows of the contract pool."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from asn1crypto.x509 import Certificate  # type: ignore[import-untyped]

from backends.access import Principal, Role
from backends.pools.editions import ISO2
from backends.pools.identifiers import emaid_key
from backends.refusals import Refusal, Refused
from backends.store.database import Database
from backends.store.schema import AUDIT, CONTRACT_CERTIFICATES, CONTRACTS, EVENTS, SIGNED_CONTRACTS
from ports.errors import RigError
from tests.backends.chains import Tree, issue
from v2g.certificates import common_name

ADMIN = Principal("admin", "Admin", frozenset({Role.ADMIN}))
OEM = Principal("oem", "OEM", frozenset({Role.OEM}), wmis=frozenset({"WMI"}))
MO = Principal("mo", "MO", frozenset({Role.MO_OWN_PKI}), provider_ids=frozenset({"DE8AA"}))


@dataclass(frozen=True, slots=True)
class Sent:
    """A webhook that arrived."""

    url: str
    body: bytes
    headers: dict[str, str]

    @property
    def event(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(self.body)
        return content

    @property
    def kind(self) -> str:
        return str(self.event["eventType"])


@dataclass(slots=True)
class Outside:
    """All endpoints of the world. answers: by URL, the next one first; the last one stays. None = no answer."""

    answers: dict[str, list[int | None]] = field(default_factory=dict)
    sent: list[Sent] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, url: str, body: bytes, headers: dict[str, str], /) -> tuple[int | None, str]:
        self.sent.append(Sent(url, body, headers))
        self.arrived.set()
        answers = self.answers.get(url, [200])
        status = answers.pop(0) if len(answers) > 1 else answers[0]
        return status, "" if status else "no answer"

    def kinds(self, url: str) -> list[str]:
        return [one.kind for one in self.sent if one.url == url]


@dataclass(slots=True)
class Revocations:
    """OCSP as a table: common names that are revoked or unknown."""

    revoked: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)
    asked: int = 0

    async def __call__(self, path: Sequence[Certificate], field: str, /) -> None:
        self.asked += 1
        for certificate in path:
            name = common_name(certificate)
            if name in self.revoked:
                raise Refused(Refusal.CERTIFICATE_REVOKED, name, field=field)
            if name in self.unknown:
                raise Refused(Refusal.STATUS_UNKNOWN, name, field=field)


@dataclass(slots=True)
class MoCa:
    """Revokes, or cannot."""

    broken: bool = False
    revoked: set[bytes] = field(default_factory=set)

    async def __call__(self, certificates: Collection[bytes], actor: str, /) -> None:
        if self.broken:
            raise RigError("the CA's token is away")
        self.revoked |= set(certificates)


async def add_contract(
    database: Database,
    tree: Tree,
    emaid: str,
    pcid: str,
    *,
    issued_here: bool = False,
    valid_to: int = 2**40,
    namespace: str = ISO2,
) -> bytes:
    """A row as the contract pool writes it; returns the contract certificate."""
    certificate = issue(emaid, 9, tree.sub_2, ca=False, component="MO").der
    row = {
        "emaid_key": emaid_key(emaid),
        "emaid": emaid,
        "pcid_key": pcid.upper(),
        "pcid": pcid,
        "provider_id": emaid[:5],
        "is_default": True,
        "created": 0,
        "sequence": 1,
        "owner": "mo",
    }
    known = {
        "emaid_key": emaid_key(emaid),
        "fingerprint": hashlib.sha256(certificate).hexdigest(),
        "certificate": certificate,
        "issued_here": issued_here,
    }
    signed = {
        "emaid_key": emaid_key(emaid),
        "namespace": namespace,
        "cps_root_id": "root",
        "message": b"exi",
        "xml": b"<xml/>",
        "contract_certificate": certificate,
        "cps_root_name": "V2G Root",
        "valid_to": valid_to,
        "stored": 0,
    }

    def work(connection: sa.Connection) -> None:
        if not connection.execute(sa.select(CONTRACTS).where(CONTRACTS.c.emaid_key == row["emaid_key"])).one_or_none():
            connection.execute(CONTRACTS.insert().values(row))
            connection.execute(CONTRACT_CERTIFICATES.insert().values(known))
        connection.execute(SIGNED_CONTRACTS.insert().values(signed))

    await database.write(work)
    return certificate


async def event_kinds(database: Database) -> list[str]:
    """All events so far, in order."""
    query = sa.select(EVENTS.c.event_type).order_by(EVENTS.c.sequence)
    return await database.read(lambda connection: list(connection.scalars(query)))


async def audit_log(database: Database) -> list[Any]:
    """All entries, in order."""
    query = sa.select(AUDIT).order_by(AUDIT.c.id)
    return await database.read(lambda connection: list(connection.execute(query).all()))


async def emaids(database: Database) -> list[str]:
    """Of all contracts."""
    query = sa.select(CONTRACTS.c.emaid).order_by(CONTRACTS.c.emaid)
    return await database.read(lambda connection: list(connection.scalars(query)))
