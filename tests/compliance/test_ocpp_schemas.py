"""Every frame of whole runs, held to the Open Charge Alliance's JSON schemas by another validator than our own.

The schemas are those of `ocpp` 2.1.0 (PyPI, mobilityhouse, MIT); the validator is `jsonschema-rs` (PyPI, MIT, Rust),
with formats checked, which the client's own validation does not do.
"""

from __future__ import annotations

import json
from contextlib import AsyncExitStack
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from ocpp.v16 import call as call16
from ocpp.v201 import call as call201

from ocmf.terms import Tx
from ports.authorisation import AuthorisationRequest
from ports.contracts import ContractAction
from ports.errors import PeerError
from tests.backend_client.ocpp.bench import Bench
from tests.backend_client.ocpp.station import Maker
from tests.backend_client.ocpp.test_contracts import LEAF, SUB
from tests.tls import tls_pem

ENDS = (Tx.END, Tx.END_LOCAL, Tx.END_REMOTE, Tx.ABORT, Tx.POWER_FAILURE)
CARD = AuthorisationRequest("c1", "DE*PLG*E1", "04A1B2C3", "ISO14443")
CONTRACT = AuthorisationRequest("c1", "DE*PLG*E1", "DEPLGC000000012", "EMAID", (LEAF.der, SUB.der))


async def everything(version: str, folder: Path, questions: dict[str, Any]) -> list[str]:
    """The frames that a CSMS hears in sessions of every end, with contracts, and with questions of its own."""
    async with AsyncExitStack() as stack:
        bench = Bench(folder, stack)
        csms = await bench.csms_of(version)
        link = await bench.link(certificate_folder=folder / "roots")
        link.report_security_event("StartupOfTheDevice", "x" * 300)
        maker = Maker()
        for end in ENDS:
            for tx in (Tx.BEGIN, Tx.CHARGING, Tx.SUSPENDED, Tx.EXCEPTION, Tx.TARIFF_CHANGE, end):
                await link.deliver(maker.make(tx))
        await link.authorise(CARD)
        for contract in (link.authorise(CONTRACT), link.fetch(ContractAction.UPDATE, b"x" * 4200, "urn", 4.0)):
            try:
                await contract
            except PeerError:
                assert version == "1.6"  # the answer carries no body of 2.0.1
        for id_, question in questions.items():
            await csms.call(question, id_)
        await csms.until(lambda: bool(csms.of("NotifyReport")) or version == "1.6")
        return csms.frames


def judge(frames: list[str], version: str, requests: dict[str, str]) -> set[str]:
    """Check all; returns the actions that were seen. requests: id -> action of what the CSMS asked."""
    seen = set()
    folder = files("ocpp") / f"v{version.replace('.', '')}" / "schemas"
    for text in frames:
        message = json.loads(text)
        assert message[0] in {2, 3}, text
        action = message[2] if message[0] == 2 else requests[message[1]]
        suffix = "Response" if message[0] == 3 else "" if version == "1.6" else "Request"
        schema = json.loads((folder / f"{action}{suffix}.json").read_text(encoding="utf-8-sig"))
        jsonschema_rs.validator_for(schema, validate_formats=True).validate(message[-1])
        seen.add(action)
    return seen


@pytest.mark.parametrize("version", ["2.0.1", "1.6"])
async def test_every_frame_is_what_its_schema_says(version: str, tmp_path: Path) -> None:
    pem = tls_pem()[1].decode()
    item = {"component": {"name": "SecurityCtrlr"}, "variable": {"name": "SecurityProfile"}}
    questions: list[Any] = [
        call16.GetConfiguration(),
        call16.ChangeConfiguration(key="HeartbeatInterval", value="60"),
        call16.TriggerMessage(requested_message="StatusNotification"),
        call16.InstallCertificate(certificate_type="CentralSystemRootCertificate", certificate=pem),
        call16.GetInstalledCertificateIds(certificate_type="CentralSystemRootCertificate"),
        call16.RemoteStartTransaction(id_tag="04A1B2C3"),
        call16.RemoteStopTransaction(transaction_id=1),
        call16.Reset(type="Hard"),
        call16.UnlockConnector(connector_id=1),
        call16.ChangeAvailability(connector_id=0, type="Operative"),
        call16.ClearCache(),
        call16.GetLocalListVersion(),
        call16.DataTransfer(vendor_id="x"),
    ]
    if version == "2.0.1":
        token = {"id_token": "04A1B2C3", "type": "ISO14443"}
        questions = [
            call201.GetVariables(get_variable_data=[item]),
            call201.SetVariables(set_variable_data=[{**item, "attribute_value": "0"}]),
            call201.TriggerMessage(requested_message="StatusNotification"),
            call201.InstallCertificate(certificate_type="MORootCertificate", certificate=pem),
            call201.GetInstalledCertificateIds(),
            call201.RequestStartTransaction(id_token=token, remote_start_id=1),
            call201.RequestStopTransaction(transaction_id="x"),
            call201.GetTransactionStatus(),
            call201.Reset(type="Immediate"),
            call201.UnlockConnector(evse_id=1, connector_id=1),
            call201.ChangeAvailability(operational_status="Operative"),
            call201.ClearCache(),
            call201.GetLocalListVersion(),
            call201.DataTransfer(vendor_id="x"),
            call201.GetBaseReport(request_id=1, report_base="FullInventory"),
        ]
    ids = {f"q{number}": type(question).__name__ for number, question in enumerate(questions)}
    frames = await everything(version, tmp_path, dict(zip(ids, questions, strict=True)))
    seen = judge(frames, version, ids)
    assert set(ids.values()) <= seen
    assert {"BootNotification", "StatusNotification", "SecurityEventNotification", "Authorize"} <= seen
    assert {"TransactionEvent", "StopTransaction"} & seen
