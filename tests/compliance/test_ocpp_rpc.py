"""`ocpp-rpc` 2.2.1 (npm, mikuso, MIT) in strict mode as CSMS: a schema validator and RPC layer that are not ours.

It runs in a node process of its own in .peers/ocpp-rpc, installed by the fixture; skipped by name without node and npm.
What its handlers heard comes back as one JSON line each.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from websockets.asyncio.client import connect

from backend_client.credential import Credential
from backend_client.ocpp.link import open_ocpp
from backend_client.ocpp.settings import OcppSettings, Version
from backend_client.ocpp.signed_values import SignedValueTooLongError
from hil_rigs.real_clock import RealClock
from ocmf.terms import Tx
from ocmf.verify import verify_record
from ports.authorisation import AuthorisationRequest, ContractStatus
from ports.contracts import ContractAction
from tests.backend_client.ocpp.station import FakeStation, Maker
from tests.backend_client.ocpp.test_contracts import LEAF, SUB
from tests.peers import npm_packages

pytestmark = [pytest.mark.foreign, pytest.mark.timeout(200)]
PACKAGE = "ocpp-rpc@2.2.1"
SERVER_JS = """
const { RPCServer, createRPCError } = require('ocpp-rpc');
const tell = (event) => process.stdout.write(JSON.stringify(event) + '\\n');
const now = () => new Date().toISOString();
const answers = {
  'ocpp2.0.1': {
    BootNotification: () => ({ status: 'Accepted', interval: 300, currentTime: now() }),
    Heartbeat: () => ({ currentTime: now() }),
    StatusNotification: () => ({}),
    TransactionEvent: () => ({}),
    Authorize: () => ({ idTokenInfo: { status: 'Accepted' }, certificateStatus: 'Accepted' }),
    Get15118EVCertificate: () => ({ status: 'Accepted', exiResponse: Buffer.from('answer').toString('base64') }),
  },
  'ocpp1.6': {
    BootNotification: () => ({ status: 'Accepted', interval: 300, currentTime: now() }),
    Heartbeat: () => ({ currentTime: now() }),
    StatusNotification: () => ({}),
    Authorize: () => ({ idTagInfo: { status: 'Accepted' } }),
    StartTransaction: () => ({ transactionId: 4711, idTagInfo: { status: 'Accepted' } }),
    MeterValues: () => ({}),
    StopTransaction: () => ({}),
  },
};
const server = new RPCServer({ protocols: Object.keys(answers), strictMode: true });
server.auth((accept, reject, handshake) => {
  tell({ auth: handshake.identity, password: handshake.password ? handshake.password.toString() : null });
  accept({}, [...handshake.protocols][0]);
});
server.on('client', (client) => {
  client.on('strictValidationFailure', ({ error }) => tell({ violation: error.message, details: error.details }));
  client.handle(({ method, params, messageId }) => {
    tell({ method, params, messageId });
    const answer = answers[client.protocol][method];
    if (!answer) throw createRPCError('NotImplemented');
    return answer(params);
  });
});
process.stdin.on('end', () => process.exit(0)).resume();
server.listen(0, '127.0.0.1').then((http) => tell({ port: http.address().port }));
"""


@dataclass
class Judge:
    """The server's process; `said` is what it has told so far."""

    process: asyncio.subprocess.Process
    port: int
    said: list[dict[str, Any]] = field(default_factory=list)

    async def listen(self) -> None:
        """Take what it tells."""
        assert self.process.stdout is not None
        while line := await self.process.stdout.readline():
            self.said.append(json.loads(line))

    def of(self, method: str) -> list[dict[str, Any]]:
        return [event["params"] for event in self.said if event.get("method") == method]

    def settings(self, folder: Path, version: Version) -> OcppSettings:
        (folder / "password").write_text("correct horse")
        return OcppSettings(
            url=f"ws://127.0.0.1:{self.port}/ocpp",
            identity="GW1",
            state_file=folder / "state.sqlite",
            version=version,
            password=Credential(file=folder / "password"),
        )


@pytest.fixture
async def judge() -> AsyncIterator[Judge]:
    process = await asyncio.create_subprocess_exec(
        "node",
        "-e",
        SERVER_JS,
        cwd=npm_packages("ocpp-rpc", PACKAGE),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=1 << 20,
    )
    assert process.stdout is not None
    opened = Judge(process, json.loads(await process.stdout.readline())["port"])
    listening = asyncio.create_task(opened.listen())
    yield opened
    process.terminate()
    await process.wait()
    await listening


def records_of(meter_values: list[dict[str, Any]]) -> list[str]:
    samples = [sample for value in meter_values for sample in value["sampledValue"]]
    return [base64.b64decode(one["signedMeterValue"]["signedMeterData"]).decode() for one in samples]


async def test_it_accepts_everything_that_the_2_0_1_client_says(judge: Judge, tmp_path: Path) -> None:
    link = open_ocpp(judge.settings(tmp_path, Version.V201), RealClock(), station=FakeStation(), random=Random(1))
    await link.start()
    maker = Maker()
    records = maker.session()
    try:
        request = AuthorisationRequest("c1", "DE*PLG*E1", "DEPLGC000000012", "EMAID", (LEAF.der, SUB.der))
        answer = await link.authorise(request)
        assert (answer.is_accepted, answer.contract) == (True, ContractStatus.ACCEPTED)
        for record in records:
            await link.deliver(record)
        namespace = "urn:iso:15118:2:2013:MsgDef"
        contract = await link.fetch(ContractAction.INSTALL, b"\x80\x98" * 100, namespace, 4.0)
        assert contract.exi == b"answer"
    finally:
        await link.close()
    assert {"auth": "GW1", "password": "correct horse"} in judge.said
    assert not [event for event in judge.said if "violation" in event]
    assert len(judge.of("BootNotification")) == 1
    assert "BEGIN CERTIFICATE" in judge.of("Authorize")[0]["certificate"]
    ended = judge.of("TransactionEvent")[-1]
    assert records_of(ended["meterValue"]) == [records[0].ocmf, records[-1].ocmf]
    verify_record(records_of(ended["meterValue"])[1], maker.public_key)


async def test_it_refuses_a_value_that_our_client_never_sends(judge: Judge, tmp_path: Path) -> None:
    settings = judge.settings(tmp_path, Version.V201)
    begin = Maker().make(Tx.BEGIN)
    long = replace(begin, ocmf=begin.ocmf.replace('"GI":"g"', '"GI":"' + "g" * 1600 + '"'))
    link = open_ocpp(settings, RealClock(), random=Random(1))
    await link.start()
    try:
        with pytest.raises(SignedValueTooLongError):
            await link.deliver(long)
        await link.deliver(begin)
    finally:
        await link.close()
    (event,) = judge.of("TransactionEvent")
    event["meterValue"][0]["sampledValue"][0]["signedMeterValue"]["signedMeterData"] = "A" * 3000
    async with connect(settings.endpoint, subprotocols=["ocpp2.0.1"], compression=None) as socket:  # type: ignore[list-item]
        await socket.send(json.dumps([2, "raw", "TransactionEvent", event]))
        answer = json.loads(await socket.recv())
    assert answer[:3] == [4, "raw", "FormatViolation"]
    assert len(judge.of("TransactionEvent")) == 1


async def test_it_accepts_everything_that_the_1_6_client_says(judge: Judge, tmp_path: Path) -> None:
    link = open_ocpp(judge.settings(tmp_path, Version.V16), RealClock(), station=FakeStation(), random=Random(1))
    await link.start()
    records = Maker().session()
    try:
        assert (await link.authorise(AuthorisationRequest("c1", "DE*PLG*E1", "04A1B2C3", "ISO14443"))).is_accepted
        for record in records:
            await link.deliver(record)
    finally:
        await link.close()
    assert not [event for event in judge.said if "violation" in event]
    (stop,) = judge.of("StopTransaction")
    assert stop["transactionId"] == 4711
    values = [json.loads(one["sampledValue"][0]["value"]) for one in stop["transactionData"]]
    sent = [base64.b64decode(value["signedMeterData"]).decode() for value in values]
    assert sent == [records[0].ocmf, records[-1].ocmf]
