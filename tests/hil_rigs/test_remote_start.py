"""A driver with an app and no card, in virtual time: app, mobility operator, CPO, station, meter, bill (IF_MO_APP)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from firmware_sim.vehicle.wish import Seconds
from gateway.transaction import State
from hil_rigs.bench import Bench, open_bench
from hil_rigs.bill_check import bills_delivered
from hil_rigs.rig_file import rig_of_text
from hil_rigs.virtual_clock import VirtualClock, run_virtual
from ocmf.container import Record, parse
from ocmf.keys import decode_public_key
from ocmf.terms import Tx
from ocmf.verify import verify_record
from tests.hil_rigs.plug_and_charge_world import START

RIG = """\
rig: app
clock: {mode: virtual, start: 2026-11-20T08:00:00+01:00}
resources:
  bus:   {kind: serial, port: virtual, baud: 9600}
  m1:    {kind: meter, model: eastron_sdm630, bus: bus, serial_number: "12345678"}
  key:   {kind: file_key}
  board: {kind: charger}
  ev:    {kind: vehicle}
  csms:  {kind: csms.ocpp, version: "VERSION", security_profile: PROFILE, bills_to: [mo]}
  mo:    {kind: operator.mo}
gateway:
  serial_number: GW-A
  connectors:
    - {id: "1", evse_id: "DE*PLB*E0001", board: board, meter: m1, signer: key, max_current_a: 32,
       reading_interval_s: 20, live_interval_s: 20}
  authorisers: [csms]
  backends: [csms]
"""
SECRET = "a secret of Alice"
EMAID = "DEPLBC00000042"
WHERE = {"operator": "DEPLC", "location_id": "PLUGBENCH", "evse_uid": "DE*PLB*E0001"}
NO_VALUE = Decimal(0)


@dataclass
class Driver:
    """Alice with her app, and the bench."""

    bench: Bench
    clock: VirtualClock
    app: httpx.AsyncClient

    async def ask(self, path: str, **body: str) -> dict[str, Any]:
        """A command, and what became of it."""
        answer = await self.app.post(f"/app/v1/{path}", json=body)
        assert answer.status_code == 202, answer.text
        command = answer.json()["command"]
        return await self.until(f"commands/{command}", lambda found: found["outcome"] != "")

    async def until(self, path: str, good: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        """What the app shows, as soon as it is so."""
        for _ in range(600):
            found: dict[str, Any] = (await self.app.get(f"/app/v1/{path}")).json()
            if good(found):
                return found
            await self.clock.sleep(1)
        raise AssertionError(f"{path}: {found}")

    async def records(self) -> list[Record]:
        """What the journal has signed, verified."""
        key = decode_public_key((await self.bench.signer.identity()).public_key)
        entries = [entry.record() for entry in await self.bench.journal.entries() if entry.is_signed]
        for entry in entries:
            verify_record(parse(entry.ocmf), key)
        return [parse(entry.ocmf) for entry in entries]


def drive(
    folder: Path, test: Callable[[Driver], Awaitable[None]], version: str = "2.0.1", profile: int = 1
) -> list[str]:
    """Run with a logged-in customer; returns what was traced, as text."""
    events: list[str] = []

    async def run(clock: VirtualClock) -> None:
        rig = rig_of_text(folder / "rig.yaml", RIG.replace("VERSION", version).replace("PROFILE", str(profile)))
        trace = lambda event: events.append(f"{event.kind} {event.data}")  # noqa: E731
        async with open_bench(rig, clock, folder, trace, events.append) as bench:
            mo = bench.operators.embedded["mo"]
            alice = await mo.add_customer("alice", "Alice", SECRET)
            now = clock.now()
            await mo.add_contract(alice, EMAID, now - timedelta(days=1), now + timedelta(days=1))
            async with httpx.AsyncClient(base_url=mo.url, trust_env=False) as app:
                wrong = await app.post("/app/v1/login", json={"login": "alice", "secret": "a guess"})
                assert wrong.status_code == 401
                login = await app.post("/app/v1/login", json={"login": "alice", "secret": SECRET})
                app.headers["Authorization"] = f"Bearer {login.json()['token']}"
                await test(Driver(bench, clock, app))

    run_virtual(run, start=START)
    return events


@pytest.mark.parametrize(("version", "profile", "flag"), [("2.0.1", 2, "OCPP_RS_TLS"), ("1.6", 1, "OCPP_RS")])
def test_from_the_app_to_the_bill(tmp_path: Path, version: str, profile: int, flag: str) -> None:
    async def charge(driver: Driver) -> None:
        bench = driver.bench
        vehicle = bench.plant.vehicles["ev"]
        vehicle.want(Seconds(100_000))
        vehicle.plug_in(bench.plant.connectors["1"])
        await bench.controller.wait_for("1", State.PLUGGED)
        started = await driver.ask("start", **WHERE)
        assert (started["answer"], started["outcome"]) == ("ACCEPTED", "ACCEPTED")
        shown = await driver.until("sessions", lambda found: found["sessions"])
        (session,) = shown["sessions"]
        assert (session["operator"], session["status"]) == ("DEPLC", "ACTIVE")
        await driver.clock.sleep(60)
        await driver.until("sessions", lambda found: Decimal(found["sessions"][0]["kwh"]) > 0)
        stopped = await driver.ask("stop", operator="DEPLC", session_id=session["id"])
        assert stopped["outcome"] == "ACCEPTED"
        ended = await driver.until("sessions", lambda found: found["sessions"][0]["status"] == "COMPLETED")
        vehicle.unplug()
        await bills_delivered(bench)
        (bill,) = (await driver.until("bills", lambda found: found["bills"]))["bills"]
        records = await driver.records()
        for record in records:
            fields = record.fields
            assert (fields["IS"], fields["IL"], fields["IT"]) == (True, "TRUSTED", "CENTRAL")
            assert [one for one in fields["IF"] if one.startswith("OCPP")] == [flag]
            assert fields["ID"].startswith("APP")
        assert records[-1].readings[-1].tx == Tx.END_REMOTE
        kwh = records[-1].readings[-1].kwh - records[0].readings[0].kwh  # type: ignore[operator]
        assert kwh > NO_VALUE
        assert (Decimal(bill["energy_kwh"]), bill["emaid"]) == (kwh, EMAID)
        assert Decimal(ended["sessions"][0]["kwh"]) == kwh
        evidence = await driver.app.get(f"/app/v1/bills/{bill['id']}/evidence.ocmf")
        assert evidence.text.splitlines() == [record.text for record in records]

    traced = drive(tmp_path, charge, version, profile)
    assert not [line for line in traced if SECRET in line]


def test_who_may_not_charge_does_not(tmp_path: Path) -> None:
    async def refused(driver: Driver) -> None:
        bench, mo = driver.bench, driver.bench.operators.embedded["mo"]
        vehicle = bench.plant.vehicles["ev"]
        vehicle.plug_in(bench.plant.connectors["1"])
        await bench.controller.wait_for("1", State.PLUGGED)
        somewhere = await driver.ask("start", **WHERE | {"evse_uid": "DE*PLB*E0009"})
        assert somewhere["outcome"] == "REJECTED"
        nobody = httpx.AsyncClient(base_url=mo.url, trust_env=False)
        assert (await nobody.post("/app/v1/start", json=WHERE)).status_code == 401
        await mo.add_customer("mallory", "Mallory", "another secret")
        login = await nobody.post("/app/v1/login", json={"login": "mallory", "secret": "another secret"})
        nobody.headers["Authorization"] = f"Bearer {login.json()['token']}"
        assert (await nobody.post("/app/v1/start", json=WHERE)).status_code == 403  # has no contract
        started = await driver.ask("start", **WHERE)
        assert started["outcome"] == "ACCEPTED"
        (session,) = (await driver.until("sessions", lambda found: found["sessions"]))["sessions"]
        theirs = {"operator": "DEPLC", "session_id": session["id"]}
        assert (await nobody.post("/app/v1/stop", json=theirs)).status_code == 404  # another's session
        assert (await nobody.get("/app/v1/sessions")).json() == {"sessions": []}
        await nobody.aclose()
        assert (await driver.ask("stop", **theirs))["outcome"] == "ACCEPTED"
        await driver.until("sessions", lambda found: found["sessions"][0]["status"] == "COMPLETED")
        vehicle.unplug()
        await asyncio.sleep(20)
        assert len({record.fields["ID"] for record in await driver.records()}) == 1

    drive(tmp_path, refused)
