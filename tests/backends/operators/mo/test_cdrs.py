"""CDRs over OCPI: each billed once, by the MO's own keys, or refused with the reason."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from backend_client.ocpi_cdrs import cdr_of
from backend_client.ocpi_messages import Cdr
from backend_client.ocpi_session import OcpiRefused, converted
from backends.faults import BackendFault, FaultKind
from backends.operators.mo.key_database import end_key, register_key
from backends.operators.mo.tables import BILLS, CDRS
from ports.backend import Ack
from ports.charge_detail import ChargeDetail, SignedValue
from ports.clock import TimeStatus
from ports.errors import RigError
from tests.backends.operators.mo.bench import CPO, EMAID, SITE, TARIFF, MoBench, mo_bench
from tests.backends.operators.sessions import BEGAN, Station


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


async def outcome(bench: MoBench, detail: ChargeDetail) -> tuple[str, str]:
    """Status and reason that a CDR ends with; the sender is told whether it is refused."""
    try:
        await bench.cdrs.push(detail)
    except OcpiRefused as refused:
        said = str(refused)
    else:
        said = ""
    row = (await bench.rows(CDRS))[-1]
    assert bool(said) == (row.status == "refused")
    assert row.reason in said or not said
    return row.status, row.reason


def with_values(detail: ChargeDetail, *values: SignedValue) -> ChargeDetail:
    return replace(detail, values=values)


def _other_meter(bench: MoBench) -> ChargeDetail:
    return replace(bench.station.charge(), meter="METER2")


def _other_evse(bench: MoBench) -> ChargeDetail:
    return replace(bench.station.charge(), evse_id="DE*PLB*E9*9")


def _other_user(bench: MoBench) -> ChargeDetail:
    return replace(bench.station.charge(user="DEPLBC00000099"), user_id=EMAID)


def _gap(bench: MoBench) -> ChargeDetail:
    detail = bench.station.charge(between=2)
    return with_values(detail, *detail.values[:1], *detail.values[2:])


def _decreased(bench: MoBench) -> ChargeDetail:
    bench.station.kwh = Decimal("100.000")
    return replace(bench.station.charge(kwh="-1.000", between=0), energy_kwh=Decimal("0"))


def _foreign_signature(bench: MoBench) -> ChargeDetail:
    return Station(meter=bench.station.meter).charge()


def _carried_key(bench: MoBench) -> ChargeDetail:
    return Station(meter="METER9").charge()


def _changed(bench: MoBench) -> ChargeDetail:
    detail = bench.station.charge()
    end = replace(detail.values[-1], ocmf=detail.values[-1].ocmf.replace("103.500", "193.500"))
    return replace(with_values(detail, *detail.values[:-1], end), energy_kwh=Decimal("93.500"))


def _no_end(bench: MoBench) -> ChargeDetail:
    detail = bench.station.charge()
    return with_values(detail, detail.values[0])


def _mixed_sessions(bench: MoBench) -> ChargeDetail:
    first, second = bench.station.charge(1, between=0), bench.station.charge(2, between=0)
    return replace(with_values(first, first.values[0], second.values[1]), energy_kwh=Decimal("7.000"))


UNBILLED: list[tuple[Callable[[MoBench], ChargeDetail], str, str]] = [
    (_other_meter, "refused", "meter"),
    (_other_evse, "refused", "EVSE"),
    (_other_user, "refused", "user"),
    (_gap, "refused", "transaction"),
    (_decreased, "refused", "transaction"),
    (_foreign_signature, "refused", "signature"),
    (_carried_key, "undecidable", "key unknown"),
    (_changed, "refused", "signature"),
    (_no_end, "refused", "transaction"),
    (_mixed_sessions, "refused", "transaction"),
    (lambda bench: bench.station.charge(user="DEABCC00000001"), "refused", "not our customer"),
    (lambda bench: replace(bench.station.charge(), energy_kwh=Decimal("3.6")), "refused", "energy differs"),
]


async def test_what_cannot_be_billed_is_refused_with_the_reason(bench: MoBench) -> None:
    for number, (make, status, reason) in enumerate(UNBILLED):
        bench.station.kwh = Decimal("100.000")
        assert await outcome(bench, replace(make(bench), id=f"case-{number}")) == (status, reason)
    assert await bench.rows(BILLS) == []


async def test_a_refused_cdr_stays_refused(bench: MoBench) -> None:
    detail = _other_meter(bench)
    for _ in range(2):
        assert await outcome(bench, detail) == ("refused", "meter")
    (row,) = await bench.rows(CDRS)
    assert row.deliveries == 2


async def test_a_record_is_billed_with_one_cdr_only(bench: MoBench) -> None:
    detail = bench.station.charge()
    assert await outcome(bench, detail) == ("billed", "")
    assert await outcome(bench, replace(detail, id="cdr-again")) == ("refused", "billed before")
    assert len(await bench.rows(BILLS)) == 1


async def test_an_id_belongs_to_one_record(bench: MoBench) -> None:
    detail = bench.station.charge()
    await bench.cdrs.push(detail)
    with pytest.raises(OcpiRefused, match="another charge detail record cdr-1 before"):
        await bench.cdrs.push(replace(bench.station.charge(2), id=detail.id))
    assert [event.kind for event in bench.events if event.kind.startswith("mo.")] == [
        "mo.cdr.billed",
        "mo.cdr.conflict",
    ]


async def test_a_key_that_is_registered_later_decides(bench: MoBench) -> None:
    stranger = Station(meter="METER9")
    detail = stranger.charge()
    assert await outcome(bench, detail) == ("undecidable", "key unknown")
    assert await bench.mo.cdrs.judge_waiting() == 0
    await bench.know(stranger)
    assert await bench.mo.cdrs.judge_waiting() == 1
    assert await outcome(bench, detail) == ("billed", "")
    (bill,) = await bench.rows(BILLS)
    assert bill.bill["energy_kwh"] == "3.500"


async def test_a_revoked_key_decides_nothing(bench: MoBench) -> None:
    key = bench.station.public_key
    await bench.mo.database.write(lambda connection: end_key(connection, key, BEGAN, revoked=True))
    assert await outcome(bench, bench.station.charge()) == ("undecidable", "key unknown")


async def test_the_key_of_the_time_counts_after_a_meter_got_another_one(bench: MoBench) -> None:
    old = bench.station
    new = Station(meter=old.meter, page=5, kwh=Decimal("110.000"))
    swap = BEGAN + timedelta(minutes=5)
    await bench.mo.database.write(lambda connection: end_key(connection, old.public_key, swap))
    await bench.mo.database.write(
        lambda connection: register_key(connection, new.public_key, swap, meter=new.meter, source="new")
    )
    assert await outcome(bench, old.charge(1)) == ("billed", "")
    assert await outcome(bench, new.charge(2)) == ("billed", "")
    assert await outcome(bench, replace(old.charge(3, between=0), id="late")) == ("billed", "")
    assert await outcome(bench, replace(old.charge(4, between=0), id="too-late")) == ("refused", "signature")


async def test_no_signed_values_no_bill(bench: MoBench) -> None:
    cdr = cdr_of(bench.station.charge(), CPO, SITE, bench.clock.now())
    cdr.signed_data = None
    with pytest.raises(OcpiRefused, match="no signed values"):
        await bench.session.request("POST", await bench.session.endpoint("cdrs", "RECEIVER"), cdr)


async def test_a_credit_cdr_takes_the_bill_back(bench: MoBench) -> None:
    detail = bench.station.charge()
    await bench.cdrs.push(detail)
    credit = cdr_of(detail, CPO, SITE, bench.clock.now())
    credit.id, credit.credit, credit.credit_reference_id = "cdr-1-C", True, "cdr-1"
    url = await bench.session.endpoint("cdrs", "RECEIVER")
    assert (await bench.session.request("POST", url, credit)).http == 201
    (bill,) = await bench.rows(BILLS)
    assert bill.credited == "cdr-1-C"
    credit.id = "cdr-1-C2"
    with pytest.raises(OcpiRefused, match="nothing to credit"):
        await bench.session.request("POST", url, credit)
    assert await outcome(bench, replace(detail, id="corrected")) == ("billed", "")


async def test_time_is_billed_only_where_the_meters_clock_allows_it(tmp_path: Path) -> None:
    tariff = replace(TARIFF, ct_per_minute=Decimal(10))
    async with mo_bench(tmp_path, tariffs=(tariff,)) as bench:
        await bench.cdrs.push(bench.station.charge(1))
        await bench.cdrs.push(bench.station.charge(2, status=TimeStatus.INFORMATIVE))
        bills = [row.bill for row in await bench.rows(BILLS)]
        assert [[line["text"] for line in bill["lines"]] for bill in bills] == [
            ["Energy", "Session", "Time"],
            ["Energy", "Session"],
        ]


async def test_the_newest_tariff_of_the_begin_counts_and_without_one_nothing_is_billed(tmp_path: Path) -> None:
    later = replace(TARIFF, valid_from=BEGAN + timedelta(minutes=4), ct_per_kwh=Decimal(100), name="later")
    async with mo_bench(tmp_path, tariffs=(later, TARIFF)) as bench:
        for number in (1, 2):
            await bench.cdrs.push(bench.station.charge(number))
        assert [row.bill["tariff"] for row in await bench.rows(BILLS)] == ["home", "later"]
    (tmp_path / "mo.db").unlink()
    async with mo_bench(tmp_path, tariffs=(later,)) as bench:
        assert await outcome(bench, bench.station.charge()) == ("undecidable", "no tariff")


async def test_faults_have_their_effect_and_the_bill_stays_one(bench: MoBench) -> None:
    detail = bench.station.charge()
    bench.faults.queue += [
        BackendFault(FaultKind.ERROR, status=503),
        BackendFault(FaultKind.LOST_ACK),
        BackendFault(FaultKind.DUPLICATE),
        BackendFault(FaultKind.SLOW, seconds=30),
    ]
    for found in (503, 504):
        with pytest.raises(RigError, match=str(found)):
            await bench.cdrs.push(detail)
    began = bench.clock.monotonic()
    assert [await bench.cdrs.push(detail) for _ in range(2)] == [Ack.DUPLICATE] * 2
    assert bench.clock.monotonic() == began + 30
    assert len(await bench.rows(BILLS)) == 1


async def test_a_cdr_can_be_read_back_by_its_sender_alone(bench: MoBench) -> None:
    detail = bench.station.charge()
    cdr = cdr_of(detail, CPO, SITE, bench.clock.now())
    answer = await bench.session.request("POST", await bench.session.endpoint("cdrs", "RECEIVER"), cdr)
    back = converted(await bench.session.request("GET", answer.headers["location"]), Cdr, "GET")
    assert back == cdr
    with pytest.raises(OcpiRefused, match="no such CDR"):
        await bench.session.request("GET", answer.headers["location"].replace("DECPO", "DEXXX"))
    cdr.party_id = "XXX"
    with pytest.raises(OcpiRefused, match="sends a CDR of DEXXX"):
        await bench.session.request("POST", await bench.session.endpoint("cdrs", "RECEIVER"), cdr)
