"""Clients of the pools: registered with a role and the identifiers that they own."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

import sqlalchemy as sa

from backends.access import Principal, Role
from backends.sealing import hash_secret, secret_matches
from backends.store.audit import record
from backends.store.schema import CLIENTS

# in the form of `hash_secret`: compared against when the client is unknown, which takes as long as for a wrong secret
_NOBODY = f"{secrets.token_hex(16)}${secrets.token_hex(32)}"
_SHOWN = [CLIENTS.c[name] for name in ("client_id", "name", "role", "wmis", "provider_ids", "disabled")]


def register_client(
    connection: sa.Connection,
    *,
    client_id: str,
    secret: str,
    role: Role,
    at: int,
    name: str = "",
    wmis: Sequence[str] = (),
    provider_ids: Sequence[str] = (),
) -> None:
    """Add or replace a client; only the hash of the secret is kept. at: seconds since 1970."""
    same = CLIENTS.c.client_id == client_id
    before = connection.execute(sa.select(*_SHOWN).where(same)).one_or_none()
    connection.execute(CLIENTS.delete().where(same))
    shown = {
        "client_id": client_id,
        "name": name or client_id,
        "role": role.value,
        "wmis": [wmi.upper() for wmi in wmis],
        "provider_ids": [provider.replace("-", "").upper() for provider in provider_ids],
        "disabled": False,
    }
    connection.execute(CLIENTS.insert().values(**shown, secret_hash=hash_secret(secret), created=at))
    old = None if before is None else before._asdict()
    record(connection, at=at, actor="operator", operation="client.put", subject=client_id, before=old, after=shown)


def find_client(connection: sa.Connection, client_id: str, secret: str) -> Principal | None:
    """The client if the secret is right, else None; takes the same time in both cases."""
    row = connection.execute(sa.select(CLIENTS).where(CLIENTS.c.client_id == client_id)).one_or_none()
    matches = secret_matches(secret, row.secret_hash if row else _NOBODY)
    if row is None or not matches or row.disabled:
        return None
    return Principal(
        row.client_id, row.name, frozenset({Role(row.role)}), frozenset(row.wmis), frozenset(row.provider_ids)
    )
