from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from backend_client.ocpi_cdrs import OcpiSite
from backend_client.ocpi_messages import CdrToken, Token
from backend_client.ocpi_session import Party
from backends.operators.cpo.ocpi_desk import OcpiDesk
from backends.operators.cpo.roaming_sessions import REMOTE_START_S, RoamingSessions
from backends.operators.cpo.schema import ROAMING_SESSIONS
from backends.operators.ocpi_cpo import CdrList, RemoteSessions
from hil_rigs.virtual_clock import VirtualClock
from ports.station import RemoteAnswer
from tests.backends.operators.cpo.parts import START, Cpo, Wire, event, running_cpo, station, virtual
from tests.backends.signed_records import RecordMaker

MO, OTHER, OPERATOR = Party("DE", "PLB"), Party("DE", "XYZ"), Party("DE", "CPO")
SITE = OcpiSite(
    location_id="LOC1",
    address="Street 1",
    city="Town",
    postal_code="1",
    country="DEU",
    latitude="50.000000",
    longitude="8.000000",
    price_per_kwh=Decimal("0.50"),
)


def desk_of(cpo: Cpo) -> OcpiDesk:
    csms, remote = cpo.running.csms, cpo.running.remote
    sessions = RoamingSessions(
        cpo.database, csms.clock, lambda uid: (OTHER.id, owned(uid)) if uid == "theirs" else None
    )
    return OcpiDesk(csms, remote, sessions, cpo.database, OPERATOR, SITE, {MO.id: "mo"})


def owned(uid: str) -> CdrToken:
    return CdrToken(country_code="DE", party_id="XYZ", uid=uid, type="APP_USER", contract_id="c")


def token(kind: str, uid: str) -> Token:
    return Token(
        country_code="DE",
        party_id="PLB",
        uid=uid,
        type=kind,  # type: ignore[arg-type]
        contract_id="DEPLBC00000042",
        issuer="MO",
        valid=True,
        whitelist="NEVER",
        last_updated=START,
    )


async def answered(wire: Wire, asked: Awaitable[Any], said: dict[str, Any]) -> tuple[list[Any], Any]:
    """What the station was asked, and what came of it."""
    task = asyncio.ensure_future(asked)
    call: list[Any] = json.loads(await wire.socket.recv())
    await wire.socket.send(json.dumps([3, call[1], said]))
    return call[2:], await task


@virtual
async def test_sessions_are_started_and_stopped_for_an_mo(tmp_path: Path, clock: VirtualClock) -> None:
    async with running_cpo(tmp_path, clock) as cpo:
        remote: RemoteSessions = desk_of(cpo)
        nobody = await remote.start_session("LOC1", None, token("RFID", "04A1"))
        assert nobody == RemoteAnswer(False, detail="there is no EVSE None that could be asked")
        async with station(cpo.running) as wire:
            for uid, kind, id_type, evse in (
                ("04A1B2C3", "RFID", "ISO14443", "de*plb*e1"),
                ("app-1", "APP_USER", "Central", "DEPLBE1"),
                ("DEPLBC00000042", "OTHER", "eMAID", None),
            ):
                call, answer = await answered(
                    wire, remote.start_session("LOC1", evse, token(kind, uid)), {"status": "Accepted"}
                )
                assert answer.accepted
                assert call[0] == "RequestStartTransaction"
                assert call[1]["idToken"] == {"idToken": uid, "type": id_type}
                assert call[1].get("evseId") == (1 if evse else None)
            assert not (await remote.start_session("LOC2", None, token("RFID", "04"))).accepted
            assert not (await remote.start_session("LOC1", "DE*PLB*E9", token("RFID", "04"))).accepted

            assert await remote.stop_session(MO, "t1") is None
            await wire.ask("TransactionEvent", began("t1", "DEPLBC00000042", call[1]["remoteStartId"]))
            assert await remote.stop_session(OTHER, "t1") is None
            call, answer = await answered(wire, remote.stop_session(MO, "t1"), {"status": "Rejected"})
            assert call == ["RequestStopTransaction", {"transactionId": "t1"}]
            assert not answer.accepted
            await wire.ask("TransactionEvent", event("Ended", 1))
            assert await remote.stop_session(MO, "t1") is None


def began(transaction: str, uid: str, start_id: int | None = None) -> dict[str, Any]:
    """The station says that it charges for this token."""
    info: dict[str, Any] = {"transactionId": transaction} | ({"remoteStartId": start_id} if start_id else {})
    return event("Started", 0, (), transaction, transactionInfo=info, idToken={"idToken": uid, "type": "Central"})


@virtual
async def test_a_partner_stops_its_own_sessions_alone(tmp_path: Path, clock: VirtualClock) -> None:
    async with running_cpo(tmp_path, clock) as cpo, station(cpo.running) as wire:
        remote: RemoteSessions = desk_of(cpo)
        app = token("APP_USER", "theirs")  # a name that a customer of another partner has, too
        refused, _ = await answered(wire, remote.start_session("LOC1", None, app), {"status": "Rejected"})
        assert await cpo.rows(ROAMING_SESSIONS) == []
        await wire.ask("TransactionEvent", began("t1", "theirs"))  # its own driver, without us
        for partner, transaction in ((MO, "t1"), (OTHER, "t2")):
            assert await remote.stop_session(partner, transaction) is None
        asked, _ = await answered(wire, remote.start_session("LOC1", None, app), {"status": "Accepted"})
        await wire.ask("TransactionEvent", began("t3", "somebody else", asked[1]["remoteStartId"]))
        await wire.ask("TransactionEvent", began("t4", "theirs", refused[1]["remoteStartId"]))
        assert await remote.stop_session(MO, "t3") is None
        await wire.ask("TransactionEvent", began("t5", "theirs", asked[1]["remoteStartId"]))
        for partner, transaction in ((MO, "t5"), (OTHER, "t4"), (OTHER, "t1")):
            call, _ = await answered(wire, remote.stop_session(partner, transaction), {"status": "Accepted"})
            assert call == ["RequestStopTransaction", {"transactionId": transaction}]


@virtual
async def test_ocpp_16_has_no_number_of_a_remote_start(tmp_path: Path, clock: VirtualClock) -> None:
    async with running_cpo(tmp_path, clock) as cpo, station(cpo.running, "ocpp1.6") as wire:
        remote: RemoteSessions = desk_of(cpo)
        begin = {"connectorId": 1, "idTag": "APP1", "meterStart": 0, "timestamp": "2026-01-01T12:00:00Z"}
        asked, _ = await answered(
            wire, remote.start_session("LOC1", None, token("APP_USER", "app1")), {"status": "Accepted"}
        )
        assert asked == ["RemoteStartTransaction", {"idTag": "app1"}]
        first = (await wire.ask("StartTransaction", begin))[2]["transactionId"]
        again = {**begin, "timestamp": "2026-01-01T12:01:00Z"}  # with the same name, but nobody asked for it
        second = (await wire.ask("StartTransaction", again))[2]["transactionId"]
        assert await remote.stop_session(OTHER, str(first)) is None
        call, answer = await answered(wire, remote.stop_session(MO, str(first)), {"status": "Accepted"})
        assert (call, answer.accepted) == (["RemoteStopTransaction", {"transactionId": first}], True)
        assert await remote.stop_session(MO, str(second)) is None
        await answered(wire, remote.start_session("LOC1", None, token("APP_USER", "app1")), {"status": "Accepted"})
        await clock.sleep(REMOTE_START_S + 1)  # nobody came
        late = {**begin, "timestamp": "2026-01-01T13:00:00Z"}
        third = (await wire.ask("StartTransaction", late))[2]["transactionId"]
        assert await remote.stop_session(MO, str(third)) is None


@virtual
async def test_an_mo_fetches_its_cdrs(tmp_path: Path, clock: VirtualClock) -> None:
    maker = RecordMaker()
    async with running_cpo(tmp_path, clock) as cpo, station(cpo.running) as wire:
        await cpo.register(maker)
        for transaction in ("t1", "t2", "t3"):
            for seq_no, (kind, one) in enumerate(zip(("Started", "Updated", "Ended"), maker.session(), strict=True)):
                card = {"idToken": {"idToken": "04A1B2C3", "type": "ISO14443"}} if seq_no == 0 else {}
                await wire.ask("TransactionEvent", event(kind, seq_no, [one], transaction, **card))
            await clock.sleep(60)
        listed: CdrList = desk_of(cpo)
        found, total = await listed.cdrs(MO, None, None, 0, 2)
        assert ([one.session_id for one in found], total) == (["t1", "t2"], 3)
        assert found[0].total_energy == Decimal("3.5")
        assert found[0].total_cost.excl_vat == Decimal("1.75")
        assert found[0].id == cpo.taker.taken[0].id  # as it was pushed
        found, total = await listed.cdrs(MO, None, None, 2, 2)
        assert ([one.session_id for one in found], total) == (["t3"], 3)
        since = START + timedelta(seconds=30)
        found, total = await listed.cdrs(MO, since, since + timedelta(seconds=60), 0, 9)
        assert ([one.session_id for one in found], total) == (["t2"], 1)
        assert await listed.cdrs(OTHER, None, None, 0, 9) == ([], 0)
