"""Several deliveries at once, on both engines: one bill."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from backend_client.ocpi_session import OcpiRefused
from backends.operators.mo.tables import BILLS, CDRS
from ports.backend import Ack
from tests.backends.operators.mo.bench import mo_bench


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'mo.db'}"
    server = request.getfixturevalue("postgres")
    return str(server.url(server.new_database()))


async def test_deliveries_at_once_make_one_bill(url: str, tmp_path: Path) -> None:
    async with mo_bench(tmp_path, url=url) as bench:
        detail = bench.station.charge()
        same = [bench.cdrs.push(detail) for _ in range(6)]
        others = [bench.cdrs.push(replace(detail, id=f"other-{number}")) for number in range(3)]
        ended = await asyncio.gather(*same, *others, return_exceptions=True)
        assert len(await bench.rows(BILLS)) == 1
        billed = [row for row in await bench.rows(CDRS) if row.status == "billed"]
        assert len(billed) == 1
        refused = [one for one in ended if isinstance(one, OcpiRefused)]
        assert all("billed before" in str(one) for one in refused)
        # whoever came first has the bill; every other id is refused, every repetition is told what its first was told
        assert len(refused) == (3 if billed[0].id == detail.id else 8)
        assert ended.count(Ack.STORED) == 1
