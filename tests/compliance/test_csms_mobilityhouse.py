"""The CSMS judged by mobilityhouse `ocpp` (PyPI ocpp 2.1.0, MIT): its ChargePoint classes as stations.

They check every answer and every call of ours against the JSON schemas that the Open Charge Alliance published.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
from ocpp.routing import on
from ocpp.v16 import ChargePoint as Station16
from ocpp.v16 import call as call_16
from ocpp.v16 import call_result as result_16
from ocpp.v16 import datatypes as types_16
from ocpp.v201 import ChargePoint as Station201
from ocpp.v201 import call as call_201
from ocpp.v201 import call_result as result_201
from ocpp.v201 import datatypes as types_201
from websockets.asyncio.client import connect

from backend_client.opcp import Credentials, OpcpClient
from hil_rigs.real_clock import RealClock
from tests.backends.operators.cpo.parts import BASIC, Cpo, accepting, running_cpo, signed
from tests.backends.signed_records import RecordMaker

CARD = "04A1B2C3"
TOKEN = types_201.IdTokenType(id_token=CARD, type="ISO14443")
EXI = bytes.fromhex("8098021107e8c2a4") * 40
ANSWER = bytes(range(256)) * 18


class Pools:
    """A CCP that answers every vehicle the same."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/oauth/token":
            return httpx.Response(200, json={"access_token": "t", "expires_in": 60, "token_type": "Bearer"})
        if request.url.path != "/v1/ccp/signedContractData":
            return httpx.Response(200, json={"RootCertificateCollection": {"rootCertificates": []}})
        self.asked.append(json.loads(request.content))
        one = {"certificateInstallationRes": base64.b64encode(ANSWER).decode(), "emaid": "DEPLBC00000042"}
        content = [{"messageDef": {**one, "metaData": "", "cpsV2GRoot": ""}}]
        return httpx.Response(200, json={"CCPResponse": {"emaidContent": content}})


class Remote201(Station201):  # type: ignore[misc]
    """A station that lets itself be started and stopped."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.started: list[dict[str, Any]] = []
        self.stopped: list[str] = []

    @on("RequestStartTransaction")
    async def request_start(self, **payload: Any) -> Any:
        self.started.append(payload)
        return result_201.RequestStartTransaction(status="Accepted", transaction_id="t1")

    @on("RequestStopTransaction")
    async def request_stop(self, transaction_id: str, **_: Any) -> Any:
        self.stopped.append(transaction_id)
        return result_201.RequestStopTransaction(status="Accepted")


class Remote16(Station16):  # type: ignore[misc]
    """The same for 1.6."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.started: list[dict[str, Any]] = []
        self.stopped: list[int] = []

    @on("RemoteStartTransaction")
    async def remote_start(self, **payload: Any) -> Any:
        self.started.append(payload)
        return result_16.RemoteStartTransaction(status="Accepted")

    @on("RemoteStopTransaction")
    async def remote_stop(self, transaction_id: int) -> Any:
        self.stopped.append(transaction_id)
        return result_16.RemoteStopTransaction(status="Accepted")


@asynccontextmanager
async def plugged(cpo: Cpo, station: type[Any], subprotocol: str) -> AsyncIterator[Any]:
    """A station of the library on a real socket."""
    async with connect(
        f"{cpo.running.url}CP1", subprotocols=[subprotocol], additional_headers=BASIC, proxy=None
    ) as socket:
        point = station("CP1", socket)
        reader = asyncio.create_task(point.start())
        try:
            yield point
        finally:
            reader.cancel()
            with suppress(asyncio.CancelledError):
                await reader


@asynccontextmanager
async def with_pools(tmp_path: Path, pools: Pools) -> AsyncIterator[Cpo]:
    clock = RealClock()
    secret = tmp_path / "secret"
    secret.write_text("s")
    async with OpcpClient(
        "http://pools.test", Credentials("cpo", secret), clock, transport=httpx.MockTransport(pools)
    ) as client:
        async with running_cpo(tmp_path, clock, authorisers=[accepting(CARD)], contracts=client) as cpo:
            yield cpo


async def _taken(cpo: Cpo) -> Any:
    async with asyncio.timeout(10):
        await cpo.taker.arrived.wait()
    return cpo.taker.taken[0]


async def test_a_2_0_1_station_charges(tmp_path: Path) -> None:
    maker, pools = RecordMaker(), Pools()
    records = maker.session()
    async with with_pools(tmp_path, pools) as cpo:
        await cpo.register(maker)
        async with plugged(cpo, Remote201, "ocpp2.0.1") as point:
            boot = await point.call(
                call_201.BootNotification(charging_station={"model": "M", "vendor_name": "V"}, reason="PowerUp"),
                suppress=False,
            )
            assert boot.status == "Accepted"
            await point.call(call_201.Heartbeat(), suppress=False)
            await point.call(call_201.StatusNotification("2026-01-01T12:00:00Z", "Available", 1, 1), suppress=False)
            answer = await point.call(call_201.Authorize(id_token=TOKEN), suppress=False)
            assert answer.id_token_info["status"] == "Accepted"
            contract = await point.call(
                call_201.Get15118EVCertificate(
                    "urn:iso:15118:2:2013:MsgDef", "Install", base64.b64encode(EXI).decode()
                ),
                suppress=False,
            )
            assert (contract.status, base64.b64decode(contract.exi_response)) == ("Accepted", ANSWER)
            assert base64.b64decode(pools.asked[0]["certificateInstallationReq"]) == EXI

            for seq_no, (kind, record) in enumerate(zip(("Started", "Updated", "Ended"), records, strict=True)):
                await point.call(
                    call_201.TransactionEvent(
                        event_type=kind,
                        timestamp="2026-01-01T12:00:00Z",
                        trigger_reason="Authorized",
                        seq_no=seq_no,
                        transaction_info={"transaction_id": "t1"},
                        evse={"id": 1, "connector_id": 1},
                        id_token=TOKEN if seq_no == 0 else None,
                        meter_value=[
                            {
                                "timestamp": "2026-01-01T12:00:00Z",
                                "sampled_value": [
                                    {"value": 1.5, "context": record.context, "signed_meter_value": _snake(record)}
                                ],
                            }
                        ],
                    ),
                    suppress=False,
                )
            detail = await _taken(cpo)
            assert detail.energy_kwh == Decimal("3.500")
            assert [value.ocmf for value in detail.values] == [record.ocmf for record in records]

            await point.call(
                call_201.SecurityEventNotification("FirmwareUpdated", "2026-01-01T12:00:00Z"), suppress=False
            )
            status = await point.call(
                call_201.GetCertificateStatus(
                    {
                        "hash_algorithm": "SHA256",
                        "issuer_name_hash": "00" * 32,
                        "issuer_key_hash": "11" * 32,
                        "serial_number": "1",
                        "responder_url": "http://127.0.0.1:9/",
                    }
                ),
                suppress=False,
            )
            assert status.status == "Failed"
            started = await cpo.running.remote.start("CP1", CARD, "ISO14443", evse=1)
            assert (started.accepted, started.transaction_id) == (True, "t1")
            assert (await cpo.running.remote.stop("CP1", "t1")).accepted
            assert point.stopped == ["t1"]
            assert point.started[0]["id_token"] == {"id_token": CARD, "type": "ISO14443"}


async def test_a_1_6_station_charges(tmp_path: Path) -> None:
    maker, pools = RecordMaker(), Pools()
    begin, _, end = maker.session()
    async with with_pools(tmp_path, pools) as cpo:
        await cpo.register(maker)
        async with plugged(cpo, Remote16, "ocpp1.6") as point:
            boot = await point.call(call_16.BootNotification("M", "V"), suppress=False)
            assert boot.status == "Accepted"
            await point.call(call_16.Heartbeat(), suppress=False)
            await point.call(call_16.StatusNotification(1, "NoError", "Available"), suppress=False)
            assert (await point.call(call_16.Authorize(CARD), suppress=False)).id_tag_info["status"] == "Accepted"
            wrapped = {
                "iso15118SchemaVersion": "urn:iso:15118:2:2013:MsgDef",
                "action": "Install",
                "exiRequest": base64.b64encode(EXI).decode(),
            }
            contract = await point.call(
                call_16.DataTransfer(
                    "org.openchargealliance.iso15118pnc", "Get15118EVCertificate", json.dumps(wrapped)
                ),
                suppress=False,
            )
            assert contract.status == "Accepted"
            assert base64.b64decode(json.loads(contract.data)["exiResponse"]) == ANSWER
            assert (await point.call(call_16.DataTransfer("somebody"), suppress=False)).status == "UnknownVendorId"

            started = await point.call(
                call_16.StartTransaction(1, CARD, 100000, "2026-01-01T12:00:00Z"), suppress=False
            )
            assert started.id_tag_info["status"] == "Accepted"
            await point.call(call_16.MeterValues(1, [_value_16(begin)], started.transaction_id), suppress=False)
            await point.call(
                call_16.StopTransaction(
                    meter_stop=999999,  # a figure that nobody may bill from
                    timestamp="2026-01-01T12:30:00Z",
                    transaction_id=started.transaction_id,
                    reason="EVDisconnected",
                    transaction_data=[_value_16(maker_end) for maker_end in (begin, end)],
                ),
                suppress=False,
            )
            state, flags = await cpo.state(str(started.transaction_id))
            assert (state, flags) == ("withheld", ["pagination gap 1 to 3"])

            assert (await cpo.running.remote.start("CP1", CARD, "ISO14443", evse=1)).accepted
            assert point.started == [{"connector_id": 1, "id_tag": CARD}]
            assert (await cpo.running.remote.stop("CP1", str(started.transaction_id))).accepted
            assert point.stopped == [started.transaction_id]


def _snake(record: Any) -> dict[str, str]:
    found = signed(record)
    return {
        "signed_meter_data": found["signedMeterData"],
        "signing_method": found["signingMethod"],
        "encoding_method": found["encodingMethod"],
        "public_key": found["publicKey"],
    }


def _value_16(record: Any) -> Any:
    sampled = types_16.SampledValue(json.dumps(signed(record)), context=record.context, format="SignedData")
    return types_16.MeterValue("2026-01-01T12:00:00Z", [sampled])
