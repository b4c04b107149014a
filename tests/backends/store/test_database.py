import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from backends.store.database import Database, StoreError
from backends.store.locks import lock
from backends.store.migrate import MIGRATIONS, _newest, migrate
from backends.store.schema import AUDIT, CONTRACT_CERTIFICATES, CONTRACTS, METADATA, SIGNED_CONTRACTS
from tests.doubles import ManualClock


@pytest.fixture
async def database(store_url: str) -> AsyncIterator[Database]:
    opened = Database(store_url, ManualClock())
    yield opened
    await opened.close()


def add(connection: sa.Connection, subject: str = "x") -> None:
    connection.execute(AUDIT.insert().values(at=1, actor="a", operation="o", subject=subject))


def count(connection: sa.Connection) -> int:
    return connection.execute(sa.select(sa.func.count()).select_from(AUDIT)).scalar_one()


async def test_a_write_commits_and_a_failed_one_leaves_nothing(database: Database) -> None:
    await database.write(add)

    def fails(connection: sa.Connection) -> None:
        add(connection)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await database.write(fails)
    assert await database.read(count) == 1


async def test_the_migrations_make_the_schema_of_the_tables(database: Database) -> None:
    def differences(connection: sa.Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection), METADATA))

    assert await database.read(differences) == []


async def test_a_store_of_the_newest_schema_opens_without_migrations(store_url: str) -> None:
    """Alembic agrees about which revision is the newest."""
    assert _newest() == ScriptDirectory(str(MIGRATIONS)).get_current_head()
    code = "import sys, backends.store.database as d; from tests.doubles import ManualClock; "
    code += f"d.Database({store_url!r}, ManualClock()); sys.exit('alembic' in sys.modules)"
    assert await (await asyncio.create_subprocess_exec(sys.executable, "-c", code)).wait() == 0


async def test_contracts_of_an_older_store_keep_their_certificates(tmp_path: Path) -> None:
    clock, url = ManualClock(), f"sqlite:///{tmp_path / 'store.db'}"
    old = Database(url, clock, prepare=lambda connection: migrate(connection, "0001"))
    row = {"emaid_key": "E", "emaid": "E", "pcid_key": "P", "pcid": "P", "provider_id": "E", "owner": "mo"}
    row |= {"is_default": True, "created": 0, "sequence": 1, "issued_here": True}
    signed = {"emaid_key": "E", "message": b"m", "xml": b"x", "contract_certificate": b"leaf"}
    signed |= {"cps_root_name": "r", "valid_to": 9, "stored": 0, "cps_root_id": "r"}

    def fill(connection: sa.Connection) -> None:
        before = sa.Table("contracts", sa.MetaData(), autoload_with=connection)
        connection.execute(before.insert().values(row))
        for namespace in ("iso2", "iso20"):
            connection.execute(SIGNED_CONTRACTS.insert().values(signed | {"namespace": namespace}))

    await old.write(fill)
    await old.close()
    new = Database(url, clock)
    (kept,) = await new.read(lambda connection: connection.execute(sa.select(CONTRACT_CERTIFICATES)).all())
    assert (kept.emaid_key, kept.certificate, kept.issued_here) == ("E", b"leaf", True)
    assert await new.read(lambda connection: connection.execute(sa.select(CONTRACTS.c.emaid)).scalar_one()) == "E"
    await new.close()


async def test_a_read_cannot_hide_a_write(database: Database) -> None:
    async def writers() -> None:
        await asyncio.gather(*(database.write(lambda c, n=n: add(c, str(n))) for n in range(50)))

    await asyncio.gather(writers(), *(database.read(count) for _ in range(50)))
    assert await database.read(count) == 50


async def test_virtual_time_waits_for_the_database(tmp_path: Path) -> None:
    clock = ManualClock()
    database = Database(f"sqlite:///{tmp_path / 'store.db'}", clock)
    await database.read(count)
    assert clock.holds == 1
    await database.close()


async def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    path.write_bytes(b"this is a text file, not a database" * 100)
    with pytest.raises(StoreError, match=r"store\.db.*not a database"):
        Database(f"sqlite:///{path}", ManualClock())


async def test_only_the_owner_may_read_the_file(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'store.db'}", ManualClock())
    await database.close()
    assert (tmp_path / "store.db").stat().st_mode & 0o077 == 0


async def test_no_password_in_an_error() -> None:
    with pytest.raises(StoreError) as refused:
        Database("postgresql+psycopg://u:s3cret@127.0.0.1:1/x", ManualClock())
    assert "s3cret" not in str(refused.value)


async def test_a_lock_keeps_others_out_until_the_transaction_ends(store_url: str) -> None:
    """Read, then write what was read plus one: without the lock some would be lost."""
    servers = [Database(store_url, ManualClock()) for _ in range(2)]

    def add_one(connection: sa.Connection) -> None:
        lock(connection, "counter")
        add(connection, str(count(connection)))

    await asyncio.gather(*(server.write(add_one) for server in servers for _ in range(20)))
    subjects = await servers[0].read(lambda c: set(c.scalars(sa.select(AUDIT.c.subject))))
    assert subjects == {str(number) for number in range(40)}
    for server in servers:
        await server.close()


async def test_two_servers_may_migrate_at_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'store.db'}"
    servers = await asyncio.gather(*(asyncio.to_thread(Database, url, ManualClock()) for _ in range(2)))
    for server in servers:
        assert await server.read(count) == 0
        await server.close()


async def test_the_version_changes_with_every_commit_of_anybody(store_url: str, database: Database) -> None:
    assert await database.look_up(count) == 0
    before = database.version()
    if not database.is_sqlite:
        assert before is None
        return
    assert database.version() == before
    await database.write(add)
    own = database.version()
    assert own != before
    other = Database(store_url, ManualClock())
    await other.write(add)
    await other.close()
    assert database.version() != own
    assert await database.look_up(count) == 2
