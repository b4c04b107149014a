"""Tables of an actor, made where they are missing; those of another version are left alone."""

from __future__ import annotations

import sqlalchemy as sa

from backends.store.database import StoreError


def version_table(metadata: sa.MetaData, prefix: str) -> sa.Table:
    """The table that says which version the others of this prefix have."""
    return sa.Table(f"{prefix}_version", metadata, sa.Column("version", sa.Integer, nullable=False))


def make_tables(connection: sa.Connection, metadata: sa.MetaData, table: sa.Table, version: int) -> None:
    """table: of `version_table`. Raises StoreError for tables of another version."""
    metadata.create_all(connection)
    found = connection.execute(sa.select(table.c.version)).scalar_one_or_none()
    if found is None:
        connection.execute(table.insert().values(version=version))
    elif found != version:
        owner = table.name.removesuffix("_version")
        raise StoreError(f"tables {owner}_... have version {found}, this program knows {version}: use another database")
