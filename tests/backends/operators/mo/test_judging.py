"""Judging without a database: hostile values, our keys alone, sums to the cent."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend_client.ocpi_cdrs import cdr_of
from backend_client.oicp_cdrs import record_of
from backends.operators.mo.billing import CENT, Line, Tariff, lines_of, sums, tariff_at
from backends.operators.mo.judging import NotBilled, Reason, digest_of, judge, read_records
from backends.operators.mo.received import Channel, ReceivedCdr, UnreadableCdr, from_body, from_ocpi, from_oicp
from ocmf.container import parse
from ocmf.keys import KeyEntry, decode_public_key
from ocmf.transaction import judge_transaction
from ocmf.verify import verify_record
from ports.charge_detail import Nature, SignedValue
from ports.errors import LocalError
from tests.backends.operators.mo.bench import CPO, SITE, START
from tests.backends.operators.sessions import BEGAN, Station

STATION = Station()
DETAIL = STATION.charge(between=2)
CDR = from_ocpi(cdr_of(DETAIL, CPO, SITE, BEGAN))
SESSION = "b2688855-7f00-0002-6d8e-48d883f6abb6"


def keys(*stations: Station) -> tuple[KeyEntry, ...]:
    return tuple(KeyEntry(key=decode_public_key(one.public_key), valid_from=START, meter=one.meter) for one in stations)


def reason(cdr: ReceivedCdr, *known: KeyEntry, extracts: bool = True) -> Reason:
    try:
        judge(cdr, read_records(cdr), lambda *_source: known, {}, bill_extracts=extracts)
    except NotBilled as error:
        return error.reason
    return Reason.NONE


def test_only_our_own_key_decides() -> None:
    assert reason(CDR, *keys(STATION)) is Reason.NONE
    assert reason(CDR) is Reason.KEY
    assert reason(CDR, *keys(Station())) is Reason.SIGNATURE
    assert reason(CDR, *keys(STATION, Station())) is Reason.KEY  # two at the same time: which one?


def test_what_was_kept_is_judged_again_like_what_came() -> None:
    for channel, cdr in (
        (Channel.OCPI, CDR),
        (Channel.OICP, from_oicp(record_of(DETAIL, SESSION), "DE*CPO")),
    ):
        again = from_body(channel, cdr.operator, cdr.body)
        assert again == cdr
        assert again.content == cdr.content
        assert reason(again, *keys(STATION)) is Reason.NONE


def test_the_digest_is_that_of_begin_and_end() -> None:
    records = tuple(parse(one.ocmf) for one in DETAIL.values)
    assert digest_of(records) == digest_of((records[0], records[-1]))
    assert digest_of(records[:1]) != digest_of(records[:2])


N = Nature
ORDERS = {
    (N.START, N.INTERMEDIATE, N.END): True,
    (N.START, N.END): True,
    (N.START,): True,
    (N.END,): True,
    (N.INTERMEDIATE,): False,
    (N.END, N.START): False,
    (N.START, N.START, N.END): False,
    (N.START, N.END, N.END): False,
    (N.INTERMEDIATE, N.END): False,
    (): False,
}


@pytest.mark.parametrize(("natures", "taken"), ORDERS.items())
def test_signed_values_have_an_order(natures: tuple[Nature, ...], taken: bool) -> None:
    values = tuple(SignedValue(nature, DETAIL.values[0].ocmf) for nature in natures)
    if taken:
        assert len(read_records(replace(CDR, values=values))) == len(values)
    else:
        with pytest.raises(NotBilled):
            read_records(replace(CDR, values=values))


def test_extracts_are_billed_or_held_and_hide_nothing_else() -> None:
    station = Station()
    oicp = from_oicp(record_of(station.charge(between=20), SESSION), "DECPO")
    assert reason(oicp, *keys(station)) is Reason.NONE
    assert reason(oicp, *keys(station), extracts=False) is Reason.EXTRACT
    # the same gaps over OCPI, which has room for all; a gap and a claim; pages that go back
    assert reason(replace(oicp, channel=Channel.OCPI), *keys(station)) is Reason.TRANSACTION
    assert reason(replace(oicp, energy_kwh=Decimal("9")), *keys(station)) is Reason.ENERGY
    values = (*oicp.values[:3], oicp.values[2], *oicp.values[4:])
    assert reason(replace(oicp, values=values), *keys(station)) is Reason.TRANSACTION


@settings(max_examples=50)
@given(st.text(max_size=60) | st.binary(max_size=60).map(lambda octets: base64.b64encode(octets).decode()))
def test_any_signed_data_is_read_or_refused(text: str) -> None:
    cdr = cdr_of(DETAIL, CPO, SITE, BEGAN)
    assert cdr.signed_data is not None
    cdr.signed_data.signed_values[0].signed_data = text
    try:
        assert reason(from_ocpi(cdr), *keys(STATION)) is not Reason.NONE
    except UnreadableCdr:
        return


@settings(max_examples=40)
@given(st.integers(0, len(DETAIL.values) - 1), st.data())
def test_no_changed_octet_of_a_record_is_billed(number: int, data: st.DataObject) -> None:
    """Inside of the payload every octet is signed; outside only what leaves the signature as it is may differ."""
    ocmf = DETAIL.values[number].ocmf
    end = ocmf.rindex("|")
    at = data.draw(st.integers(5, end - 1))
    other = data.draw(st.characters(min_codepoint=32, max_codepoint=126).filter(lambda one: one != ocmf[at]))
    changed = SignedValue(DETAIL.values[number].nature, ocmf[:at] + other + ocmf[at + 1 :])
    values = (*CDR.values[:number], changed, *CDR.values[number + 1 :])
    assert reason(replace(CDR, values=values), *keys(STATION)) is not Reason.NONE


PRICES = st.decimals(0, 1000, places=3)
TARIFFS = st.builds(
    Tariff, name=st.just("t"), valid_from=st.just(START), ct_per_kwh=PRICES, ct_fixed=PRICES, ct_per_minute=PRICES,
    vat_percent=st.decimals(0, 30, places=1),
)  # fmt: skip
VERDICT = judge_transaction([verify_record(one.ocmf, STATION.public_key) for one in DETAIL.values])


@settings(max_examples=40)
@given(TARIFFS)
def test_a_bill_adds_up_to_the_cent(tariff: Tariff) -> None:
    lines = lines_of(tariff, VERDICT)
    net, vat, total = sums(lines, tariff.vat_percent)
    assert net == sum(line.amount for line in lines)
    assert total == net + vat
    for line in lines:
        assert line.amount == line.amount.quantize(CENT)
        assert abs(line.amount - line.quantity * line.ct_per_unit / 100) <= Decimal("0.005")
    assert abs(vat - net * tariff.vat_percent / 100) <= Decimal("0.005")
    assert lines[0] == Line("Energy", Decimal("3.500"), "kWh", tariff.ct_per_kwh, lines[0].amount)


def test_the_tariff_of_the_begin_counts() -> None:
    old, new = (Tariff(name=name, valid_from=at, ct_per_kwh=Decimal(1)) for name, at in (("a", START), ("b", BEGAN)))
    assert tariff_at((new, old), BEGAN - timedelta(seconds=1)) is old
    assert tariff_at((new, old), BEGAN) is new
    with pytest.raises(LocalError, match="no tariff"):
        tariff_at((new, old), datetime(2020, 1, 1, tzinfo=UTC))
