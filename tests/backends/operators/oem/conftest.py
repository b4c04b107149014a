from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.backends.ecosystem import Ecosystem, ecosystem
from tests.backends.opcp.conftest import template
from tests.backends.opcp.story import Story
from tests.postgres import as_it_is

__all__ = ["template"]
MODULES = ("token", "rcp", "pcp", "cps", "ccp", "webhooks", "est")


@pytest.fixture
async def story(template: Ecosystem, tmp_path: Path) -> AsyncIterator[Story]:
    """Pools with enrolment."""
    shutil.copy(template.folder / "pools.db", tmp_path)
    async with ecosystem(f"sqlite:///{tmp_path / 'pools.db'}", tmp_path, as_it_is, template) as world:
        world.app = world._app(MODULES)
        told = Story(world)
        await told.begin()
        yield told
