"""Clients of the pools: registered with a role and the identifiers that they own."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

import sqlalchemy as sa

from backends.access import Principal, Role
from backends.sealing import hash_secret, secret_matches
from backends.store.schema import CLIENTS

# compared against when the client is unknown, so that the answer takes as long as for a wrong secret
_NOBODY = hash_secret(secrets.token_urlsafe())


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
    connection.execute(CLIENTS.delete().where(CLIENTS.c.client_id == client_id))
    connection.execute(
        CLIENTS.insert().values(
            client_id=client_id,
            name=name or client_id,
            role=role.value,
            wmis=[wmi.upper() for wmi in wmis],
            provider_ids=[provider.replace("-", "").upper() for provider in provider_ids],
            secret_hash=hash_secret(secret),
            created=at,
            disabled=False,
        )
    )


def find_client(connection: sa.Connection, client_id: str, secret: str) -> Principal | None:
    """The client if the secret is right, else None; takes the same time in both cases."""
    row = connection.execute(sa.select(CLIENTS).where(CLIENTS.c.client_id == client_id)).one_or_none()
    matches = secret_matches(secret, row.secret_hash if row else _NOBODY)
    if row is None or not matches or row.disabled:
        return None
    return Principal(
        row.client_id, row.name, frozenset({Role(row.role)}), frozenset(row.wmis), frozenset(row.provider_ids)
    )
