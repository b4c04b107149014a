"""Bring a database to the newest schema, under a lock, from any older one."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

MIGRATIONS = Path(__file__).parent / "migrations"
LOCK_ID = 0x506C7567  # "Plug": so that two servers on one PostgreSQL do not migrate at once


def migrate(connection: sa.Connection, revision: str = "head") -> None:
    """Apply what is missing within the open transaction; nothing when the schema is the newest. Raises DBAPIError."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(:id)"), {"id": LOCK_ID})
    command.upgrade(config, revision)
