"""The CSMS judged by ocpp-rpc 2.2.1 (npm, MIT) in strict mode: a station that checks every frame by its own schemas.

Installed into .peers/ocpp-rpc by the fixture; without node and npm the tests are skipped by name.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from backends.operators.cpo.cpo import RunningCpo
from hil_rigs.real_clock import RealClock
from tests.backends.operators.cpo.parts import PASSWORD, accepting, event, running_cpo, signed
from tests.backends.signed_records import RecordMaker
from tests.peers import npm_packages

pytestmark = pytest.mark.foreign

PACKAGE = "ocpp-rpc@2.2.1"
CARD = "04A1B2C3"
STATION_JS = """
const { RPCClient } = require('ocpp-rpc');
const plan = JSON.parse(require('fs').readFileSync(0, 'utf8'));
(async () => {
  const asked = [], answers = [], strict = [];
  const client = new RPCClient({
    endpoint: plan.url, identity: 'CP1', password: plan.password, protocols: [plan.protocol],
    strictMode: true, reconnect: false,
  });
  client.on('strictValidationFailure', ({ error }) => strict.push(String(error)));
  client.handle(({ method, params }) => { asked.push([method, params]); return plan.replies[method]; });
  let transactionId = 0;
  try {
    await client.connect();
    for (const [method, params] of plan.calls) {
      if (params.transactionId === 'LAST') params.transactionId = transactionId;
      try {
        const answer = await client.call(method, params);
        if (answer.transactionId) transactionId = answer.transactionId;
        answers.push([method, answer]);
      } catch (error) {
        answers.push([method, `${error.rpcErrorCode || error.name}: ${error.message}`]);
      }
    }
    process.stdout.write(JSON.stringify({ ready: true }) + '\\n');
    while (asked.length < plan.expect) await new Promise((done) => setTimeout(done, 10));
    await client.close();
  } catch (error) {
    answers.push(['connect', String(error)]);
  }
  process.stdout.write(JSON.stringify({ asked, answers, strict }) + '\\n');
})();
"""


@pytest.fixture(scope="session")
def peer() -> Path:
    """Its folder, with the package installed."""
    return npm_packages("ocpp-rpc", PACKAGE)


async def run(peer: Path, cpo: RunningCpo, plan: dict[str, Any], then: Any = None) -> dict[str, Any]:
    """Let the station do what the plan says; `then` runs when its calls are over."""
    process = await asyncio.create_subprocess_exec(
        "node", "-e", STATION_JS, cwd=peer, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        async with asyncio.timeout(60):
            process.stdin.write(json.dumps({"url": cpo.url, "replies": {}, "expect": 0, **plan}).encode())
            process.stdin.close()
            first: dict[str, Any] = json.loads(await process.stdout.readline())
            if then is None or "ready" not in first:
                return first if "ready" not in first else json.loads(await process.stdout.readline())
            await then()
            found: dict[str, Any] = json.loads(await process.stdout.readline())
            return found
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def test_a_2_0_1_station_in_strict_mode(peer: Path, tmp_path: Path) -> None:
    maker, token = RecordMaker(), {"idToken": CARD, "type": "ISO14443"}
    events = [
        event(kind, seq_no, [record], **({"idToken": token} if seq_no == 0 else {}))
        for seq_no, (kind, record) in enumerate(zip(("Started", "Updated", "Ended"), maker.session(), strict=True))
    ]
    ocsp = {
        "hashAlgorithm": "SHA256",
        "issuerNameHash": "00" * 32,
        "issuerKeyHash": "11" * 32,
        "serialNumber": "1",
        "responderURL": "http://127.0.0.1:9/",
    }
    exi = {"iso15118SchemaVersion": "urn:iso:15118:2:2013:MsgDef", "action": "Install", "exiRequest": "gJg="}
    calls = [
        ("BootNotification", {"reason": "PowerUp", "chargingStation": {"model": "M", "vendorName": "V"}}),
        ("Heartbeat", {}),
        ("Authorize", {"idToken": token}),
        (
            "Authorize",
            {"idToken": {"idToken": "DEPLBC00000042", "type": "eMAID"}, "iso15118CertificateHashData": [ocsp]},
        ),
        ("Get15118EVCertificate", exi),
        ("GetCertificateStatus", {"ocspRequestData": ocsp}),
        ("SignCertificate", {"csr": "x"}),
        ("DataTransfer", {"vendorId": "v"}),
        *(("TransactionEvent", one) for one in events),
        ("TransactionEvent", events[-1]),
    ]
    replies = {
        "RequestStartTransaction": {"status": "Accepted", "transactionId": "t2"},
        "RequestStopTransaction": {"status": "Accepted"},
        "TriggerMessage": {"status": "Accepted"},
    }
    async with running_cpo(tmp_path, RealClock(), authorisers=[accepting(CARD)]) as cpo:
        await cpo.register(maker)
        remote = cpo.running.remote

        async def control() -> None:
            assert (await remote.start("CP1", CARD, "ISO14443", evse=1)).transaction_id == "t2"
            assert (await remote.stop("CP1", "t2")).accepted
            assert (await remote.trigger("CP1", "Heartbeat")).accepted

        plan = {"protocol": "ocpp2.0.1", "password": PASSWORD, "calls": calls, "replies": replies, "expect": 3}
        found = await run(peer, cpo.running, plan, control)
        assert found["strict"] == []
        answers = found["answers"]
        assert not [answer for _, answer in answers if isinstance(answer, str)]
        said = dict(answers[:-4])
        assert said["BootNotification"]["status"] == "Accepted"
        assert [said[name]["status"] for name in ("Get15118EVCertificate", "GetCertificateStatus")] == ["Failed"] * 2
        assert [method for method, _ in found["asked"]] == list(replies)
        assert await cpo.state("t1") == ("billed", [])


async def test_a_1_6_station_in_strict_mode(peer: Path, tmp_path: Path) -> None:
    maker = RecordMaker()
    begin, between, end = maker.session()

    def value(record: Any) -> dict[str, Any]:
        sampled = {"value": json.dumps(signed(record)), "format": "SignedData", "context": record.context}
        return {"timestamp": "2026-01-01T12:00:00Z", "sampledValue": [sampled]}

    stop = {
        "transactionId": "LAST",
        "meterStop": 1,
        "timestamp": "2026-01-01T12:30:00Z",
        "transactionData": [value(begin), value(between), value(end)],
    }
    start = {"connectorId": 1, "idTag": CARD, "meterStart": 0, "timestamp": "2026-01-01T12:00:00Z"}
    calls = [
        ("BootNotification", {"chargePointModel": "M", "chargePointVendor": "V"}),
        ("StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": "Available"}),
        ("Authorize", {"idTag": CARD}),
        ("DataTransfer", {"vendorId": "org.openchargealliance.iso15118pnc", "messageId": "Get15118EVCertificate"}),
        ("StartTransaction", start),
        ("StopTransaction", stop),
        ("StopTransaction", stop),
    ]
    replies = {"RemoteStartTransaction": {"status": "Accepted"}, "RemoteStopTransaction": {"status": "Rejected"}}
    async with running_cpo(tmp_path, RealClock(), authorisers=[accepting(CARD)]) as cpo:
        await cpo.register(maker)

        async def control() -> None:
            assert (await cpo.running.remote.start("CP1", CARD, "ISO14443")).accepted
            assert not (await cpo.running.remote.stop("CP1", "1")).accepted

        plan = {"protocol": "ocpp1.6", "password": PASSWORD, "calls": calls, "replies": replies, "expect": 2}
        found = await run(peer, cpo.running, plan, control)
        assert found["strict"] == []
        assert not [answer for _, answer in found["answers"] if isinstance(answer, str)]
        assert found["answers"][4][1]["idTagInfo"] == {"status": "Accepted"}
        assert await cpo.state(str(found["answers"][4][1]["transactionId"])) == ("billed", [])


async def test_a_wrong_password(peer: Path, tmp_path: Path) -> None:
    async with running_cpo(tmp_path, RealClock()) as cpo:
        plan = {"protocol": "ocpp2.0.1", "password": "wrong", "calls": []}
        found = await run(peer, cpo.running, plan)
        assert found["answers"] == [["connect", "Error: Unauthorized"]]
