"""What a mobility operator exports for its bills, before foreign judges: pyocmf 0.6.0 (PyPI, MIT), ocmf-js (npm, MIT).

One transaction per curve goes from a CPO to the MO twice: over OCPI, and over OICP through a hub (two MOs, one bill
each). Both exports must be verified, byte for byte what the meter's key signed, and of the same energy.
"""

from __future__ import annotations

import asyncio
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
from tests.backends.operators.mo.bench import mo_bench
from tests.backends.operators.sessions import Station

CURVES = {"secp256r1": ec.SECP256R1(), "secp384r1": ec.SECP384R1(), "secp256k1": ec.SECP256K1()}


async def deliver(folder: Path, stations: list[Station], details: list[ChargeDetail]) -> list[list[Evidence]]:
    """What both MOs export for the transactions, over OCPI and over OICP."""
    (folder / "ocpi").mkdir()
    async with mo_bench(folder / "ocpi") as direct, hub_bench(folder) as hub:
        for bench, sink in ((direct, direct.cdrs), (hub.mo, hub.cdrs)):
            for station, detail in zip(stations, details, strict=True):
                await bench.know(station)
                await sink.push(detail)
        return [
            [await bench.mo.evidence(row.id) for row in sorted(await bench.rows(BILLS), key=lambda row: row.cdr)]
            for bench in (direct, hub.mo)
        ]


@pytest.fixture(scope="module")
def delivered(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[ChargeDetail], list[list[Evidence]]]:
    """A transaction for each curve, and the exports of each path."""
    stations = [
        Station(meter=f"METER-{name}", private=ec.generate_private_key(curve), curve=name)
        for name, curve in CURVES.items()
    ]
    details = [station.charge(number, between=2) for number, station in enumerate(stations)]
    return details, asyncio.run(deliver(tmp_path_factory.mktemp("evidence"), stations, details))


def test_pyocmf_verifies_every_export(
    delivered: tuple[list[ChargeDetail], list[list[Evidence]]], tmp_path: Path
) -> None:
    details, paths = delivered
    for exports in paths:
        for evidence, detail in zip(exports, details, strict=True):
            assert evidence.ocmf() == "".join(f"{one.ocmf}\n" for one in detail.values)
            records = [OCMF.from_string(line) for line in evidence.ocmf().splitlines()]
            assert all(record.verify_signature(evidence.key.hex()) for record in records)
            assert check_eichrecht_transaction(records[0].payload, records[-1].payload) == []
            file = tmp_path / "bill.xml"
            file.write_text(evidence.safe_xml(), encoding="utf-8")
            assert len(OcmfContainer.from_xml(file)) == 2
            begin, end = (Decimal(str(record.payload.RD[0].RV)) for record in (records[0], records[-1]))
            assert end - begin == evidence.bill.energy_kwh == detail.energy_kwh


def test_both_paths_export_the_same(delivered: tuple[list[ChargeDetail], list[list[Evidence]]]) -> None:
    _, (direct, over_hub) = delivered
    for one, other in zip(direct, over_hub, strict=True):
        assert one.bill.digest == other.bill.digest
        assert one.safe_xml() == other.safe_xml()
        assert one.bill.total == other.bill.total


def test_ocmf_js_verifies_every_export(
    delivered: tuple[list[ChargeDetail], list[list[Evidence]]],
    judge_js: Callable[[list[tuple[str, str]]], list[object]],
) -> None:
    _, paths = delivered
    asked = [(line, one.key.hex()) for exports in paths for one in exports for line in one.ocmf().splitlines()]
    changed = asked[0][0].replace('"RV":', '"RV":1')
    verdicts = judge_js([*asked, (changed, asked[0][1])])
    assert verdicts[:-1] == [True] * 24
    assert verdicts[-1] is not True
