"""What a mobility operator exports for its bills, before foreign judges: pyocmf 0.6.0 (PyPI, MIT), ocmf-js (npm, MIT).

One transaction per curve goes from a CPO to the MO twice: over OCPI, and over OICP through a hub (two MOs, one bill
each). Both exports must be verified, byte for byte what the meter's key signed, and of the same energy.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from pyocmf import OCMF, OcmfContainer, check_eichrecht_transaction

from backends.operators.mo.evidence import Evidence
from backends.operators.mo.tables import BILLS
from ports.charge_detail import ChargeDetail
from tests.backends.operators.hub.test_hub import hub_bench
from tests.backends.operators.mo.bench import MoBench, mo_bench
from tests.backends.operators.sessions import Station

CURVES = {"secp256r1": ec.SECP256R1(), "secp384r1": ec.SECP384R1(), "secp256k1": ec.SECP256K1()}


async def exported(bench: MoBench) -> list[Evidence]:
    return [await bench.mo.evidence(row.id) for row in await bench.rows(BILLS)]


@pytest.fixture(params=sorted(CURVES))
async def both(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[ChargeDetail, list[Evidence]]:
    """A transaction, and what both MOs export for it."""
    name = str(request.param)
    station = Station(meter="METER2", private=ec.generate_private_key(CURVES[name]), curve=name)
    detail = station.charge(between=2)
    found = []
    (tmp_path / "ocpi").mkdir()
    async with mo_bench(tmp_path / "ocpi") as direct:
        await direct.know(station)
        await direct.cdrs.push(detail)
        found += await exported(direct)
    async with hub_bench(tmp_path) as hub:
        await hub.mo.know(station)
        await hub.cdrs.push(detail)
        found += await exported(hub.mo)
    return detail, found


def test_pyocmf_verifies_every_export(both: tuple[ChargeDetail, list[Evidence]], tmp_path: Path) -> None:
    detail, exports = both
    assert len(exports) == 2
    for evidence in exports:
        assert evidence.ocmf() == "".join(f"{one.ocmf}\n" for one in detail.values)
        records = [OCMF.from_string(line) for line in evidence.ocmf().splitlines()]
        assert all(record.verify_signature(evidence.key.hex()) for record in records)
        assert check_eichrecht_transaction(records[0].payload, records[-1].payload) == []
        file = tmp_path / "bill.xml"
        file.write_text(evidence.safe_xml(), encoding="utf-8")
        container = OcmfContainer.from_xml(file)
        assert len(container) == 2
        begin, end = (record.payload.RD[0].RV for record in (records[0], records[-1]))
        assert begin is not None
        assert end is not None
        assert Decimal(str(end)) - Decimal(str(begin)) == evidence.bill.energy_kwh == detail.energy_kwh


def test_both_paths_export_the_same(both: tuple[ChargeDetail, list[Evidence]]) -> None:
    _, (direct, over_hub) = both
    assert direct.bill.digest == over_hub.bill.digest
    assert direct.safe_xml() == over_hub.safe_xml()
    assert direct.bill.total == over_hub.bill.total


def test_ocmf_js_verifies_every_export(
    both: tuple[ChargeDetail, list[Evidence]], judge_js: Callable[[list[tuple[str, str]]], list[object]]
) -> None:
    _, exports = both
    asked = [(line, one.key.hex()) for one in exports for line in one.ocmf().splitlines()]
    assert judge_js(asked) == [True] * 8
    changed = asked[0][0].replace('"RV":', '"RV":1')
    assert judge_js([(changed, asked[0][1])]) != [True]
