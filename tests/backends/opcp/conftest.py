from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.backends.ecosystem import Ecosystem, ecosystem
from tests.backends.opcp.story import Story
from tests.postgres import as_it_is


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Ecosystem:
    """An ecosystem with PKI, clients and webhooks; every test gets a copy."""
    folder = tmp_path_factory.mktemp("template")

    async def make() -> Ecosystem:
        async with ecosystem(f"sqlite:///{folder / 'pools.db'}", folder) as world:
            told = Story(world)
            await told.begin()
            await told.listen()
            return world

    return asyncio.run(make())


@pytest.fixture
async def story(template: Ecosystem, tmp_path: Path) -> AsyncIterator[Story]:
    shutil.copy(template.folder / "pools.db", tmp_path)
    async with ecosystem(f"sqlite:///{tmp_path / 'pools.db'}", tmp_path, as_it_is, template) as world:
        told = Story(world)
        await told.begin()
        yield told
