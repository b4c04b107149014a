"""Whatever a CSMS sends: every request has an answer that can be sent, and no answer breaks the link."""

from __future__ import annotations

import asyncio
import copy
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend_client.credential import Credential
from backend_client.ocpp.contracts import VENDOR_ID_16
from backend_client.ocpp.frames import Call, FrameError, Result, decode, encode
from backend_client.ocpp.link import open_ocpp
from backend_client.ocpp.redaction import redacted
from backend_client.ocpp.settings import OcppSettings, Version
from ocmf.terms import Tx
from ports.errors import PeerError, RigError
from tests.backend_client.ocpp.bench import Bench
from tests.backend_client.ocpp.station import FakeStation, Maker
from tests.doubles import ManualClock

TOKEN = {"idToken": "04A1B2C3", "type": "ISO14443"}
PLACE = {"component": {"name": "SecurityCtrlr", "evse": {"id": 1}}, "variable": {"name": "Identity", "instance": "x"}}
HASH = {"hashAlgorithm": "SHA384", "issuerNameHash": "00", "issuerKeyHash": "00", "serialNumber": "0"}
REQUESTS: dict[Version, dict[str, dict[str, Any]]] = {
    Version.V201: {
        "RequestStartTransaction": {"idToken": TOKEN, "remoteStartId": 1, "evseId": 1},
        "RequestStopTransaction": {"transactionId": "x"},
        "GetTransactionStatus": {"transactionId": "x"},
        "GetVariables": {"getVariableData": [{**PLACE, "attributeType": "Actual"}]},
        "SetVariables": {"setVariableData": [{**PLACE, "attributeValue": "1"}]},
        "GetBaseReport": {"requestId": 1, "reportBase": "FullInventory"},
        "TriggerMessage": {"requestedMessage": "Heartbeat", "evse": {"id": 1}},
        "Reset": {"type": "Immediate", "evseId": 1},
        "UnlockConnector": {"evseId": 1, "connectorId": 1},
        "ChangeAvailability": {"operationalStatus": "Operative", "evse": {"id": 1}},
        "InstallCertificate": {"certificateType": "MORootCertificate", "certificate": "x"},
        "GetInstalledCertificateIds": {"certificateType": ["V2GCertificateChain"]},
        "DeleteCertificate": {"certificateHashData": HASH},
        "CertificateSigned": {"certificateChain": "x", "certificateType": "V2GCertificate"},
        "DataTransfer": {"vendorId": "x", "data": {"x": 1}},
    },
    Version.V16: {
        "RemoteStartTransaction": {
            "idTag": "04A1B2C3",
            "chargingProfile": {
                "chargingProfileId": 1,
                "stackLevel": 0,
                "chargingProfilePurpose": "TxProfile",
                "chargingProfileKind": "Absolute",
                "chargingSchedule": {
                    "chargingRateUnit": "A",
                    "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 16.1}],
                },
            },
        },
        "RemoteStopTransaction": {"transactionId": 1},
        "GetConfiguration": {"key": ["HeartbeatInterval", "MeterPublicKey1"]},
        "ChangeConfiguration": {"key": "HeartbeatInterval", "value": "1"},
        "TriggerMessage": {"requestedMessage": "Heartbeat", "connectorId": 1},
        "UnlockConnector": {"connectorId": 1},
        "ChangeAvailability": {"connectorId": 1, "type": "Operative"},
        "DataTransfer": {"vendorId": VENDOR_ID_16, "messageId": "DeleteCertificate", "data": json.dumps(HASH)},
        "InstallCertificate": {"certificateType": "CentralSystemRootCertificate", "certificate": "x"},
        "GetInstalledCertificateIds": {"certificateType": "CentralSystemRootCertificate"},
        "DeleteCertificate": {"certificateHashData": HASH},
    },
}
ODD = st.sampled_from(
    [
        None,
        True,
        -1,
        0,
        10**30,
        1.5,
        1e300,
        "",
        "x" * 600,
        "\x00",
        "İ",
        "²",
        "{}",
        "[]",
        '{"certificateHashData":1}',
        [],
        {},
    ]
) | st.text(max_size=8)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a message."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in inner for place in places(item, (*path, key)))]


@st.composite
def spoiled(draw: st.DrawFn) -> tuple[Version, str, Any]:
    """A request with up to three odd values in it."""
    version = draw(st.sampled_from(list(Version)))
    action = draw(st.sampled_from(sorted(REQUESTS[version])))
    payload = copy.deepcopy(REQUESTS[version][action])
    for _ in range(draw(st.integers(0, 3))):
        *path, last = draw(st.sampled_from(places(payload)[1:] or [("x",)]))
        target: Any = payload
        for step in path:
            target = target[step]
        target[last] = draw(ODD)
    return version, action, payload


@settings(max_examples=30)
@given(spoiled())
def test_every_request_has_an_answer_that_can_be_sent(request_: tuple[Version, str, Any]) -> None:
    is_answered(*request_)


@pytest.mark.fuzz
@settings(max_examples=20_000)
@given(spoiled())
def test_every_request_has_an_answer_for_long(request_: tuple[Version, str, Any]) -> None:
    is_answered(*request_)


def is_answered(version: Version, action: str, payload: Any) -> None:
    """By a link that is not connected: its answer is a frame."""

    async def ask(folder: Path) -> None:
        options = OcppSettings(
            url="ws://localhost:1",
            identity="GW1",
            state_file=folder / "state",
            version=version,
            password=Credential(variable="OCPP_PASSWORD"),
            certificate_folder=folder / "roots",
        )
        link = open_ocpp(options, ManualClock(), station=FakeStation())
        await link._state.open()
        frame = decode(encode(Call("1", action, payload)))
        assert isinstance(frame, Call)
        reply = await link._answer(frame)
        assert decode(encode(reply.frame)).id == "1"
        await link.close()

    with TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        asyncio.run(ask(Path(folder)))


@pytest.mark.parametrize(
    "text",
    [
        '[2,"1","Reset",{"type":"\\ud800"}]',
        '[2,"1","Reset",{"\\uDC00":1}]',
    ],
)
def test_half_a_character_is_refused(text: str) -> None:
    with pytest.raises(FrameError):
        decode(text)


def test_a_whole_character_outside_of_the_plane_is_read() -> None:
    frame = decode('[3,"1",{"a":"\\ud83d\\ude00"}]')
    assert isinstance(frame, Result)
    assert frame.payload == {"a": "\U0001f600"}


def test_a_number_that_is_no_number_is_shown_as_it_came() -> None:
    assert redacted('[3,"1",{"a":1e999,"b":NaN,"c":1.5}]') == [3, "1", {"a": "1e999", "b": "NaN", "c": 1.5}]


@pytest.mark.parametrize(
    ("action", "answer"),
    [
        ("BootNotification", '{"status":"Accepted","interval":1' + "0" * 400 + ',"currentTime":"never"}'),
        ("BootNotification", '{"status":"Accepted","interval":-5,"currentTime":"2026-01-01T00:00:00"}'),
        ("StatusNotification", '{"surplus":1}'),
    ],
)
async def test_an_odd_answer_does_not_end_the_link(bench: Bench, action: str, answer: str) -> None:
    csms = await bench.csms_of("2.0.1")
    csms.raw[action] = answer
    link = await bench.link()
    await bench.until("ocpp.up")
    await link.deliver(Maker().make(Tx.BEGIN))


@pytest.mark.parametrize("answer", ['{"transactionId":1' + "0" * 30 + ',"idTagInfo":{}}', '{"idTagInfo":{}}', "7"])
async def test_a_transaction_id_that_is_none_is_no_delivery(bench: Bench, answer: str) -> None:
    csms = await bench.csms_of("1.6")
    csms.raw["StartTransaction"] = answer
    link = await bench.link(message_timeout_s=0.2)
    with pytest.raises((PeerError, RigError)):
        await link.deliver(Maker().make(Tx.BEGIN))
    assert not csms.of("MeterValues")
