"""CDRs over OCPI: each billed once, by the MO's own keys, or refused with the reason."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from backends.operators.mo.tables import BILLS, CDRS
from ports.backend import Ack
from tests.backends.operators.mo.bench import MoBench, mo_bench


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[MoBench]:
    async with mo_bench(tmp_path) as made:
        yield made


async def test_a_cdr_is_billed_once(bench: MoBench) -> None:
    detail = bench.station.charge()
    assert await bench.cdrs.push(detail) is Ack.STORED
    bench.clock.advance(60)
    assert await bench.cdrs.push(detail) is Ack.DUPLICATE
    (row,) = await bench.rows(CDRS)
    assert (row.status, row.energy_kwh, row.deliveries) == ("billed", "3.500", 2)
    (bill,) = await bench.rows(BILLS)
    assert (bill.bill["net"], bill.bill["vat"], bill.bill["total"]) == ("2.09", "0.40", "2.49")
    assert [line["amount"] for line in bill.bill["lines"]] == ["1.59", "0.50"]
