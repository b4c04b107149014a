from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext

from backends.operators.cpo import tables
from backends.operators.cpo.schema import METADATA
from backends.store.database import Database
from backends.store.migrate import migrate
from tests.doubles import ManualClock


@pytest.fixture
def engine(any_url: str) -> Iterator[sa.Engine]:
    made = sa.create_engine(any_url)
    yield made
    made.dispose()


def test_the_migrations_make_the_schema(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        tables.prepare(connection)  # the second time it changes nothing
        context = MigrationContext.configure(connection, opts={"version_table": "csms_version"})
        changes = [one for one in compare_metadata(context, METADATA) if "csms_" in str(one)]
        assert [one for one in changes if one[0] != "remove_table"] == []


def test_the_way_back(engine: sa.Engine) -> None:
    config = Config()
    config.set_main_option("script_location", str(tables.MIGRATIONS))
    config.set_main_option("path_separator", "os")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
        assert [name for name in sa.inspect(connection).get_table_names() if name.startswith("csms_")] == [
            "csms_version"
        ]
        tables.prepare(connection)


async def test_a_database_that_the_pools_use_too(tmp_path: Path) -> None:
    url, clock = f"sqlite:///{tmp_path / 'one.db'}", ManualClock()
    for prepare in (migrate, tables.prepare, migrate):
        await Database(url, clock, prepare).close()


async def test_two_servers_that_start_at_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'one.db'}"
    made = await asyncio.gather(*(asyncio.to_thread(Database, url, ManualClock(), tables.prepare) for _ in range(3)))
    for one in made:
        await one.close()
