"""Bring a database to the newest tables of the CPO; it may be one that others use, too."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from backends import cpo_store
from backends.store.locks import lock

MIGRATIONS = Path(__file__).parent / "migrations"


def prepare(connection: sa.Connection) -> None:
    """Make what is missing within the open transaction: for `Database(url, clock, prepare)`. Raises StoreError."""
    lock(connection, "cpo:migrate")
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    cpo_store.prepare(connection)
