"""OCPI at the mobility operator: versions, tokens, real-time authorisation, sessions, and hostile requests."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest

from backend_client.credential import Credential
from backend_client.ocpi_cdrs import cdr_of
from backend_client.ocpi_commands import put_session
from backend_client.ocpi_messages import CdrToken, Session, Token
from backend_client.ocpi_session import OcpiRefused, OcpiSession
from backend_client.ocpi_types import encode
from backends.faults import BackendFault, FaultKind
from backends.operators.mo.customers import Status, add_token
from backends.operators.mo.tables import CDRS, SESSIONS
from ocmf.terms import IdType
from ports.authorisation import AuthorisationRequest, AuthorisationStatus
from ports.backend import Ack
from ports.errors import RigError
from tests.backends.operators.mo.bench import CARD, CPO, EMAID, SITE, START, MoBench, mo_bench
from tests.backends.operators.sessions import BEGAN
from v2g.check_digit import with_check_digit


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[MoBench]:
    async with mo_bench(tmp_path) as made:
        yield made


def asks(uid: str, id_type: str = "ISO14443") -> AuthorisationRequest:
    return AuthorisationRequest("1", "DE*PLB*E1*1", uid, id_type)


SPELLINGS = (
    (CARD, "ISO14443"),
    (CARD.lower(), "ISO14443"),
    (EMAID, "EMAID"),
    (with_check_digit(EMAID), "EMAID"),
    ("DE-PLB-C00000001", "EMAID"),
)


async def test_who_is_known_may_charge_however_it_is_spelled(bench: MoBench) -> None:
    for uid, id_type in SPELLINGS:
        assert (await bench.authoriser.authorise(asks(uid, id_type))).is_accepted
        info = bench.authoriser.info(uid)
        assert info is not None
        assert (info.token.contract_id, info.authorization_reference is not None) == (EMAID, True)


NOT_ACTIVE = (
    (Status.BLOCKED, AuthorisationStatus.BLOCKED, "blocked"),
    (Status.REVOKED, AuthorisationStatus.BLOCKED, "the contract certificate was revoked"),
    (Status.NO_CREDIT, AuthorisationStatus.NO_CREDIT, "no credit"),
)


async def test_a_contract_that_is_not_active_charges_nowhere(bench: MoBench) -> None:
    for status, answer, text in NOT_ACTIVE:
        await bench.mo.set_contract(EMAID, status)
        for uid, id_type in ((CARD, "ISO14443"), (EMAID, "EMAID")):
            found = await bench.authoriser.authorise(asks(uid, id_type))
            assert (found.status, found.detail) == (answer, text)
            assert bench.authoriser.info(uid) is None
    await bench.mo.set_contract(EMAID, Status.ACTIVE)
    assert (await bench.authoriser.authorise(asks(CARD))).is_accepted


async def test_a_blocked_card_leaves_the_contract_alone(bench: MoBench) -> None:
    await bench.mo.set_card(CARD, Status.BLOCKED)
    assert (await bench.authoriser.authorise(asks(CARD))).status is AuthorisationStatus.BLOCKED
    assert (await bench.authoriser.authorise(asks(EMAID, "EMAID"))).is_accepted


async def test_a_contract_ends_at_its_second(bench: MoBench) -> None:
    await bench.mo.add_contract("c1", "DEPLBC00000002", START, bench.clock.now() + timedelta(seconds=10))
    bench.clock.advance(9)
    assert (await bench.authoriser.authorise(asks("DEPLBC00000002", "EMAID"))).is_accepted
    bench.clock.advance(1)
    found = await bench.authoriser.authorise(asks("DEPLBC00000002", "EMAID"))
    assert (found.status, found.detail) == (AuthorisationStatus.EXPIRED, "expired")


async def test_strangers_are_unknown(bench: MoBench) -> None:
    assert (await bench.authoriser.authorise(asks("04FFFFFFFFFFFF"))).status is AuthorisationStatus.UNKNOWN
    assert (await bench.authoriser.authorise(asks("../../cdrs"))).status is AuthorisationStatus.UNKNOWN
    assert (await bench.authoriser.authorise(asks("x" * 37))).status is AuthorisationStatus.INVALID
    assert (await bench.authoriser.authorise(asks(""))).status is AuthorisationStatus.INVALID


async def test_an_mo_that_is_away_is_the_rigs_fault(bench: MoBench) -> None:
    bench.faults.queue.append(BackendFault(FaultKind.ERROR, status=503))
    with pytest.raises(RigError, match="injected"):
        await bench.authoriser.authorise(asks(CARD))
    await bench.mo.close()
    with pytest.raises(RigError, match="no answer"):
        await bench.authoriser.authorise(asks(CARD))


async def test_the_cdr_of_a_card_names_contract_and_authorisation(bench: MoBench) -> None:
    await bench.authoriser.authorise(asks(CARD))
    info = bench.authoriser.info(CARD)
    assert info is not None
    detail = bench.station.charge(user=CARD, id_type=IdType.ISO14443)
    cdr = cdr_of(detail, CPO, SITE, bench.clock.now(), info)
    assert (cdr.cdr_token.contract_id, cdr.auth_method) == (EMAID, "AUTH_REQUEST")
    assert cdr.authorization_reference == info.authorization_reference
    assert (cdr.total_cost.excl_vat, cdr.total_energy) == (Decimal("1.09"), Decimal("3.500"))
    assert await bench.cdrs.push(detail) is Ack.STORED


async def test_tokens_are_listed_page_by_page(bench: MoBench) -> None:
    def add(connection: Any) -> None:
        for number in range(120):
            add_token(connection, EMAID, f"04{number:012X}", "RFID", 0)

    await bench.mo.database.write(add)
    url = await bench.session.endpoint("tokens", "SENDER")
    found = [one async for one in bench.session.objects(url, Token)]
    assert len({one.uid for one in found}) == len(found) == 122
    assert {one.valid for one in found} == {True}
    bench.clock.advance(60)
    later = bench.clock.now() - timedelta(seconds=1)
    assert [one async for one in bench.session.objects(url, Token, {"date_from": later.isoformat()})] == []
    await bench.mo.set_contract(EMAID, Status.BLOCKED)  # all of them are news
    changed = {"date_from": bench.clock.now().isoformat()}
    found = [one async for one in bench.session.objects(url, Token, changed)]
    assert (len(found), {one.valid for one in found}) == (122, {False})
    few = [one async for one in bench.session.objects(url, Token, {"offset": "100", "limit": "20"})]
    assert len(few) == 22
    for query in ({"limit": "-1"}, {"offset": "x"}, {"date_to": "tomorrow"}):
        with pytest.raises(OcpiRefused, match="is no"):
            await bench.session.request("GET", url, params=query)


def news(bench: MoBench, status: Any = "ACTIVE", kwh: str = "1.5", seconds: int = 0) -> Session:
    return Session(
        country_code="DE",
        party_id="CPO",
        id="s1",
        start_date_time=BEGAN,
        kwh=Decimal(kwh),
        cdr_token=CdrToken(country_code="DE", party_id="PLB", uid=CARD, type="RFID", contract_id=EMAID),
        auth_method="AUTH_REQUEST",
        location_id="LOC1",
        evse_uid="DE*PLB*E1*1",
        connector_id="1",
        currency="EUR",
        status=status,
        last_updated=BEGAN + timedelta(seconds=seconds),
    )


async def test_sessions_are_kept_in_their_newest_state(bench: MoBench) -> None:
    for one in (news(bench), news(bench, "COMPLETED", "3.5", 60), news(bench, "ACTIVE", "2.5", 30)):
        await put_session(bench.session, one)
    (row,) = await bench.rows(SESSIONS)
    assert (row.status, row.kwh, row.customer, row.operator) == ("COMPLETED", "3.5", "c1", "DECPO")
    foreign = news(bench)
    foreign.party_id = "XXX"
    with pytest.raises(OcpiRefused, match="another party's"):
        await put_session(bench.session, foreign)


async def test_the_platform_is_found_by_its_versions(bench: MoBench, tmp_path: Path) -> None:
    assert await bench.session.endpoint("cdrs", "RECEIVER") == f"{bench.mo.url}/ocpi/2.2.1/cdrs"
    with pytest.raises(RigError, match="has no tariffs as SENDER"):
        await bench.session.endpoint("tariffs", "SENDER")


async def test_only_partners_are_listened_to(bench: MoBench) -> None:
    headers = (
        "",
        "Token",
        "Token " + base64.b64encode(b"wrong").decode(),
        "Token token-incoming",  # not base64: OCPI before 2.2
        "Bearer " + base64.b64encode(b"token-incoming").decode(),
        "Token ====",
    )
    async with httpx.AsyncClient(trust_env=False, verify=False) as client:
        for header in headers:
            for method, path in (
                ("GET", "versions"),
                ("GET", "2.2.1"),
                ("GET", "2.2.1/tokens"),
                ("POST", "2.2.1/cdrs"),
            ):
                answer = await client.request(method, f"{bench.mo.url}/ocpi/{path}", headers={"Authorization": header})
                assert (answer.status_code, answer.json()["status_code"]) == (401, 2000)
                assert "token-incoming" not in answer.text


async def test_a_wrong_credential_is_tried_again(bench: MoBench, tmp_path: Path) -> None:
    (tmp_path / "wrong").write_text("wrong")
    async with OcpiSession(bench.mo.versions_url, Credential(tmp_path / "wrong"), Random(0)) as session:
        with pytest.raises(RigError, match="401"):
            await session.endpoint("cdrs", "RECEIVER")


HOSTILE: list[tuple[Any, int]] = [
    (lambda body: body | {"id": "x" * 40}, 200),
    (lambda body: body | {"country_code": "D\n"}, 200),
    (lambda body: body | {"total_energy": "3.5 kWh"}, 200),
    (lambda body: body | {"charging_periods": []}, 200),
    (lambda body: body | {"remark": "\u0000"}, 200),
    (lambda body: [body], 200),
    (lambda body: json.dumps(body).encode()[:-1], 400),
    (lambda body: json.dumps(body).encode().replace(b'"id"', b'"id": "a", "id"'), 400),
    (lambda body: b"\xff\xfe", 400),
    (lambda body: b"[" * 100_000, 400),
    (lambda body: b" " * ((4 << 20) + 1), 413),
]


async def test_hostile_cdrs_are_refused_and_nothing_is_kept(bench: MoBench) -> None:
    good = json.loads(encode(cdr_of(bench.station.charge(), CPO, SITE, bench.clock.now())))
    header = {"Authorization": "Token " + base64.b64encode(b"token-incoming").decode()}
    url = f"{bench.mo.url}/ocpi/2.2.1/cdrs"
    async with httpx.AsyncClient(trust_env=False, verify=False) as client:
        for change, http in HOSTILE:
            body = change(good)
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            answer = await client.post(url, content=content, headers=header | {"Content-Type": "application/json"})
            assert answer.status_code == http
            assert 2000 <= answer.json()["status_code"] < 3000
        assert (await client.post(url, headers=header)).status_code == 415
    assert await bench.rows(CDRS) == []


async def test_signed_data_that_is_none_is_refused(bench: MoBench) -> None:
    url = await bench.session.endpoint("cdrs", "RECEIVER")
    for record in ("not base64!", base64.b64encode(b"\xff").decode(), ""):
        cdr = cdr_of(bench.station.charge(), CPO, SITE, bench.clock.now())
        assert cdr.signed_data is not None
        cdr.signed_data.signed_values[0].signed_data = record
        with pytest.raises(OcpiRefused):
            await bench.session.request("POST", url, cdr)


async def test_a_record_without_base64_is_read_too(bench: MoBench) -> None:
    detail = bench.station.charge()
    cdr = cdr_of(detail, CPO, SITE, bench.clock.now())
    assert cdr.signed_data is not None
    for value, signed in zip(cdr.signed_data.signed_values, detail.values, strict=True):
        value.signed_data = signed.ocmf
    assert (await bench.session.request("POST", await bench.session.endpoint("cdrs", "RECEIVER"), cdr)).http == 201
