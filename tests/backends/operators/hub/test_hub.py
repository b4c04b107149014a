"""A CPO, a hub and an MO: OICP and OCPI give the MO the same digest and the same energy."""

from __future__ import annotations

import hashlib
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest

from backend_client.ocpi_types import encode
from backend_client.oicp_authoriser import OicpAuthoriser
from backend_client.oicp_cdrs import OicpCdrs, record_of
from backend_client.oicp_messages import CDR_PATH, GET_CDRS_PATH, GetChargeDetailRecords, Page
from backend_client.oicp_session import OicpRefused, OicpSession
from backends.faults import BackendFault, FaultKind, FaultSwitch
from backends.operators.hub import tables
from backends.operators.hub.serve import RunningHub, serve_hub
from backends.operators.hub.settings import HubOperator, HubProvider, HubSettings
from backends.operators.mo.customers import Status
from backends.operators.mo.tables import BILLS, CDRS
from backends.store.database import Database
from hil_rigs.virtual_clock import VirtualClock, run_virtual
from ocmf.terms import IdType
from ports.authorisation import AuthorisationRequest, AuthorisationStatus, ContractStatus
from ports.backend import Ack
from ports.errors import RigError
from tests.backends.operators.mo.bench import CARD, EMAID, MoBench, mo_bench
from tests.backends.operators.sessions import BEGAN, Station
from tests.tls import tls_pem

OPERATOR = "DE*CPO"


class HubBench:
    """Everything."""

    def __init__(self, hub: RunningHub, mo: MoBench, session: OicpSession, faults: FaultSwitch) -> None:
        self.hub = hub
        self.mo = mo
        self.session = session
        self.faults = faults
        self.authoriser = OicpAuthoriser(session, OPERATOR, mo.clock.now)
        self.cdrs = OicpCdrs(session, OPERATOR, self.authoriser.session_of)

    async def states(self) -> list[tuple[str, int]]:
        """State and attempts of every record in the hub."""
        query = tables.CDRS.select().order_by(tables.CDRS.c.received)
        rows = await self.hub.database.read(lambda connection: connection.execute(query).all())
        return [(row.state, row.attempts) for row in rows]


@asynccontextmanager
async def hub_bench(folder: Path, clock: Any = None, **settings: Any) -> AsyncIterator[HubBench]:
    async with mo_bench(folder, clock) as mo:
        database = Database(f"sqlite:///{folder / 'hub.db'}", mo.clock, tables.prepare)
        faults = FaultSwitch()
        options = {
            "providers": (HubProvider(id="DE-PLB", url=mo.mo.url),),
            "operators": (HubOperator(id=OPERATOR), HubOperator(id="DE*OTH")),
            **settings,
        }
        hub = await serve_hub(HubSettings(**options), database, mo.clock, mo.events.append, Random(3), faults=faults)
        try:
            async with OicpSession(hub.url) as session:
                yield HubBench(hub, mo, session, faults)
        finally:
            await hub.close()
            await database.close()


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[HubBench]:
    async with hub_bench(tmp_path) as made:
        yield made


def card(uid: str = CARD, evse: str = "DE*PLB*E1*1") -> AuthorisationRequest:
    return AuthorisationRequest("1", evse, uid, "ISO14443")


async def test_both_paths_give_the_same_digest_and_energy(bench: HubBench, tmp_path: Path) -> None:
    station = Station(meter="METER2")
    detail = station.charge(between=3)
    (tmp_path / "other").mkdir()
    async with mo_bench(tmp_path / "other") as ocpi:
        for one in (ocpi, bench.mo):
            await one.know(station)
        assert await ocpi.cdrs.push(detail) is Ack.STORED
        assert await bench.cdrs.push(detail) is Ack.STORED
        ((by_ocpi,), (by_oicp,)) = await ocpi.rows(CDRS), await bench.mo.rows(CDRS)
        assert (by_ocpi.channel, by_oicp.channel) == ("OCPI", "OICP")
        assert by_ocpi.digest == by_oicp.digest != ""
        assert by_ocpi.energy_kwh == by_oicp.energy_kwh == "3.500"
        bills = [(await one.rows(BILLS))[0].bill for one in (ocpi, bench.mo)]
        assert bills[0]["total"] == bills[1]["total"]
        for one in (ocpi, bench.mo):
            found = await one.mo.evidence((await one.rows(BILLS))[0].id)
            assert found.ocmf().splitlines() == [value.ocmf for value in detail.values]


async def test_a_transaction_that_comes_on_both_paths_is_billed_once(bench: HubBench) -> None:
    detail = bench.mo.station.charge()
    await bench.mo.cdrs.push(detail)
    with pytest.raises(OicpRefused, match="billed before"):
        await bench.cdrs.push(detail)
    assert len(await bench.mo.rows(BILLS)) == 1


async def test_a_repeated_record_is_forwarded_once(bench: HubBench) -> None:
    detail = bench.mo.station.charge()
    assert [await bench.cdrs.push(detail) for _ in range(3)] == [Ack.STORED, Ack.DUPLICATE, Ack.DUPLICATE]
    assert await bench.states() == [("forwarded", 1)]
    assert [row.deliveries for row in await bench.mo.rows(CDRS)] == [1]


async def test_long_sessions_are_an_extract_that_says_so(bench: HubBench) -> None:
    detail = bench.mo.station.charge(between=28)
    record = record_of(detail, bench.authoriser.session_of(detail))
    info = record.calibration_law_verification_info
    assert info is not None
    assert len(record.signed_metering_values) == 10
    assert [one.metering_status for one in record.signed_metering_values] == ["Start", *["Progress"] * 8, "End"]
    assert "10 of 30 records of pages T1 to T30" in str(info.signed_metering_values_verification_instruction)
    assert await bench.cdrs.push(detail) is Ack.STORED
    (row,) = await bench.mo.rows(CDRS)
    assert (row.status, row.energy_kwh, row.detail) == ("billed", "3.500", "extract: 10 records of T1 to T30")


async def test_gaps_are_no_extract_where_there_was_room(bench: HubBench) -> None:
    detail = bench.mo.station.charge(between=4)
    with pytest.raises(OicpRefused, match="pagination"):
        await bench.cdrs.push(replace(detail, values=(*detail.values[:2], *detail.values[3:])))


async def test_the_session_of_the_hub_is_the_one_of_its_authorisation(bench: HubBench) -> None:
    assert (await bench.authoriser.authorise(card())).is_accepted
    detail = bench.mo.station.charge(user=CARD, id_type=IdType.ISO14443)
    first = bench.authoriser.session_of(detail)
    bench.mo.clock.advance(3600)
    assert (await bench.authoriser.authorise(card())).is_accepted
    assert bench.authoriser.session_of(detail) == first
    assert await bench.cdrs.push(detail) is Ack.STORED
    (row,) = await bench.mo.rows(CDRS)
    assert (row.id, row.uid, row.status) == (first, CARD, "billed")


async def test_a_card_without_a_session_has_no_provider(bench: HubBench) -> None:
    with pytest.raises(OicpRefused, match="400"):
        await bench.cdrs.push(bench.mo.station.charge(user=CARD, id_type=IdType.ISO14443))


ANSWERS = (
    (Status.ACTIVE, AuthorisationStatus.ACCEPTED, None),
    (Status.BLOCKED, AuthorisationStatus.BLOCKED, None),
    (Status.REVOKED, AuthorisationStatus.BLOCKED, ContractStatus.CERTIFICATE_REVOKED),
    (Status.NO_CREDIT, AuthorisationStatus.EXPIRED, None),
)


async def test_contracts_are_asked_of_their_provider(bench: HubBench) -> None:
    for status, answer, contract in ANSWERS:
        await bench.mo.mo.set_contract(EMAID, status)
        found = await bench.authoriser.authorise(AuthorisationRequest("1", "DE*PLB*E1*1", EMAID, "EMAID"))
        assert (found.status, found.contract) == (answer, contract)


async def test_unknown_identifications_are_refused_by_their_kind(bench: HubBench) -> None:
    assert (await bench.authoriser.authorise(card("04FFFFFFFFFFFF"))).status is AuthorisationStatus.UNKNOWN
    no_medium = await bench.authoriser.authorise(AuthorisationRequest("1", "DE*PLB*E1*1", "1234", "KEY_CODE"))
    assert no_medium.status is AuthorisationStatus.INVALID
    foreign = AuthorisationRequest("1", "DE*PLB*E1*1", "DEABCC00000001", "EMAID")
    with pytest.raises(RigError, match="300"):  # nobody to ask
        await bench.authoriser.authorise(foreign)


def test_a_provider_that_is_away_for_six_hours_gets_its_records_once(tmp_path: Path) -> None:
    async def main(clock: VirtualClock) -> None:
        async with hub_bench(tmp_path, clock) as bench:
            bench.mo.faults.lasting = BackendFault(FaultKind.ERROR, status=503)
            with pytest.raises(RigError, match="310"):
                await bench.authoriser.authorise(card())
            details = [bench.mo.station.charge(number) for number in range(3)]
            for detail in details:
                assert await bench.cdrs.push(detail) is Ack.STORED  # the hub has it
            await clock.sleep(6 * 3600)
            ((state, attempts), *_) = await bench.states()
            # after 1, 3, 7, 15, 31, 63 minutes, then every hour
            assert (state, attempts) == ("waiting", 11)
            bench.mo.faults.lasting = BackendFault()
            bench.mo.faults.queue.append(BackendFault(FaultKind.LOST_ACK))
            await clock.sleep(2 * 3600)
            assert sorted(await bench.states()) == [("forwarded", 12), ("forwarded", 12), ("forwarded", 13)]
            rows = await bench.mo.rows(CDRS)
            assert sorted((row.status, row.deliveries) for row in rows) == [("billed", 1), ("billed", 1), ("billed", 2)]
            assert len(await bench.mo.rows(BILLS)) == 3

    run_virtual(main, start=BEGAN)


async def test_a_refused_record_goes_back_and_a_corrected_one_goes_on(bench: HubBench) -> None:
    detail = bench.mo.station.charge(between=2)
    broken = replace(detail, values=(detail.values[0], *detail.values[2:]))
    with pytest.raises(OicpRefused, match="pagination"):
        await bench.cdrs.push(broken)
    assert await bench.states() == [("rejected", 1)]
    # the MO keeps what it has refused: the corrected record needs another session, as a credit does
    with pytest.raises(OicpRefused, match="another charge detail record"):
        await bench.cdrs.push(detail)


async def test_another_record_for_a_session_is_refused(bench: HubBench) -> None:
    detail = bench.mo.station.charge()
    await bench.cdrs.push(detail)
    with pytest.raises(OicpRefused, match="another charge detail record for this session"):
        await bench.cdrs.push(replace(detail, stop_reason="x", evse_id="DE*PLB*E2*2"))


async def test_faults_of_the_hub_have_no_second_effect(bench: HubBench) -> None:
    detail = bench.mo.station.charge()
    bench.faults.queue += [
        BackendFault(FaultKind.ERROR),
        BackendFault(FaultKind.LOST_ACK),
        BackendFault(FaultKind.DUPLICATE),
    ]
    for _ in range(2):
        with pytest.raises(RigError, match="injected"):
            await bench.cdrs.push(detail)
    assert await bench.cdrs.push(detail) is Ack.DUPLICATE
    assert [row.deliveries for row in await bench.mo.rows(CDRS)] == [1]


HOSTILE: list[tuple[Any, int, str]] = [
    (lambda body: body | {"SessionID": "1"}, 400, "022"),
    (lambda body: {name: body[name] for name in body if name != "EvseID"}, 400, "022"),
    (lambda body: body | {"Identification": {}}, 400, "022"),
    (lambda body: body | {"SignedMeteringValues": body["SignedMeteringValues"] * 5}, 400, "022"),
    (lambda body: body | {"SignedMeteringValues": body["SignedMeteringValues"][::-1]}, 200, "022"),
    (lambda body: b"[", 400, "022"),
    (lambda body: b"x" * (300 << 10), 413, "022"),
]


async def test_wrong_records_are_refused_with_a_reason(bench: HubBench) -> None:
    detail = bench.mo.station.charge()
    good = json.loads(encode(record_of(detail, bench.authoriser.session_of(detail))))
    url = bench.hub.url + CDR_PATH.format(operator=OPERATOR)
    async with httpx.AsyncClient(trust_env=False, verify=False) as client:
        for change, http, code in HOSTILE:
            body = change(good)
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            answer = await client.post(url, content=content, headers={"Content-Type": "application/json"})
            said = answer.json()
            assert (answer.status_code, said["StatusCode"]["Code"], said["Result"]) == (http, code, False)
    assert await bench.states() == []


async def test_operators_must_be_known_and_contracted(tmp_path: Path) -> None:
    async with hub_bench(tmp_path, operators=(HubOperator(id=OPERATOR, providers=("DE-XXX",)),)) as bench:
        detail = bench.mo.station.charge()
        with pytest.raises(OicpRefused, match="300"):
            await bench.cdrs.push(detail)
        with pytest.raises(RigError, match="017"):
            await OicpCdrs(bench.session, "DE*NOB", bench.authoriser.session_of).push(detail)


async def test_partners_are_known_by_their_tls_certificates(tmp_path: Path) -> None:
    key, certificate = tls_pem()
    files = (tmp_path / "certificate.pem", tmp_path / "key.pem")
    for path, content in zip(files, (certificate, key), strict=True):
        path.write_bytes(content)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=files[0])
    tls.load_cert_chain(*files)
    tls.verify_mode = ssl.CERT_OPTIONAL
    mine = hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate.decode())).hexdigest()
    operators = (HubOperator(id=OPERATOR, certificate=mine.upper()), HubOperator(id="DE*OTH"))
    async with hub_bench(tmp_path, tls=tls, certificates=True, operators=operators) as bench:
        detail = bench.mo.station.charge()
        url = bench.hub.url.replace("127.0.0.1", "localhost")
        async with OicpSession(url, ca_file=files[0], client_certificate=files) as session:
            assert await OicpCdrs(session, OPERATOR, bench.authoriser.session_of).push(detail) is Ack.STORED
            with pytest.raises(RigError, match="017"):  # in another's name
                await OicpCdrs(session, "DE*OTH", bench.authoriser.session_of).push(detail)
        async with OicpSession(url, ca_file=files[0]) as session:
            with pytest.raises(RigError, match="certificate is missing or not known"):
                await OicpCdrs(session, OPERATOR, bench.authoriser.session_of).push(detail)


async def test_a_provider_can_fetch_its_records(bench: HubBench) -> None:
    details = [bench.mo.station.charge(number) for number in range(3)]
    ids = [bench.authoriser.session_of(detail) for detail in details]
    for detail in details:
        await bench.cdrs.push(detail)
    path = GET_CDRS_PATH.format(provider="DE-PLB")
    now = bench.mo.clock.now()
    day = timedelta(days=1)

    async def ask(query: str = "", **changes: Any) -> Page:
        wanted = GetChargeDetailRecords(provider_id="DE-PLB", from_=now - day, to=now + day, **changes)
        return await bench.session.post(path + query, wanted, Page)

    everything = await ask()
    assert {one.session_id for one in everything.content} == set(ids)
    assert (everything.total_elements, everything.first, everything.last) == (3, True, True)
    second = await ask("?page=1&size=2")
    assert (second.number_of_elements, second.total_pages, second.last) == (1, 2, True)
    assert [one.session_id for one in (await ask(session_ids=ids[:1])).content] == ids[:1]
    assert (await ask(cdr_forwarded=False)).content == []
    assert (await ask(operator_ids=["DE*OTH"])).content == []
    by_id = {one.session_id: one for one in everything.content}
    for session_id, detail in zip(ids, details, strict=True):
        values = [one.signed_metering_value for one in by_id[session_id].signed_metering_values]
        assert values == [one.ocmf for one in detail.values]
    with pytest.raises(OicpRefused, match="no number"):
        await ask("?page=x")
    wanted = GetChargeDetailRecords(provider_id="DE-XXX", from_=now, to=now)
    for other in (path, GET_CDRS_PATH.format(provider="DE-XXX")):
        with pytest.raises(OicpRefused, match="017"):
            await bench.session.post(other, wanted, Page)


async def test_a_cpo_that_was_restarted_still_names_the_session(bench: HubBench, tmp_path: Path) -> None:
    def authoriser() -> OicpAuthoriser:
        return OicpAuthoriser(bench.session, OPERATOR, bench.mo.clock.now, file=tmp_path / "sessions")

    assert (await authoriser().authorise(card())).is_accepted
    detail = bench.mo.station.charge(user=CARD, id_type=IdType.ISO14443)
    sinks = [OicpCdrs(bench.session, OPERATOR, authoriser().session_of) for _ in range(2)]
    assert [await sink.push(detail) for sink in sinks] == [Ack.STORED, Ack.DUPLICATE]
