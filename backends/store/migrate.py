"""Bring a database to the newest schema, under a lock, from any older one."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import sqlalchemy as sa

MIGRATIONS = Path(__file__).parent / "migrations"
LOCK_ID = 0x506C7567  # "Plug": so that two servers on one PostgreSQL do not migrate at once


_NEWEST_SQLITE: list[str] = []
"""What makes the newest schema in an empty SQLite file, once the migrations made it in one: this takes a fortieth."""


def migrate(connection: sa.Connection, revision: str = "head") -> None:
    """Apply what is missing within the open transaction; nothing when the schema is the newest. Raises DBAPIError."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(:id)"), {"id": LOCK_ID})
    if revision == "head" and _revision(connection) == _newest():
        return
    is_empty = connection.dialect.name == "sqlite" and not sa.inspect(connection).get_table_names()
    if revision == "head" and is_empty and _NEWEST_SQLITE:
        for statement in _NEWEST_SQLITE:
            connection.exec_driver_sql(statement)
        return
    from alembic import command  # takes longer to import than everything else of the store
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, revision)
    if revision == "head" and is_empty:
        _NEWEST_SQLITE[:] = _dump(connection)


def _dump(connection: sa.Connection) -> list[str]:
    """Everything in an SQLite database, as statements."""
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)  # noqa: S101 - for the type checker
    return [line for line in driver.iterdump() if line not in ("BEGIN TRANSACTION;", "COMMIT;")]


def _revision(connection: sa.Connection) -> str:
    """Of the schema as it is, "" = none yet."""
    if not sa.inspect(connection).has_table("alembic_version"):
        return ""
    return str(connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar_one_or_none() or "")


def _newest() -> str:
    """The files are named after their revision: 0001_first_schema.py."""
    return max(path.name for path in (MIGRATIONS / "versions").glob("[0-9]*.py")).partition("_")[0]
