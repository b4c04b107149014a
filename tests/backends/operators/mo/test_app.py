"""The customers' app: login, own things only, bills with evidence, remote start and stop through a CPO."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from backend_client.credential import Credential
from backend_client.ocpi_cdrs import cdr_of
from backend_client.ocpi_commands import put_session
from backend_client.ocpi_messages import Cdr, Token
from backend_client.ocpi_session import OcpiSession, Party
from backends.http_server import serve_asgi
from backends.operators.mo.customers import Status, add_customer
from backends.operators.mo.tables import BILLS, COMMANDS
from backends.operators.ocpi_cpo import MODULES, CpoOcpi
from backends.operators.ocpi_server import OcpiPartner, OcpiServer
from ocmf.safe_xml import read_safe_xml
from ocmf.verify import verify_record
from ports.backend import Ack
from ports.errors import RigError
from ports.station import RemoteAnswer
from tests.backends.operators.mo.bench import CPO, SITE, START, MoBench, mo_bench
from tests.backends.operators.mo.test_ocpi import news
from tests.doubles import ManualClock

SECRET = "a secret for tests"
MO = Party("DE", "PLB")


class Stations:
    """The CPO's side: what it was asked, what it has."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, ...]] = []
        self.answer: RemoteAnswer | Exception | None = RemoteAnswer(True)
        self.list: list[Cdr] = []

    async def start_session(self, location_id: str, evse_uid: str | None, token: Token) -> RemoteAnswer:
        self.asked.append(("start", location_id, evse_uid or "", token.uid, token.type))
        return await self._said() or RemoteAnswer(False)

    async def stop_session(self, partner: Party, session_id: str) -> RemoteAnswer | None:
        assert partner == MO
        self.asked.append(("stop", session_id))
        return await self._said()

    async def _said(self) -> RemoteAnswer | None:
        if isinstance(self.answer, TimeoutError):
            await asyncio.sleep(60)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def cdrs(
        self, partner: Party, since: datetime | None, until: datetime | None, offset: int, limit: int
    ) -> tuple[Sequence[Cdr], int]:
        assert partner == MO
        found = [one for one in self.list if (not since or one.last_updated >= since)]
        found = [one for one in found if not until or one.last_updated < until]
        return found[offset : offset + limit], len(found)


class AppBench(MoBench):
    """With a CPO and an app."""

    stations: Stations
    app: httpx.AsyncClient

    async def log_in(self, login: str = "alice", secret: str = SECRET) -> httpx.Response:
        answer = await self.app.post("/app/v1/login", json={"login": login, "secret": secret})
        if answer.status_code == 200:
            self.app.headers["Authorization"] = f"Bearer {answer.json()['token']}"
        return answer

    async def outcome(self, command: str) -> dict[str, str]:
        """Of a command, as soon as it is known."""
        while True:
            found: dict[str, str] = (await self.app.get(f"/app/v1/commands/{command}")).json()
            if found["outcome"]:
                return found
            await asyncio.sleep(0)


@asynccontextmanager
async def app_bench(folder: Path, **options: Any) -> AsyncIterator[AppBench]:
    """The CPO is there before the MO, and knows it after."""
    clock, stations = ManualClock(), Stations()
    for name in ("mo-shows", "cpo-shows"):
        (folder / name).write_text(name)
    mo_shows, cpo_shows = Credential(folder / "mo-shows"), Credential(folder / "cpo-shows")
    at_cpo = OcpiServer([OcpiPartner(party=MO, incoming=mo_shows, outgoing=cpo_shows)], MODULES, clock, source="cpo")
    sessions: dict[str, OcpiSession] = {}
    cpo = CpoOcpi(stations, stations, sessions, clock, **options)
    async with await serve_asgi(Starlette(routes=cpo.routes(at_cpo)), clock=clock) as server:
        partner = OcpiPartner(
            party=CPO, incoming=cpo_shows, outgoing=mo_shows, versions_url=f"{server.url}/ocpi/versions"
        )
        async with mo_bench(folder, clock, partners=(partner,), bench=AppBench, incoming=cpo_shows) as bench:
            assert isinstance(bench, AppBench)
            sessions[MO.id] = bench.session
            bench.stations = stations
            await bench.mo.add_contract("c1", "DEPLBC00000007", START, START + timedelta(days=900))
            async with httpx.AsyncClient(base_url=bench.mo.url, trust_env=False, verify=False) as bench.app:
                yield bench
            await cpo.close()


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[AppBench]:
    async with app_bench(tmp_path) as made:
        yield made


def everything_in(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.glob("mo.db*"))


ASKED = {"operator": "DECPO", "location_id": "LOC1", "evse_uid": "DE*PLB*E1*1"}


async def test_a_bill_can_be_seen_and_checked(bench: AppBench) -> None:
    detail = bench.station.charge(between=2)
    await bench.cdrs.push(detail)
    await bench.log_in()
    (bill,) = (await bench.app.get("/app/v1/bills")).json()["bills"]
    assert (bill["energy_kwh"], bill["total"], bill["currency"], bill["credited"]) == ("3.500", "2.49", "EUR", None)
    xml = await bench.app.get(f"/app/v1/bills/{bill['id']}/evidence.xml")
    values = read_safe_xml(xml.content)
    assert [value.context for value in values] == ["Transaction.Begin", "Transaction.End"]
    assert [value.data for value in values] == [detail.values[0].ocmf, detail.values[-1].ocmf]
    for value in values:
        verify_record(value.data, value.public_key)
    ocmf = await bench.app.get(f"/app/v1/bills/{bill['id']}/evidence.ocmf")
    assert ocmf.text.splitlines() == [value.ocmf for value in detail.values]
    (record,) = (await bench.app.get("/app/v1/records")).json()["records"]
    assert (record["status"], record["id"]) == ("billed", detail.id)


async def test_nobody_sees_what_is_somebody_elses(bench: AppBench) -> None:
    await bench.cdrs.push(bench.station.charge())
    await put_session(bench.session, news(bench))
    (bill,) = await bench.rows(BILLS)
    await bench.mo.add_customer("bob", "Bob", "bobs secret")
    assert (await bench.log_in("bob", "bobs secret")).status_code == 200
    for path, name in (("sessions", "sessions"), ("bills", "bills"), ("records", "records")):
        assert (await bench.app.get(f"/app/v1/{path}")).json() == {name: []}
    for suffix in ("xml", "ocmf"):
        assert (await bench.app.get(f"/app/v1/bills/{bill.id}/evidence.{suffix}")).status_code == 404
    stop = {"operator": "DECPO", "session_id": "s1"}
    assert (await bench.app.post("/app/v1/stop", json=stop)).status_code == 404
    refused = await bench.app.post("/app/v1/start", json=ASKED)
    assert (refused.status_code, refused.json()["error"]) == (403, "none of your contracts may charge now")
    assert bench.stations.asked == []


async def test_a_session_is_started_and_stopped_from_afar(bench: AppBench) -> None:
    await bench.log_in()
    answer = await bench.app.post("/app/v1/start", json=ASKED)
    assert answer.status_code == 202
    found = await bench.outcome(answer.json()["command"])
    assert (found["answer"], found["outcome"], found["kind"]) == ("ACCEPTED", "ACCEPTED", "START_SESSION")
    ((kind, location, evse, uid, token_type),) = bench.stations.asked
    assert (kind, location, evse, token_type) == ("start", "LOC1", "DE*PLB*E1*1", "APP_USER")
    assert uid.startswith("APP")
    assert len(uid) <= 20  # idTag of OCPP 1.6
    await put_session(bench.session, news(bench))
    (session,) = (await bench.app.get("/app/v1/sessions")).json()["sessions"]
    assert (session["id"], session["status"]) == ("s1", "ACTIVE")
    answer = await bench.app.post("/app/v1/stop", json={"operator": "decpo", "session_id": "s1"})
    assert (await bench.outcome(answer.json()["command"]))["outcome"] == "ACCEPTED"
    assert bench.stations.asked[1] == ("stop", "s1")


@pytest.mark.parametrize(
    ("answer", "outcome", "text"),
    [
        (RemoteAnswer(False, detail="no vehicle"), "REJECTED", "no vehicle"),
        (RigError("the station is away"), "FAILED", "the station is away"),
        (None, "REJECTED", ""),
    ],
)
async def test_what_the_station_says_reaches_the_customer(
    bench: AppBench, answer: RemoteAnswer | Exception | None, outcome: str, text: str
) -> None:
    bench.stations.answer = answer
    await bench.log_in()
    sent = await bench.app.post("/app/v1/start", json=ASKED)
    found = await bench.outcome(sent.json()["command"])
    assert (found["outcome"], found["detail"]) == (outcome, text)


async def test_a_station_that_says_nothing_is_a_time_out(tmp_path: Path) -> None:
    async with app_bench(tmp_path, timeout_s=0) as bench:
        bench.stations.answer = TimeoutError()
        await bench.log_in()
        sent = await bench.app.post("/app/v1/start", json=ASKED)
        assert (await bench.outcome(sent.json()["command"]))["outcome"] == "TIMEOUT"


async def test_who_may_not_charge_starts_nothing(bench: AppBench) -> None:
    await bench.mo.set_contract("DEPLBC00000007", Status.BLOCKED)
    await bench.log_in()
    assert (await bench.app.post("/app/v1/start", json=ASKED)).status_code == 403
    unknown = await bench.app.post("/app/v1/start", json=ASKED | {"operator": "DEXXX"})
    assert unknown.status_code == 404
    for body in ({}, ASKED | {"evse_uid": "x" * 37}, ASKED | {"more": 1}, ASKED | {"evse_uid": ""}):
        assert (await bench.app.post("/app/v1/start", json=body)).status_code == 400
    assert bench.stations.asked == []
    assert await bench.rows(COMMANDS) == []


async def test_a_cpo_that_is_away_is_told(bench: AppBench) -> None:
    await bench.log_in()
    for session in bench.mo.remote._sessions.values():
        session.versions_url = "http://127.0.0.1:9/ocpi/versions"
    answer = await bench.app.post("/app/v1/start", json=ASKED)
    assert answer.status_code == 502
    (row,) = await bench.rows(COMMANDS)
    assert row.answer == "FAILED"


async def test_an_outcome_counts_once_and_from_its_cpo_alone(bench: AppBench) -> None:
    await bench.log_in()
    sent = await bench.app.post("/app/v1/start", json=ASKED)
    command = sent.json()["command"]
    await bench.outcome(command)
    url = f"{bench.mo.url}/ocpi/2.2.1/commands/START_SESSION/{command}"
    token = {"Authorization": "Token Y3BvLXNob3dz"}  # cpo-shows
    late = await bench.app.post(url, json={"result": "FAILED"}, headers=token)
    assert late.status_code == 200
    assert (await bench.outcome(command))["outcome"] == "ACCEPTED"
    nobody = await bench.app.post(url, json={"result": "FAILED"}, headers={"Authorization": "Token bW8tc2hvd3M="})
    assert nobody.status_code == 401
    unknown = await bench.app.post(url + "0", json={"result": "FAILED"}, headers=token)
    assert unknown.status_code == 404


async def test_commands_report_to_the_platform_that_sent_them_only(bench: AppBench) -> None:
    session = bench.mo.remote.session("DECPO")
    url = await session.endpoint("commands", "RECEIVER")
    body = {"response_url": "http://elsewhere.example/x", "session_id": "s1"}
    async with httpx.AsyncClient(trust_env=False, verify=False) as client:
        header = {"Authorization": "Token bW8tc2hvd3M="}
        answer = await client.post(f"{url}/STOP_SESSION", json=body, headers=header)
    assert answer.json()["status_code"] == 2001
    assert bench.stations.asked == []


async def test_logins_are_kept_short_and_guessing_is_slow(bench: AppBench) -> None:
    for path in ("sessions", "bills", "records", "commands/x", "bills/x/evidence.xml"):
        answer = await bench.app.get(f"/app/v1/{path}")
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    for login, secret in (
        ("alice", "wrong"),
        ("nobody", SECRET),
        ("alice", ""),
        ("alice", "wrong again"),
        ("alice", "x"),
    ):
        assert (await bench.log_in(login, secret)).status_code == 401
    assert (await bench.log_in("alice", "y")).status_code == 401
    await bench.mo.database.write(lambda connection: add_customer(connection, "c9", "carl", "Carl", ""))
    assert (await bench.log_in("carl", "")).status_code == 401  # has no secret at all
    assert (await bench.log_in()).status_code == 429  # the right secret, too: nothing is told
    bench.clock.advance(31)
    assert (await bench.log_in()).status_code == 200
    assert (await bench.app.get("/app/v1/bills")).status_code == 200
    bench.clock.advance(8 * 3600)
    assert (await bench.app.get("/app/v1/bills")).status_code == 401
    await bench.log_in()
    assert (await bench.app.post("/app/v1/logout")).status_code == 200
    assert (await bench.app.get("/app/v1/bills")).status_code == 401


async def test_no_secret_is_in_traces_or_in_the_database(bench: AppBench, tmp_path: Path) -> None:
    await bench.log_in()
    token = bench.app.headers["Authorization"].removeprefix("Bearer ")
    await bench.app.post("/app/v1/start", json=ASKED)
    await bench.mo.close()
    kept = everything_in(tmp_path)
    for secret in (SECRET, token, "mo-shows", "cpo-shows"):
        assert secret.encode() not in kept
        assert secret not in str(bench.events)


async def test_the_page_is_closed_to_everything_from_elsewhere(bench: AppBench) -> None:
    page = await bench.app.get("/app")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert (await bench.app.get("/app/app.js")).headers["content-type"].startswith("text/javascript")
    assert "innerHTML" not in (await bench.app.get("/app/app.js")).text


async def test_cdrs_are_fetched_where_nobody_pushes(bench: AppBench) -> None:
    stations, clock = bench.stations, bench.clock
    details = [bench.station.charge(number, between=0) for number in range(60)]
    stations.list = [cdr_of(one, CPO, SITE, clock.now()) for one in details]
    stations.list[7].cdr_location.evse_id = "DE*PLB*E9*9"
    since, until = clock.now() - timedelta(hours=1), clock.now() + timedelta(hours=1)
    assert await bench.cdrs.push(details[3]) is Ack.STORED
    pulled = await bench.mo.pull("DECPO", since, until)
    assert (pulled.stored, pulled.known, list(pulled.refused)) == (58, 1, ["cdr-7"])
    assert "EVSE" in pulled.refused["cdr-7"]
    assert (await bench.mo.pull("DECPO", since, until)).known == 59
    assert (await bench.mo.pull("DECPO", since, since)).known == 0
    assert len(await bench.rows(BILLS)) == 59
    foreign = replace(bench.station.charge(999), id="foreign")
    stations.list = [cdr_of(foreign, Party("DE", "XXX"), SITE, clock.now())]
    assert "a CDR of DEXXX" in (await bench.mo.pull("DECPO", since, until)).refused["foreign"]
