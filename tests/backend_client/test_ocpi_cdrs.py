"""OCPI 2.2.1 messages: every published limit at its edge, records byte for byte, hostile answers."""

from __future__ import annotations

import base64
import json
import string
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import httpx
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend_client.cpo_messages import MessageError, decode
from backend_client.credential import Credential
from backend_client.ocpi_cdrs import MAX_OCMF, OcpiCdrs, cdr_of, token_type
from backend_client.ocpi_messages import Cdr, Envelope
from backend_client.ocpi_session import OcpiRefused, OcpiSession, Party
from backend_client.ocpi_types import encode, number, utc
from ports.backend import Ack
from ports.charge_detail import Nature, SignedValue
from ports.errors import LocalError, PeerError, RigError
from tests.backends.operators.mo.bench import SITE
from tests.backends.operators.sessions import Station

CPO = Party("DE", "CPO")
NOW = datetime(2026, 1, 1, 13, tzinfo=UTC)
TOKEN = "s3cret-token"


def good() -> dict[str, Any]:
    body: dict[str, Any] = json.loads(encode(cdr_of(Station().charge(), CPO, SITE, NOW)))
    return body


def at(body: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    """A copy with one field changed; path: e.g. "cdr_token.uid", numbers are indexes."""
    copy: Any = json.loads(json.dumps(body))
    *way, last = [int(one) if one.isdigit() else one for one in path.split(".")]
    place = copy
    for one in way:
        place = place[one]
    place[last] = value
    return dict(copy)


# OCPI 2.2.1, clause 10 (CDRs) with 8.4 and 16: longest value that is taken
LIMITS = {
    "country_code": 2,
    "party_id": 3,
    "id": 39,
    "session_id": 36,
    "authorization_reference": 36,
    "meter_id": 255,
    "currency": 3,
    "remark": 255,
    "invoice_reference_id": 39,
    "credit_reference_id": 39,
    "cdr_token.country_code": 2,
    "cdr_token.party_id": 3,
    "cdr_token.uid": 36,
    "cdr_token.contract_id": 36,
    "cdr_location.id": 36,
    "cdr_location.name": 255,
    "cdr_location.address": 45,
    "cdr_location.city": 45,
    "cdr_location.postal_code": 10,
    "cdr_location.state": 20,
    "cdr_location.country": 3,
    "cdr_location.evse_uid": 36,
    "cdr_location.evse_id": 48,
    "cdr_location.connector_id": 36,
    "charging_periods.0.tariff_id": 36,
    "signed_data.encoding_method": 36,
    "signed_data.public_key": 512,
    "signed_data.url": 512,
    "signed_data.signed_values.0.nature": 32,
    "signed_data.signed_values.0.plain_data": 512,
    "signed_data.signed_values.0.signed_data": 5000,
}


@pytest.mark.parametrize(("path", "longest"), LIMITS.items())
def test_a_field_is_taken_up_to_its_published_length(path: str, longest: int) -> None:
    decode(json.dumps(at(good(), path, "A" * longest)).encode(), Cdr)
    for wrong in ("A" * (longest + 1), "A" * (longest - 1) + "\n", "A" * (longest - 1) + "\0", 5):
        with pytest.raises(MessageError):
            decode(json.dumps(at(good(), path, wrong)).encode(), Cdr)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("charging_periods", []),
        ("charging_periods.0.dimensions", []),
        ("charging_periods.0.dimensions.0.type", "ENTHUSIASM"),
        ("signed_data.signed_values", []),
        ("cdr_token.type", "EMAID"),  # of OCPI 2.3.0
        ("auth_method", "NONE"),
        ("cdr_location.connector_standard", "SCHUKO"),
        ("cdr_location.connector_format", "PLUG"),
        ("cdr_location.connector_power_type", "AC"),
        ("cdr_location.coordinates.latitude", "52.5"),
        ("cdr_location.coordinates.longitude", "1234.123456"),
        ("total_energy", "x"),
        ("start_date_time", "yesterday"),
        ("id", ""),
    ],
)
def test_values_that_the_standard_does_not_know_are_refused(path: str, value: object) -> None:
    with pytest.raises(MessageError):
        decode(json.dumps(at(good(), path, value)).encode(), Cdr)


@pytest.mark.parametrize("name", sorted(good()))
def test_required_fields_are_required(name: str) -> None:
    optional = {"session_id", "meter_id", "signed_data", "remark", "authorization_reference"}
    body = good()
    del body[name]
    if name in optional:
        decode(json.dumps(body).encode(), Cdr)
    else:
        with pytest.raises(MessageError, match=name):
            decode(json.dumps(body).encode(), Cdr)


def test_records_travel_byte_for_byte() -> None:
    detail = Station().charge(between=2)
    body = json.loads(encode(cdr_of(detail, CPO, SITE, NOW)))
    values = body["signed_data"]["signed_values"]
    assert [value["nature"] for value in values] == ["Start", "Intermediate", "Intermediate", "End"]
    assert [base64.b64decode(value["signed_data"]).decode() for value in values] == [one.ocmf for one in detail.values]
    assert base64.b64decode(body["signed_data"]["public_key"]).hex().upper() == detail.public_key
    assert values[0]["plain_data"] == "METER1 T1: B 100.000 kWh"
    assert (body["signed_data"]["encoding_method"], body["total_energy"]) == ("OCMF", 3.5)
    assert b'"total_energy":3.500,' in encode(cdr_of(detail, CPO, SITE, NOW))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda detail: replace(detail, id="x" * 40), "id"),
        (lambda detail: replace(detail, transaction_id="x" * 37), "session_id"),
        (lambda detail: replace(detail, user_id="x" * 37), "uid"),
        (lambda detail: replace(detail, evse_id="DE*PLB*E" + "1" * 30), "evse_uid"),
        (lambda detail: replace(detail, public_key="zz"), "public key is not hexadecimal"),
        (lambda detail: replace(detail, public_key="00" * 400), "public_key"),
        (lambda detail: replace(detail, values=()), "signed_values"),
        (lambda detail: replace(detail, values=(SignedValue(Nature.START, "no record"),)), "cannot be read"),
        (
            lambda detail: replace(detail, values=(SignedValue(Nature.START, "x" * (MAX_OCMF + 1)),)),
            "has 3751 octets, OCPI's signed_data takes 3750",
        ),
    ],
)
def test_what_does_not_fit_is_never_sent(change: Callable[[Any], Any], text: str) -> None:
    with pytest.raises(LocalError, match=text):
        cdr_of(change(Station().charge()), CPO, SITE, NOW)


def test_the_longest_record_fits_exactly() -> None:
    detail = Station().charge(between=0)
    begin = detail.values[0].ocmf
    padded = begin + " " * (MAX_OCMF - len(begin))
    cdr = cdr_of(replace(detail, values=(SignedValue(Nature.START, padded), detail.values[1])), CPO, SITE, NOW)
    assert cdr.signed_data is not None
    assert len(cdr.signed_data.signed_values[0].signed_data) == 5000


def test_numbers_and_times_are_those_of_the_standard() -> None:
    assert [str(number(Decimal(one))) for one in ("3.5", "3.123456", "0.00005", "7", "1E+2")] == [
        "3.5", "3.1235", "0.0000", "7", "1E+2",
    ]  # fmt: skip
    summer = datetime(2026, 7, 1, 14, 0, 0, 999999, tzinfo=timezone(timedelta(hours=2)))
    assert encode(utc(summer)) == b'"2026-07-01T12:00:00Z"'
    assert utc(datetime(2026, 7, 1, 12)) == utc(summer)  # noqa: DTZ001 - a received time without a zone is UTC
    kinds = [token_type(one) for one in ("ISO14443", "ISO15693", "EMAID", "CENTRAL", "KEY_CODE")]
    assert kinds == ["RFID", "RFID", "OTHER", "APP_USER", "OTHER"]


class Platform:
    """Answers as told; keeps what it was asked."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if request.url.path == "/ocpi/versions":
            return envelope(
                [{"version": "2.1.1", "url": "http://mo/2.1.1"}, {"version": "2.2.1", "url": "http://mo/d"}]
            )
        if request.url.path == "/d":
            url = "http://mo/cdrs/"
            return envelope({"version": "2.2.1", "endpoints": [{"identifier": "cdrs", "role": "RECEIVER", "url": url}]})
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def envelope(data: object = None, status: int = 1000, http: int = 200, **headers: str) -> httpx.Response:
    body = {"status_code": status, "timestamp": "2026-01-01T00:00:00Z", "data": data, "status_message": "said"}
    return httpx.Response(http, json=body, headers=headers)


def sink(folder: Path, platform: Platform) -> OcpiCdrs:
    (folder / "token").write_text(TOKEN)
    session = OcpiSession(
        "http://mo/ocpi/versions", Credential(folder / "token"), Random(1), transport=httpx.MockTransport(platform)
    )
    return OcpiCdrs(session, CPO, SITE, lambda: NOW)


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (envelope(http=201), Ack.STORED),
        (envelope(), Ack.DUPLICATE),
        (envelope(status=2001), OcpiRefused),
        (envelope(status=2001, http=400), OcpiRefused),
        (envelope(http=404), OcpiRefused),
        (envelope(http=409), OcpiRefused),
        (httpx.Response(400, text="<html>"), OcpiRefused),
        (envelope(status=3000), RigError),
        (envelope(status=4001), RigError),  # a hub in between
        (envelope(http=401), RigError),
        (envelope(http=503), RigError),
        (envelope(http=302, Location="http://elsewhere/"), RigError),
        (httpx.Response(200, text="<html>"), RigError),
        (httpx.Response(200, content=b" " * ((4 << 20) + 1)), RigError),
        (httpx.ConnectError("no"), RigError),
        (httpx.ReadTimeout("slow"), RigError),
    ],
)
async def test_answers_are_told_apart(tmp_path: Path, answer: Any, outcome: object) -> None:
    platform = Platform(answer)
    cdrs = sink(tmp_path, platform)
    if isinstance(outcome, Ack):
        assert await cdrs.push(Station().charge()) is outcome
    else:
        assert isinstance(outcome, type)
        with pytest.raises(outcome) as caught:
            await cdrs.push(Station().charge())
        assert TOKEN not in str(caught.value) + repr(caught.value)
        assert isinstance(caught.value, PeerError) == issubclass(outcome, PeerError)
    posted = [one for one in platform.requests if one.method == "POST"]
    assert [str(one.url) for one in posted] == ["http://mo/cdrs/"]  # once
    (request,) = posted
    assert request.headers["authorization"] == "Token " + base64.b64encode(TOKEN.encode()).decode()
    assert len({one.headers["x-request-id"] for one in platform.requests}) == 3


async def test_a_list_ends_and_stays_on_its_host(tmp_path: Path) -> None:
    pages = [
        envelope([{"a": "1"}], Link='<http://mo/list?offset=1>; rel="next"'),
        envelope([{"a": "2"}, {"a": "3"}]),
    ]
    session = sink(tmp_path, Platform(*pages))._session
    assert [one async for one in session.objects("http://mo/list", dict, {"limit": "1"})] == [
        {"a": "1"}, {"a": "2"}, {"a": "3"},
    ]  # fmt: skip
    away = Platform(envelope([], Link='<http://evil/list>; rel="next"'))
    with pytest.raises(PeerError, match="another host"):
        [one async for one in sink(tmp_path, away)._session.objects("http://mo/list", dict)]
    for strange in (envelope({"a": 1}), envelope("x"), envelope()):
        with pytest.raises(PeerError, match="no list"):
            [one async for one in sink(tmp_path, Platform(strange))._session.objects("http://mo/list", dict)]


async def test_a_platform_of_another_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(TOKEN)

    async def old(request: httpx.Request) -> httpx.Response:
        return envelope([{"version": "2.1.1", "url": "http://mo/2.1.1"}])

    transport = httpx.MockTransport(old)
    async with OcpiSession(
        "http://mo/ocpi/versions", Credential(tmp_path / "token"), Random(1), transport=transport
    ) as s:
        with pytest.raises(RigError, match=r"does not speak OCPI 2\.2\.1"):
            await s.endpoint("cdrs", "RECEIVER")
    with pytest.raises(LocalError, match="scheme"):
        OcpiSession("ftp://mo/", Credential(tmp_path / "token"), Random(1))


TEXT = st.text(alphabet=string.printable, max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(sorted(good())), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=50)
@given(st.one_of(st.binary(max_size=200), JSON.map(lambda value: json.dumps(value).encode())))
def test_any_octets_are_a_message_or_a_message_error(octets: bytes) -> None:
    for kind in (Cdr, Envelope):
        try:
            decode(octets, kind)
        except MessageError:
            continue


@settings(max_examples=40)
@given(st.sampled_from(sorted(good())), JSON)
def test_what_is_read_is_written_the_same(name: str, value: object) -> None:
    try:
        read = decode(json.dumps(good() | {name: value}).encode(), Cdr)
    except MessageError:
        return
    assert decode(encode(read), Cdr) == read


def test_a_message_is_exact_in_every_digit() -> None:
    cdr = decode(
        encode(msgspec.Raw(encode(good()).replace(b'"total_energy":3.5', b'"total_energy":3.1234567890123456789'))), Cdr
    )
    assert str(cdr.total_energy) == "3.1234567890123456789"
