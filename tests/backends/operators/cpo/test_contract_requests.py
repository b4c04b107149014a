from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from backend_client.opcp import Credentials, OpcpClient
from backends.operators.cpo.contract_requests import MAX_EXI_REQUEST, MAX_EXI_RESPONSE
from hil_rigs.virtual_clock import VirtualClock
from tests.backends.operators.cpo.parts import running_cpo, station, virtual

PNC = "org.openchargealliance.iso15118pnc"


def request(exi: bytes = b"exi") -> dict[str, Any]:
    return {
        "iso15118SchemaVersion": "urn:iso:15118:2:2013:MsgDef",
        "action": "Install",
        "exiRequest": base64.b64encode(exi).decode(),
    }


def pools(folder: Path, clock: VirtualClock, *answers: bytes, status: int = 200, slow_s: float = 0.0) -> OpcpClient:
    """A CCP that gives these answers."""
    (folder / "secret").write_text("s")

    async def handle(asked: httpx.Request) -> httpx.Response:
        if asked.url.path == "/oauth/token":
            return httpx.Response(200, json={"access_token": "t", "expires_in": 9999, "token_type": "Bearer"})
        await clock.sleep(slow_s)
        content = [
            {"messageDef": {"certificateInstallationRes": base64.b64encode(one).decode(), "emaid": "E", "metaData": ""}}
            for one in answers
        ]
        return httpx.Response(status, json={"CCPResponse": {"emaidContent": content}} if content else {})

    return OpcpClient(
        "http://pools.test", Credentials("cpo", folder / "secret"), clock, transport=httpx.MockTransport(handle)
    )


@pytest.mark.parametrize(
    ("octets", "code"), [(MAX_EXI_RESPONSE * 3 // 4, ""), (MAX_EXI_RESPONSE * 3 // 4 + 1, "TooLarge")]
)
@virtual
async def test_an_answer_that_does_not_fit_is_never_sent(
    tmp_path: Path, clock: VirtualClock, octets: int, code: str
) -> None:
    answer = bytes(octets)
    async with pools(tmp_path, clock, answer) as client, running_cpo(tmp_path, clock, contracts=client) as cpo:
        async with station(cpo.running) as wire:
            said = (await wire.ask("Get15118EVCertificate", request()))[2]
            if not code:
                assert said["status"] == "Accepted"
                assert base64.b64decode(said["exiResponse"]) == answer
                return
            assert (said["status"], said["exiResponse"]) == ("Failed", "")
            assert said["statusInfo"]["reasonCode"] == code
            assert "7504 characters, at most 7500" in said["statusInfo"]["additionalInfo"]


@virtual
async def test_what_the_pools_refuse(tmp_path: Path, clock: VirtualClock) -> None:
    async with pools(tmp_path, clock, status=400) as client, running_cpo(tmp_path, clock, contracts=client) as cpo:
        async with station(cpo.running) as wire:
            said = (await wire.ask("Get15118EVCertificate", request()))[2]
            assert (said["status"], said["statusInfo"]["reasonCode"]) == ("Failed", "PoolError")
            bad = {**request(), "exiRequest": "%%%"}
            said = (await wire.ask("Get15118EVCertificate", bad))[2]
            assert said["statusInfo"]["reasonCode"] == "Format"
            long = {**request(), "exiRequest": "A" * (MAX_EXI_REQUEST + 4)}
            assert (await wire.ask("Get15118EVCertificate", long))[2] == "PropertyConstraintViolation"


@virtual
async def test_the_station_has_its_answer_in_time(tmp_path: Path, clock: VirtualClock) -> None:
    async with pools(tmp_path, clock, b"x", slow_s=20) as client:
        async with running_cpo(tmp_path, clock, contracts=client) as cpo, station(cpo.running) as wire:
            began = clock.monotonic()
            said = (await wire.ask("Get15118EVCertificate", request()))[2]
            assert clock.monotonic() - began < 4.5  # what the vehicle leaves for it
            assert said["status"] == "Failed"


@virtual
async def test_without_pools(tmp_path: Path, clock: VirtualClock) -> None:
    async with running_cpo(tmp_path, clock) as cpo, station(cpo.running) as wire:
        assert (await wire.ask("Get15118EVCertificate", request()))[2]["statusInfo"]["reasonCode"] == "NoPools"


@virtual
async def test_the_same_inside_of_data_transfer(tmp_path: Path, clock: VirtualClock) -> None:
    async with pools(tmp_path, clock, b"contract") as client, running_cpo(tmp_path, clock, contracts=client) as cpo:
        async with station(cpo.running, "ocpp1.6") as wire:

            async def send(message: str, data: str) -> Any:
                payload = {"vendorId": PNC, "messageId": message, "data": data}
                return (await wire.ask("DataTransfer", payload))[2]

            said = await send("Get15118EVCertificate", json.dumps(request()))
            assert said["status"] == "Accepted"
            assert base64.b64decode(json.loads(said["data"])["exiResponse"]) == b"contract"
            assert await send("Fly", "{}") == {"status": "UnknownMessageId"}
            for bad in ("", "{", "[]", "{}", "[" * 100_000, json.dumps({**request(), "more": 1})):
                assert await send("Get15118EVCertificate", bad) == {"status": "Rejected"}
            said = await send("Authorize", json.dumps({"idToken": {"idToken": "E", "type": "eMAID"}}))
            assert json.loads(said["data"]) == {"idTokenInfo": {"status": "Unknown"}}
