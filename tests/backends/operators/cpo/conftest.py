from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from backends.operators.cpo.tables import prepare
from backends.store.database import Database
from tests.backends.operators.cpo.parts import fresh_url
from tests.doubles import ManualClock


@pytest.fixture
def ledger_url(tmp_path: Path) -> str:
    """A fresh SQLite database with the CPO's tables."""
    return fresh_url(tmp_path)


@pytest.fixture(params=["sqlite", "postgresql"])
def any_url(request: pytest.FixtureRequest) -> str:
    """The same on each engine."""
    if request.param == "sqlite":
        url: str = request.getfixturevalue("ledger_url")
        return url
    server = request.getfixturevalue("postgres")
    url = server.url(server.new_database())

    async def make() -> None:
        await Database(url, ManualClock(), prepare).close()

    asyncio.run(make())
    return url
