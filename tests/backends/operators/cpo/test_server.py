"""Upgrades: who gets in, by which security profile, with which subprotocol; and what a connection stands."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from backends.operators.cpo.cpo import RunningCpo
from backends.operators.cpo.faults import FaultPlan
from backends.operators.cpo.schema import STATIONS
from backends.operators.cpo.settings import CpoSettings, Listener, SecurityProfile, StationAccount, with_password
from hil_rigs.virtual_clock import VirtualClock
from ports.errors import RigError
from tests.backends.operators.cpo.parts import ACCOUNT, BASIC, PASSWORD, running_cpo, station, virtual
from tests.tls import tls_files, tls_pem

BOOT = {"reason": "PowerUp", "chargingStation": {"model": "M", "vendorName": "V"}}


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


async def status_of(cpo: RunningCpo, headers: dict[str, str], path: str = "CP1", **more: Any) -> tuple[int, str]:
    """What a refused upgrade is answered with."""
    with pytest.raises(InvalidStatus) as refused:
        await connect(cpo.url + path, subprotocols=["ocpp2.0.1"], additional_headers=headers, proxy=None, **more)  # type: ignore[list-item]
    response = refused.value.response
    return response.status_code, response.headers.get("WWW-Authenticate", "")


CHALLENGE = 'Basic realm="OCPP", charset="UTF-8"'


@virtual
async def test_strangers_and_wrong_passwords_are_refused_alike(tmp_path: Path, clock: VirtualClock) -> None:
    async with running_cpo(tmp_path, clock) as cpo:
        for headers, path in (
            ({}, "CP1"),
            (basic("CP1", "wrong"), "CP1"),
            (basic("CP2", PASSWORD), "CP1"),
            (basic("CP2", PASSWORD), "CP2"),
            ({"Authorization": "Bearer x"}, "CP1"),
            ({"Authorization": "Basic %%"}, "CP1"),
        ):
            assert await status_of(cpo.running, headers, path) == (401, CHALLENGE)
        assert await status_of(cpo.running, BASIC, "CP%201") == (404, "")
        assert await status_of(cpo.running, BASIC, "x" * 49) == (404, "")
        wrong, unknown = (cpo.traced("csms.refused")[index]["why"] for index in (1, 3))
        assert wrong.replace("CP1", "CP2") == unknown
        assert not [event for event in cpo.events if PASSWORD in str(event)]


@virtual
async def test_an_open_rig_takes_everybody(tmp_path: Path, clock: VirtualClock) -> None:
    async with running_cpo(tmp_path, clock, CpoSettings(strangers=True)) as cpo:
        async with station(cpo.running, identity="anybody", headers={}) as wire:
            assert (await wire.ask("BootNotification", BOOT))[2]["status"] == "Accepted"
        (row,) = await cpo.rows(STATIONS)
        assert (row["identity"], row["version"], row["profile"], row["boots"]) == ("anybody", "ocpp2.0.1", 0, 1)


def _server_context() -> ssl.SSLContext:
    _key, certificate = tls_pem()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_verify_locations(cadata=certificate.decode())
    context.verify_mode = ssl.CERT_OPTIONAL
    return context


def _contexts(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext, ssl.SSLContext]:
    """Server, client without and with a certificate (of CN localhost)."""
    certificate, key = tls_files(folder)
    server = _server_context()
    server.load_cert_chain(certificate, key)
    plain, proving = (ssl.create_default_context(cafile=certificate) for _ in range(2))
    proving.load_cert_chain(certificate, key)
    return server, plain, proving


@virtual
async def test_profiles_2_and_3_need_tls_and_are_never_lowered(tmp_path: Path, clock: VirtualClock) -> None:
    server, plain, proving = _contexts(tmp_path)
    settings = CpoSettings(
        stations=[
            ACCOUNT,
            with_password("CP2", PASSWORD, profile=SecurityProfile.TLS_BASIC),
            StationAccount(identity="localhost", profile=SecurityProfile.TLS_CLIENT_CERTIFICATE),
            with_password("CP3", PASSWORD, profile=SecurityProfile.TLS_CLIENT_CERTIFICATE),
        ],
        listeners=[Listener(), Listener(ssl=server)],
    )
    async with running_cpo(tmp_path, clock, settings) as cpo:
        open_url, tls_url = cpo.running.urls
        assert (open_url[:5], tls_url[:6]) == ("ws://", "wss://")
        secure = RunningCpo.__new__(RunningCpo)
        secure.urls = [tls_url]

        assert (await status_of(cpo.running, basic("CP2", PASSWORD), "CP2"))[0] == 401  # not without TLS
        async with connect(
            f"{tls_url}CP2", subprotocols=["ocpp1.6"], additional_headers=basic("CP2", PASSWORD), ssl=plain, proxy=None
        ):  # type: ignore[list-item]
            pass
        # profile 3: a password is not enough, another station's certificate neither
        assert (await status_of(secure, basic("CP3", PASSWORD), "CP3", ssl=plain))[0] == 401
        assert (await status_of(secure, {}, "CP3", ssl=proving))[0] == 401
        async with connect(f"{tls_url}localhost", subprotocols=["ocpp2.0.1"], ssl=proving, proxy=None):  # type: ignore[list-item]
            pass
        # a station of profile 1 that has used TLS once does not come back without
        async with station(cpo.running):
            pass
        async with connect(
            f"{tls_url}CP1", subprotocols=["ocpp2.0.1"], additional_headers=BASIC, ssl=plain, proxy=None
        ):  # type: ignore[list-item]
            pass
        assert (await status_of(cpo.running, BASIC))[0] == 401
        profiles = {row["identity"]: row["profile"] for row in await cpo.rows(STATIONS)}
        assert profiles == {"CP1": 2, "CP2": 2, "localhost": 3}


@virtual
async def test_without_a_common_subprotocol_the_connection_ends(tmp_path: Path, clock: VirtualClock) -> None:
    async with running_cpo(tmp_path, clock) as cpo:
        async with connect(
            f"{cpo.running.url}CP1", subprotocols=["ocpp2.1"], additional_headers=BASIC, proxy=None
        ) as socket:  # type: ignore[list-item]
            assert socket.subprotocol is None
            with pytest.raises(ConnectionClosed) as closed:
                await socket.recv()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1002


@virtual
async def test_both_versions_take_the_newer(tmp_path: Path, clock: VirtualClock) -> None:
    async with running_cpo(tmp_path, clock) as cpo:
        async with connect(
            f"{cpo.running.url}a/b/CP1", subprotocols=["ocpp1.6", "ocpp2.0.1"], additional_headers=BASIC, proxy=None
        ) as socket:  # type: ignore[list-item]
            assert socket.subprotocol == "ocpp2.0.1"
            assert socket.response is not None
            assert socket.response.headers["Date"] == "Thu, 01 Jan 2026 12:00:00 GMT"


@virtual
async def test_a_station_that_comes_again_replaces_its_old_connection(tmp_path: Path, clock: VirtualClock) -> None:
    async with running_cpo(tmp_path, clock) as cpo:
        async with station(cpo.running) as old, station(cpo.running) as new:
            with pytest.raises(ConnectionClosed):
                await old.socket.recv()
            assert (await new.ask("Heartbeat", {}))[0] == 3
            assert list(cpo.running.csms.links) == ["CP1"]
            await cpo.running.disconnect("CP1")
            with pytest.raises(ConnectionClosed):
                await new.socket.recv()
        await clock.sleep(1)
        assert cpo.running.csms.links == {}


@virtual
async def test_bad_frames_are_answered_and_the_next_one_is_heard(tmp_path: Path, clock: VirtualClock) -> None:
    async with running_cpo(tmp_path, clock) as cpo:
        async with station(cpo.running) as wire:
            for text, code in (
                ("{", "RpcFrameworkError"),
                ('[2,"1","Heartbeat",{"a":1}]', "FormatViolation"),
                ('[2,"1","Reset",{"type":"Immediate"}]', "NotSupported"),
                ('[2,"1","NoSuchThing",{}]', "NotImplemented"),
                (json.dumps([2, "1", "StatusNotification", _status("yesterday")]), "PropertyConstraintViolation"),
                (json.dumps([2, "1", "StatusNotification", _status("0001-01-01T00:00:00+14:00")]), "PropertyCon"),
            ):
                await wire.socket.send(text)
                answer = json.loads(await wire.socket.recv())
                assert answer[0] == 4
                assert answer[2].startswith(code)
            await wire.socket.send('[3,"nobody asked",{}]')
            assert (await wire.ask("Heartbeat", {}))[0] == 3
            await wire.socket.send(b"\x00")
            with pytest.raises(ConnectionClosed) as closed:
                await wire.socket.recv()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1003
        async with station(cpo.running, "ocpp1.6") as wire:
            await wire.socket.send("{")  # 1.6 has no answer to it
            assert (await wire.ask("Heartbeat", {}))[0] == 3


def _status(at: str) -> dict[str, Any]:
    return {"timestamp": at, "connectorStatus": "Available", "evseId": 1, "connectorId": 1}


@virtual
async def test_a_station_that_does_not_answer_is_given_up(tmp_path: Path, clock: VirtualClock) -> None:
    async with running_cpo(tmp_path, clock) as cpo:
        with pytest.raises(RigError, match="CP1 is not connected"):
            await cpo.running.remote.stop("CP1", "t1")
        async with station(cpo.running) as wire:
            began = clock.monotonic()
            with pytest.raises(RigError, match="did not answer within 30 s"):
                await cpo.running.remote.stop("CP1", "t1")
            assert clock.monotonic() - began == pytest.approx(30)
            asked = asyncio.create_task(cpo.running.remote.stop("CP1", "t1"))
            await clock.sleep(1)
            await wire.socket.close()
            with pytest.raises(RigError, match="disconnected before it answered"):
                await asked


@virtual
async def test_answers_of_a_station_are_judged(tmp_path: Path, clock: VirtualClock) -> None:
    async with running_cpo(tmp_path, clock) as cpo, station(cpo.running) as wire:
        for answer, said in (
            ([3, "", {"status": "Rejected", "statusInfo": {"reasonCode": "Busy"}}], "Busy"),
            ([3, "", {"status": "Perhaps"}], "status: 'Perhaps' is not one of"),
            ([4, "", "InternalError", "no", {}], "InternalError: no"),
        ):
            asked = asyncio.create_task(cpo.running.remote.stop("CP1", "t1"))
            call = json.loads(await wire.socket.recv())
            assert call[2:] == ["RequestStopTransaction", {"transactionId": "t1"}]
            answer[1] = call[1]
            await wire.socket.send(json.dumps(answer))
            found = await asked
            assert not found.accepted
            assert said in found.detail


@virtual
async def test_an_outage_keeps_stations_out(tmp_path: Path, clock: VirtualClock) -> None:
    plan = FaultPlan(outage=True)
    async with running_cpo(tmp_path, clock, faults=plan) as cpo:
        assert (await status_of(cpo.running, BASIC))[0] == 503
        plan.outage = False
        async with station(cpo.running) as wire:
            assert (await wire.ask("Heartbeat", {}))[0] == 3


@virtual
async def test_secrets_do_not_reach_the_trace(tmp_path: Path, clock: VirtualClock) -> None:
    async with running_cpo(tmp_path, clock) as cpo, station(cpo.running) as wire:
        pin = {"idToken": "4711-PIN", "type": "KeyCode"}
        await wire.ask("Authorize", {"idToken": pin})
        report = {
            "component": {"name": "SecurityCtrlr"},
            "variable": {"name": "BasicAuthPassword"},
            "variableAttribute": [{"value": "the secret"}],
        }
        await wire.ask(
            "NotifyReport", {"requestId": 1, "generatedAt": "2026-01-01T12:00:00Z", "seqNo": 0, "reportData": [report]}
        )
        assert not [event for event in cpo.events if "4711-PIN" in str(event) or "the secret" in str(event)]
        assert len(cpo.traced("csms.received")) == len(cpo.traced("csms.sent")) == 2
        assert cpo.traced("csms.received")[0]["message"][2] == "Authorize"
