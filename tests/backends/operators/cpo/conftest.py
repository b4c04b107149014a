from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from backends.operators.cpo.tables import prepare
from backends.store.database import Database
from tests.doubles import ManualClock


def _prepare(url: str) -> None:
    async def run() -> None:
        await Database(url, ManualClock(), prepare).close()

    asyncio.run(run())


@pytest.fixture(scope="session")
def ledger_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with the CPO's tables."""
    path = tmp_path_factory.mktemp("cpo") / "cpo.db"
    _prepare(f"sqlite:///{path}")
    return path


@pytest.fixture
def ledger_url(ledger_template: Path, tmp_path: Path) -> str:
    """A fresh SQLite database with the CPO's tables."""
    shutil.copy(ledger_template, tmp_path / "cpo.db")
    return f"sqlite:///{tmp_path / 'cpo.db'}"


@pytest.fixture(params=["sqlite", "postgresql"])
def any_url(request: pytest.FixtureRequest) -> str:
    """The same on each engine."""
    if request.param == "sqlite":
        url: str = request.getfixturevalue("ledger_url")
        return url
    server = request.getfixturevalue("postgres")
    url = server.url(server.new_database())
    _prepare(url)
    return url
