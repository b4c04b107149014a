from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from backends.operators.cpo.settings import CpoSettings
from hil_rigs.virtual_clock import VirtualClock
from tests.backends.operators.cpo.parts import ACCOUNT, Cpo, Wire, event, running_cpo, station, virtual
from tests.backends.signed_records import RecordMaker

TOKEN = "the operator's token"


@asynccontextmanager
async def api(tmp_path: Path, clock: VirtualClock) -> AsyncIterator[tuple[Cpo, Wire, httpx.AsyncClient]]:
    settings = CpoSettings(stations=[ACCOUNT], api_token=TOKEN)
    async with running_cpo(tmp_path, clock, settings) as cpo, station(cpo.running) as wire:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with httpx.AsyncClient(base_url=cpo.running.api_url, headers=headers) as http:
            yield cpo, wire, http


@virtual
async def test_nothing_without_the_token(tmp_path: Path, clock: VirtualClock) -> None:
    async with api(tmp_path, clock) as (cpo, _, http):
        for header in ("", "Bearer", "Bearer x", f"Basic {TOKEN}"):
            for path in ("/v1/stations", "/v1/keys", "/v1/charge-details.csv"):
                refused = await http.get(path, headers={"Authorization": header})
                assert refused.status_code == 401
                assert refused.headers["WWW-Authenticate"] == "Bearer"
        assert (await http.get("/health", headers={"Authorization": ""})).status_code == 200
        assert TOKEN not in repr(cpo.running)


@virtual
async def test_what_an_operator_sees_of_a_session(tmp_path: Path, clock: VirtualClock) -> None:
    maker = RecordMaker()
    async with api(tmp_path, clock) as (_, wire, http):
        await wire.ask("BootNotification", {"reason": "PowerUp", "chargingStation": {"model": "M", "vendorName": "V"}})
        status = {"timestamp": "2026-01-01T12:00:00Z", "connectorStatus": "Occupied", "evseId": 1, "connectorId": 1}
        await wire.ask("StatusNotification", status)
        old = {**status, "timestamp": "2026-01-01T12:30:00+01:00", "connectorStatus": "Available"}
        await wire.ask("StatusNotification", old)  # from before, queued
        await wire.ask("SecurityEventNotification", {"type": "TamperDetection", "timestamp": "2026-01-01T12:00:00Z"})
        (found,) = (await http.get("/v1/stations")).json()["stations"]
        assert (found["identity"], found["connected"], found["boot"]["reason"]) == ("CP1", True, "PowerUp")
        assert [(one["evse"], one["status"]) for one in found["connectors"]] == [(1, "Occupied")]
        (report,) = (await http.get("/v1/stations/CP1/reports")).json()["reports"]
        assert (report["kind"], report["body"]["type"]) == ("security event", "TamperDetection")

        for seq_no, (kind, record) in enumerate(zip(("Started", "Updated", "Ended"), maker.session(), strict=True)):
            await wire.ask("TransactionEvent", event(kind, seq_no, [record]))
        (listed,) = (await http.get("/v1/transactions", params={"state": "withheld"})).json()["transactions"]
        assert listed["flags"][0].startswith("key unknown")
        body = {"gateway": maker.gateway, "meter": maker.meter, "public_key": maker.public_key}
        assert (await http.put("/v1/keys", json=body)).status_code == 201
        assert (await http.put("/v1/keys", json=body)).status_code == 200
        assert (await http.put("/v1/keys", json={**body, "public_key": "no key"})).status_code == 400
        (key,) = (await http.get("/v1/keys")).json()["keys"]
        assert key["public_key"] == maker.public_key

        one = (await http.get("/v1/transactions/CP1/t1")).json()
        assert (one["state"], len(one["messages"]), len(one["signed_values"])) == ("billed", 3, 3)
        assert (await http.get("/v1/transactions/CP1/t9")).status_code == 404
        assert (await http.get("/v1/incidents")).json() == {"incidents": []}
        await clock.sleep(1)
        (detail,) = (await http.get("/v1/charge-details")).json()["charge_details"]
        assert detail["energy_kwh"] == "3.500"  # text: a JSON number would be read as a float
        assert [delivery["state"] for delivery in detail["deliveries"]] == ["delivered"]
        assert (await http.get("/v1/charge-details", params={"after": detail["seq"]})).json() == {"charge_details": []}
        head, row = (await http.get("/v1/charge-details.csv")).text.splitlines()
        assert dict(zip(head.split(","), row.split(","), strict=True))["energy_kwh"] == "3.500"


@virtual
async def test_remote_control(tmp_path: Path, clock: VirtualClock) -> None:
    async with api(tmp_path, clock) as (_, wire, http):

        async def answer(said: dict[str, Any]) -> list[Any]:
            call: list[Any] = json.loads(await wire.socket.recv())
            await wire.socket.send(json.dumps([3, call[1], said]))
            return call

        for path, body, said, status in (
            ("start", {"id": "04A1", "id_type": "ISO14443", "evse": 1}, {"status": "Accepted"}, 200),
            ("start", {"id": "04A1"}, {"status": "Rejected", "statusInfo": {"reasonCode": "Occupied"}}, 409),
            ("stop", {"transaction_id": "t1"}, {"status": "Accepted"}, 200),
            ("trigger", {"message": "Heartbeat"}, {"status": "NotImplemented"}, 409),
        ):
            asked = asyncio.create_task(http.post(f"/v1/stations/CP1/{path}", json=body))
            call = await answer(said)
            found = await asked
            assert (found.status_code, found.json()["accepted"]) == (status, status == 200)
            if path == "start":
                assert call[3]["remoteStartId"] > 0
                assert call[3]["idToken"]["type"] == ("ISO14443" if "evse" in body else "Central")
        assert (await http.post("/v1/stations/CP2/stop", json={"transaction_id": "t1"})).status_code == 504
        assert (await http.post("/v1/stations/CP1/trigger", json={"message": "Fly"})).status_code == 400


@virtual
async def test_bad_requests_are_named(tmp_path: Path, clock: VirtualClock) -> None:
    async with api(tmp_path, clock) as (_, _wire, http):
        for body, status in ((b"{", 400), (b"{}", 400), (b'{"id":"x","evse":0}', 400), (b"x" * 20_000, 413)):
            found = await http.post(
                "/v1/stations/CP1/start", content=body, headers={"Content-Type": "application/json"}
            )
            assert found.status_code == status
            assert found.json()["errorMessages"]
        assert (await http.post("/v1/stations/CP1/start", content=b"{}")).status_code == 415
        for query in ("after=-1", "limit=x", "limit=1001", "after=" + "9" * 30):
            assert (await http.get(f"/v1/incidents?{query}")).status_code == 400
        assert (await http.get("/v1/transactions?station=%00")).status_code == 400
