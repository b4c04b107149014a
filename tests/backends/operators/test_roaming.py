"""From the app to the bill, in virtual time: customer, mobility operator, charge point operator, a station's socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import httpx

from backend_client.credential import Credential
from backend_client.ocpi_authoriser import OcpiAuthoriser
from backend_client.ocpi_cdrs import OcpiCdrs
from backend_client.ocpi_session import OcpiSession
from backends.faults import BackendFault, FaultKind
from backends.operators.cpo.cpo import serve_cpo
from backends.operators.cpo.ocpi_platform import MoLink, OcpiSettings
from backends.operators.cpo.settings import CpoSettings
from backends.operators.mo.tables import BILLS
from backends.operators.ocpi_server import OcpiPartner
from hil_rigs.virtual_clock import VirtualClock
from ocmf.container import parse
from ocmf.terms import IdType, Tx
from ports.backend import SignedRecord
from tests.backends.operators.cpo.parts import Cpo, Wire, event, running_cpo, station, virtual
from tests.backends.operators.mo.bench import CPO, EMAID, SITE, MoBench, mo_bench
from tests.backends.operators.mo.test_app import MO, SECRET
from tests.backends.operators.sessions import BEGAN, Station
from tests.backends.signed_records import CONTEXT

MO_PORT = 18999  # in memory
EVSE = "DE*PLB*E1"


@dataclass
class World:
    """Both operators, and a customer who is logged in."""

    cpo: Cpo
    mo: MoBench
    app: httpx.AsyncClient
    meter: Station
    ocpi: OcpiSettings

    def records(self, uid: str, id_type: IdType) -> list[SignedRecord]:
        """Begin, one between, end: 3.5 kWh for this token."""
        found, meter = [], self.meter
        for tx, kwh in ((Tx.BEGIN, "100.000"), (Tx.CHARGING, "101.750"), (Tx.END, "103.500")):
            context = CONTEXT[tx]
            meter.kwh = Decimal(kwh)
            record = parse(meter.record(tx, user=uid, id_type=id_type))
            page = record.string("PG")
            found.append(
                SignedRecord(record.record_id, meter.gateway, meter.meter, page, "t1", context, record.text, "")
            )
        return found


@asynccontextmanager
async def world(folder: Path, clock: VirtualClock) -> AsyncIterator[World]:
    for name in ("cpo-shows", "mo-shows"):
        (folder / name).write_text(name)
    cpo_shows, mo_shows = Credential(folder / "cpo-shows"), Credential(folder / "mo-shows")
    async with OcpiSession(f"http://127.0.0.1:{MO_PORT}/ocpi/versions", cpo_shows, Random(1)) as session:
        authoriser = OcpiAuthoriser(session, SITE.location_id)
        sink = OcpiCdrs(session, CPO, SITE, clock.now, authoriser.info)
        mo_here = OcpiPartner(party=MO, incoming=mo_shows, outgoing=cpo_shows)
        link = MoLink(partner=mo_here, session=session, sink="mo", authoriser=authoriser)
        ocpi = OcpiSettings(operator=CPO, site=SITE, links=[link])
        async with running_cpo(folder, clock, sinks={"mo": sink}, authorisers=[authoriser], ocpi=ocpi) as cpo:
            cpo_there = OcpiPartner(party=CPO, incoming=cpo_shows, outgoing=mo_shows)
            async with mo_bench(folder, clock, incoming=cpo_shows, partners=(cpo_there,), port=MO_PORT) as mo:
                assert cpo.running.ocpi is not None
                await mo.mo.remote.reach(CPO.id, cpo.running.ocpi.versions_url)
                await mo.mo.add_contract("c1", "DEPLBC00000007", BEGAN.replace(year=2025), BEGAN.replace(year=2027))
                meter = Station(evse=EVSE, meter="METER2")
                await cpo.register(meter)
                await mo.know(meter)
                async with httpx.AsyncClient(base_url=mo.mo.url, trust_env=False, verify=False) as app:
                    login = await app.post("/app/v1/login", json={"login": "alice", "secret": SECRET})
                    app.headers["Authorization"] = f"Bearer {login.json()['token']}"
                    yield World(cpo, mo, app, meter, ocpi)


async def charged(world: World, wire: Wire, uid: str, id_type: IdType, ocpp_type: str) -> list[SignedRecord]:
    """The station charges for this token; what it signed."""
    records = world.records(uid, id_type)
    for seq_no, (kind, record) in enumerate(zip(("Started", "Updated", "Ended"), records, strict=True)):
        more = {"idToken": {"idToken": uid, "type": ocpp_type}} if seq_no == 0 else {}
        await wire.ask("TransactionEvent", event(kind, seq_no, [record], "t1", **more))
    return records


async def bills(world: World, clock: VirtualClock, seconds: int = 600) -> list[dict[str, Any]]:
    """The customer's, as soon as there are any."""
    for _ in range(seconds):
        found: list[dict[str, Any]] = (await world.app.get("/app/v1/bills")).json()["bills"]
        if found:
            return found
        await clock.sleep(1)
    return []


@virtual
async def test_from_the_app_to_the_bill(tmp_path: Path, clock: VirtualClock) -> None:
    async with world(tmp_path, clock) as here, station(here.cpo.running) as wire:
        asked = {"operator": "DECPO", "location_id": SITE.location_id, "evse_uid": EVSE}
        started = asyncio.ensure_future(here.app.post("/app/v1/start", json=asked))
        call = json.loads(await wire.socket.recv())
        assert call[2] == "RequestStartTransaction"
        uid = call[3]["idToken"]["idToken"]
        await wire.socket.send(json.dumps([3, call[1], {"status": "Accepted"}]))
        command = (await started).json()["command"]
        while not (found := (await here.app.get(f"/app/v1/commands/{command}")).json())["outcome"]:
            await clock.sleep(0.1)
        assert (found["answer"], found["outcome"]) == ("ACCEPTED", "ACCEPTED")
        records = await charged(here, wire, uid, IdType.CENTRAL, "Central")
        (bill,) = await bills(here, clock)
        assert (bill["energy_kwh"], bill["evse_id"], bill["emaid"]) == ("3.500", EVSE, "DEPLBC00000007")
        ocmf = await here.app.get(f"/app/v1/bills/{bill['id']}/evidence.ocmf")
        assert ocmf.text.splitlines() == [record.ocmf for record in records]


@virtual
async def test_a_contract_is_billed_once_whatever_the_operators_lose(tmp_path: Path, clock: VirtualClock) -> None:
    async with world(tmp_path, clock) as here, station(here.cpo.running) as wire:
        here.mo.faults.queue += [
            BackendFault(),  # the authorisation
            BackendFault(FaultKind.ERROR),
            BackendFault(FaultKind.LOST_ACK),
            BackendFault(FaultKind.DUPLICATE),
        ]
        await charged(here, wire, EMAID, IdType.EMAID, "eMAID")
        assert len(await bills(here, clock)) == 1
        await clock.sleep(3600)
        assert len(await here.mo.rows(BILLS)) == 1
        pulled = await here.mo.mo.pull("DECPO", BEGAN, clock.now())
        assert (pulled.stored, pulled.known, pulled.refused) == (0, 1, {})


async def seen(world: World, clock: VirtualClock, status: str, kwh: str) -> dict[str, Any]:
    """The customer's session in the app, as soon as it says so."""
    for _ in range(600):
        for one in (await world.app.get("/app/v1/sessions")).json()["sessions"]:
            if (one["status"], Decimal(one["kwh"])) == (status, Decimal(kwh)):
                found: dict[str, Any] = one
                return found
        await clock.sleep(0.1)
    raise AssertionError(f"the app has no {status} session of {kwh} kWh")


@virtual
async def test_the_app_sees_a_session_as_it_goes_and_stops_it(tmp_path: Path, clock: VirtualClock) -> None:
    async with world(tmp_path, clock) as here, station(here.cpo.running) as wire:
        begin, between, end = here.records(EMAID, IdType.EMAID)
        token = {"idToken": {"idToken": EMAID, "type": "eMAID"}}
        await wire.ask("TransactionEvent", event("Started", 0, [begin], "t1", **token))
        shown = await seen(here, clock, "ACTIVE", "0")
        assert (shown["operator"], shown["id"], shown["evse_uid"]) == ("DECPO", "t1", EVSE)
        here.mo.faults.queue += [BackendFault(FaultKind.ERROR), BackendFault(FaultKind.LOST_ACK)]
        await wire.ask("TransactionEvent", event("Updated", 1, [between], "t1"))
        await seen(here, clock, "ACTIVE", "1.75")
        wanted = asyncio.ensure_future(here.app.post("/app/v1/stop", json={"operator": "DECPO", "session_id": "t1"}))
        call = json.loads(await wire.socket.recv())
        assert call[2:] == ["RequestStopTransaction", {"transactionId": "t1"}]
        await wire.socket.send(json.dumps([3, call[1], {"status": "Accepted"}]))
        assert (await wanted).status_code == 202
        await wire.ask("TransactionEvent", event("Ended", 2, [end], "t1"))
        await seen(here, clock, "COMPLETED", "3.5")
        assert len(await bills(here, clock)) == 1
        told = [one for one in here.cpo.traced("cpo.session") if not one["why"]]
        assert {one["transaction"] for one in told} == {"t1"}


@virtual
async def test_a_session_that_ended_unheard_is_told_after_the_next_start(tmp_path: Path, clock: VirtualClock) -> None:
    async with world(tmp_path, clock) as here:
        async with station(here.cpo.running) as wire:
            begin, between, end = here.records(EMAID, IdType.EMAID)
            token = {"idToken": {"idToken": EMAID, "type": "eMAID"}}
            await wire.ask("TransactionEvent", event("Started", 0, [begin], "t1", **token))
            await seen(here, clock, "ACTIVE", "0")
            assert here.cpo.running.ocpi is not None
            await here.cpo.running.ocpi.close()  # nothing is told from here on
            for seq_no, (kind, record) in enumerate((("Updated", between), ("Ended", end)), start=1):
                await wire.ask("TransactionEvent", event(kind, seq_no, [record], "t1"))
        await here.cpo.running.close()
        again = await serve_cpo(CpoSettings(), here.cpo.database, clock, ocpi=here.ocpi, random=Random(5))
        await seen(here, clock, "COMPLETED", "3.5")
        await again.close()
