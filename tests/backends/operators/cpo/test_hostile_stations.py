"""A station may send whatever it likes: every call is answered, the connection stays, the log stays quiet."""

from __future__ import annotations

import copy
import json
import logging
from pathlib import Path
from random import Random
from typing import Any

import pytest

from backends.operators.cpo import handlers_16, handlers_201
from backends.operators.cpo.settings import CpoSettings
from hil_rigs.virtual_clock import VirtualClock
from tests.backends.operators.cpo.parts import Wire, event, running_cpo, signed, station, virtual
from tests.backends.signed_records import RecordMaker

TOKEN = {"idToken": "04A1B2C3", "type": "ISO14443"}
AT = "2026-01-01T12:00:00Z"
OCSP = {
    "hashAlgorithm": "SHA256",
    "issuerNameHash": "00" * 32,
    "issuerKeyHash": "11" * 32,
    "serialNumber": "1",
    "responderURL": "http://127.0.0.1:9/",
}
RECORD = RecordMaker().make()
EXI = {"iso15118SchemaVersion": "urn:iso:15118:2:2013:MsgDef", "action": "Install", "exiRequest": "gJg="}
VALUE = {"timestamp": AT, "sampledValue": [{"value": json.dumps(signed(RECORD)), "format": "SignedData"}]}
VALID_201: dict[str, dict[str, Any]] = {
    "Authorize": {"idToken": TOKEN, "certificate": "x", "iso15118CertificateHashData": [OCSP]},
    "BootNotification": {"reason": "PowerUp", "chargingStation": {"model": "M", "vendorName": "V"}},
    "DataTransfer": {"vendorId": "v", "data": {"a": [1]}},
    "Get15118EVCertificate": EXI,
    "GetCertificateStatus": {"ocspRequestData": OCSP},
    "MeterValues": {"evseId": 1, "meterValue": event("Updated", 1, [RECORD])["meterValue"]},
    "NotifyReport": {"requestId": 1, "generatedAt": AT, "seqNo": 0},
    "SecurityEventNotification": {"type": "x", "timestamp": AT},
    "SignCertificate": {"csr": "x"},
    "StatusNotification": {"timestamp": AT, "connectorStatus": "Available", "evseId": 1, "connectorId": 1},
    "TransactionEvent": event("Started", 0, [RECORD], idToken=TOKEN, offline=True),
}
VALID_16: dict[str, dict[str, Any]] = {
    "Authorize": {"idTag": "04A1B2C3"},
    "BootNotification": {"chargePointModel": "M", "chargePointVendor": "V"},
    "DataTransfer": {
        "vendorId": handlers_16.PNC_VENDOR,
        "messageId": "Get15118EVCertificate",
        "data": json.dumps(EXI),
    },
    "MeterValues": {"connectorId": 1, "transactionId": 1, "meterValue": [VALUE]},
    "StartTransaction": {"connectorId": 1, "idTag": "04A1B2C3", "meterStart": 0, "timestamp": AT},
    "StatusNotification": {"connectorId": 1, "errorCode": "NoError", "status": "Available", "timestamp": AT},
    "StopTransaction": {"transactionId": 1, "meterStop": 1, "timestamp": AT, "transactionData": [VALUE]},
}
ODD: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    2**31,
    10**17,
    -(10**17),
    0.1,
    "",
    "\u202e",
    "\U0001f50c" * 9,
    "x" * 40,
    "x" * 3000,
    [],
    [[]],
    {},
    {"type": []},
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-14:00",
    "2026-01-01",
)


def spoiled(payload: dict[str, Any], random: Random) -> dict[str, Any]:
    """The payload with one or two of its parts replaced, left out or added."""
    found = copy.deepcopy(payload)
    for _ in range(random.randint(1, 2)):
        place: Any = found
        while True:
            keys: list[Any] = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                break
            key = random.choice(keys)
            if isinstance(place[key], dict | list) and place[key] and random.random() < 0.7:
                place = place[key]
                continue
            if isinstance(place, dict) and random.random() < 0.15:
                del place[key]
            elif isinstance(place, dict) and random.random() < 0.15:
                place["more"] = random.choice(ODD)
            else:
                place[key] = random.choice(ODD)
            break
    return found


async def all_answered(wire: Wire, valid: dict[str, dict[str, Any]], known: Any, random: Random, rounds: int) -> None:
    for _ in range(rounds):
        for action, payload in valid.items():
            assert action in known
            answer = await wire.ask(action, spoiled(payload, random))
            assert answer[0] in {3, 4}
            assert answer[0] == 3 or answer[2] != "InternalError", (action, answer)
    for action, payload in valid.items():  # and what is right still works
        assert (await wire.ask(action, payload))[0] == 3


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.fuzz), pytest.param(3, marks=pytest.mark.fuzz)])
@virtual
async def test_any_call_is_answered(
    tmp_path: Path, clock: VirtualClock, seed: int, caplog: pytest.LogCaptureFixture
) -> None:
    rounds = 6 if seed == 1 else 100
    async with running_cpo(tmp_path, clock, CpoSettings(strangers=True)) as cpo:
        async with station(cpo.running, headers={}) as wire:
            await all_answered(wire, VALID_201, handlers_201.HANDLERS, Random(seed), rounds)
        async with station(cpo.running, "ocpp1.6", headers={}) as wire:
            await all_answered(wire, VALID_16, handlers_16.HANDLERS, Random(seed), rounds)
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
