"""Public test data beside the repository."""

from __future__ import annotations

import functools
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

settings.register_profile("v2g", deadline=None)  # the machine may be busy
settings.load_profile("v2g")
SHARED_DATA = Path(__file__).parents[3] / "shared" / "data"


@pytest.fixture(scope="session")
def opcp_data() -> Path:
    folder = SHARED_DATA / "opcp"
    if not folder.is_dir():
        pytest.skip(f"public test data {folder} is absent")
    return folder


@pytest.fixture(scope="session")
def v2g_data() -> Path:
    folder = SHARED_DATA / "v2g"
    if not folder.is_dir():
        pytest.skip(f"public test data {folder} is absent")
    return folder


@pytest.fixture(scope="session")
def v2g_rows(v2g_data: Path) -> Callable[[str], list[dict[str, Any]]]:
    """Rows of one of the frame files by name, e.g. "audi-dc-iso2"."""

    @functools.cache
    def read(name: str) -> list[dict[str, Any]]:
        with gzip.open(v2g_data / f"{name}.jsonl.gz", "rt", encoding="utf-8") as file:
            return [json.loads(line) for line in file]

    return read
