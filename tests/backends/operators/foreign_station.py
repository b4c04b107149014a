"""A station by mobilityhouse/ocpp (PyPI ocpp, MIT licence) that charges, and the customer who looks at the app."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
from ocpp.v201 import ChargePoint, call
from websockets.asyncio.client import connect

from ocmf.terms import IdType, Tx
from tests.backends.operators.sessions import Station

CONTEXTS = {Tx.BEGIN: "Transaction.Begin", Tx.CHARGING: "Sample.Periodic", Tx.END: "Transaction.End"}
EVENTS = {Tx.BEGIN: "Started", Tx.CHARGING: "Updated", Tx.END: "Ended"}


def secret_of(file: str) -> str:
    return Path(file).read_text().strip()


async def charge(place: Mapping[str, str], meter: Station, uid: str) -> list[str]:
    """A station by mobilityhouse/ocpp (MIT licence) charges for a card; what the CPO said to each event."""
    identity = place["url"].rpartition("/")[2]
    password = secret_of(place["password_file"])
    basic = base64.b64encode(f"{identity}:{password}".encode()).decode()
    said = []
    async with connect(
        place["url"], subprotocols=["ocpp2.0.1"], additional_headers={"Authorization": f"Basic {basic}"}, proxy=None
    ) as socket:
        station = ChargePoint(identity, socket)
        listening = asyncio.create_task(station.start())
        boot = await station.call(call.BootNotification({"model": "M", "vendor_name": "V"}, "PowerUp"))
        assert boot.status == "Accepted"
        for seq_no, (tx, kwh) in enumerate(((Tx.BEGIN, "100.000"), (Tx.CHARGING, "101.000"), (Tx.END, "102.500"))):
            meter.kwh = Decimal(kwh)
            at = f"2026-01-01T12:0{seq_no}:00Z"
            record = meter.record(tx, user=uid, id_type=IdType.ISO14443)
            value = {
                "value": float(kwh),
                "context": CONTEXTS[tx],
                "signed_meter_value": {
                    "signed_meter_data": base64.b64encode(record.encode()).decode(),
                    "signing_method": "",
                    "encoding_method": "OCMF",
                    "public_key": "",
                },
            }
            answer = await station.call(
                call.TransactionEvent(
                    event_type=EVENTS[tx],
                    timestamp=at,
                    trigger_reason="Authorized",
                    seq_no=seq_no,
                    transaction_info={"transaction_id": f"t-{uid}"},
                    meter_value=[{"timestamp": at, "sampled_value": [value]}],
                    evse={"id": 1, "connector_id": 1},
                    id_token={"id_token": uid, "type": "ISO14443"},
                )
            )
            said.append(answer.id_token_info["status"])
        listening.cancel()
    return said


async def bills(mo: Mapping[str, str]) -> list[dict[str, Any]]:
    """The customer's, through the app's API."""
    async with httpx.AsyncClient(base_url=mo["app_url"], trust_env=False, timeout=20) as app:
        secret = secret_of(mo["secret_file"])
        login = await app.post("/v1/login", json={"login": mo["login"], "secret": secret})
        app.headers["Authorization"] = f"Bearer {login.json()['token']}"
        async with asyncio.timeout(30):
            while True:
                found: list[dict[str, Any]] = (await app.get("/v1/bills")).json()["bills"]
                if found:
                    return found
                await asyncio.sleep(0.05)
