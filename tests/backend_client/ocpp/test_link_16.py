"""OCPP 1.6 against a CSMS of the mobilityhouse library: transactions of the CSMS, signed values in both formats."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import pytest

from backend_client.ocpp.contracts import VENDOR_ID_16
from ocmf.terms import Tx
from ocmf.verify import verify_record
from ports.authorisation import AuthorisationRequest, AuthorisationStatus
from ports.backend import Ack
from ports.contracts import ContractAction
from ports.errors import PeerError, RigError
from ports.station import Availability, ChargingState, ConnectorNews
from tests.backend_client.ocpp.bench import Bench
from tests.backend_client.ocpp.station import Maker

CARD = AuthorisationRequest("c1", "DE*PLG*E1", "04A1B2C3", "ISO14443")


def signed(meter_values: list[dict[str, Any]]) -> dict[str, str]:
    """OCMF records by context."""
    samples = [sample for value in meter_values for sample in value["sampledValue"] if sample["format"] == "SignedData"]
    return {
        sample["context"]: base64.b64decode(json.loads(sample["value"])["signedMeterData"]).decode()
        for sample in samples
    }


async def test_a_transaction_arrives_with_both_signed_values_at_its_end(bench: Bench) -> None:
    csms = await bench.csms_of("1.6")
    link = await bench.link()
    maker = Maker()
    begin, middle, end = maker.session()
    for record in (begin, middle, end):
        assert await link.deliver(record) is Ack.STORED
    (start,), (stop,) = csms.of("StartTransaction"), csms.of("StopTransaction")
    assert start == {
        "connectorId": 1,
        "idTag": "04A1B2C3D4E5F6",
        "meterStart": 100000,
        "timestamp": "2026-03-01T08:01:00.000Z",
    }
    assert (stop["transactionId"], stop["meterStop"], stop["reason"]) == (77, 103500, "EVDisconnected")
    assert signed(stop["transactionData"]) == {"Transaction.Begin": begin.ocmf, "Transaction.End": end.ocmf}
    first, second = csms.of("MeterValues")
    assert signed(first["meterValue"]) == {"Transaction.Begin": begin.ocmf}
    assert signed(second["meterValue"]) == {"Sample.Periodic": middle.ocmf}
    assert second["meterValue"][0]["sampledValue"][0]["value"] == "101.2500"
    verify_record(signed(stop["transactionData"])["Transaction.End"], maker.public_key)


async def test_mr_sends_the_end_alone(bench: Bench) -> None:
    csms = await bench.csms_of("1.6")
    link = await bench.link(stop_format="MR", separate_begin=False)
    for record in Maker().session():
        await link.deliver(record)
    assert list(signed(csms.of("StopTransaction")[0]["transactionData"])) == ["Transaction.End"]
    assert len(csms.of("MeterValues")) == 1


async def test_a_lost_start_makes_one_transaction_and_a_restart_remembers_it(bench: Bench) -> None:
    csms = await bench.csms_of("1.6")
    csms.lose = ["StartTransaction"]
    begin, _, end = Maker().session()
    link = await bench.link()
    with pytest.raises(RigError, match="no answer to StartTransaction"):
        await link.deliver(begin)
    await bench.until("ocpp.down")
    csms.answers["MeterValues"] = lambda _: {}
    await link.deliver(begin)
    starts = [call for call in csms.heard if call.action == "StartTransaction"]
    assert len(starts) == 2
    assert len({call.unique_id for call in starts}) == 1
    await link.close()
    again = await bench.link()
    await again.deliver(end)
    assert csms.of("StopTransaction")[0]["transactionId"] == 77
    assert len(signed(csms.of("StopTransaction")[0]["transactionData"])) == 2


async def test_a_lost_answer_after_the_start_does_not_start_again(bench: Bench) -> None:
    csms = await bench.csms_of("1.6")
    csms.lose = ["MeterValues"]
    link = await bench.link()
    begin = Maker().make(Tx.BEGIN)
    with pytest.raises(RigError):
        await link.deliver(begin)
    await bench.until("ocpp.down")
    await link.deliver(begin)
    assert len(csms.of("StartTransaction")) == 1
    assert len(csms.of("MeterValues")) == 2


async def test_a_refused_user_is_stopped_even_when_the_next_answer_is_lost(bench: Bench) -> None:
    csms = await bench.csms_of("1.6")
    csms.answers["StartTransaction"] = {"transactionId": 5, "idTagInfo": {"status": "Blocked"}}
    csms.lose = ["MeterValues"]
    link = await bench.link()
    maker = Maker()
    begin = maker.make(Tx.BEGIN)
    with pytest.raises(RigError):
        await link.deliver(begin)
    await bench.until("ocpp.down")
    await link.deliver(begin)
    await asyncio.sleep(0)
    assert bench.station.stopped == ["GW1-M1-T1"]
    assert bench.station.reasons == ["deauthorised by ocpp (refused before)"]
    await link.deliver(maker.make(Tx.END_REMOTE))
    assert csms.of("StopTransaction")[0]["reason"] == "DeAuthorized"


async def test_a_stop_names_what_the_csms_said(bench: Bench) -> None:
    csms = await bench.csms_of("1.6")
    csms.answers["StartTransaction"] = {"transactionId": 5, "idTagInfo": {"status": "Blocked"}}
    link = await bench.link()
    await link.deliver(Maker().make(Tx.BEGIN))
    await asyncio.sleep(0)
    assert bench.station.reasons == ["deauthorised by ocpp (Blocked)"]


async def test_a_record_without_its_transaction_is_refused_with_its_reason(bench: Bench) -> None:
    await bench.csms_of("1.6")
    link = await bench.link()
    _, _, end = Maker().session()
    with pytest.raises(PeerError, match="page T3: ocpp has no transaction GW1-M1-T1"):
        await link.deliver(end)


async def test_an_id_that_does_not_fit_is_refused_by_name(bench: Bench) -> None:
    await bench.csms_of("1.6")
    link = await bench.link()
    with pytest.raises(PeerError, match=r"21 characters, an idTag of OCPP 1\.6 20"):
        await link.authorise(AuthorisationRequest("c1", "e", "x" * 21, "LOCAL"))


async def test_authorisation_and_status(bench: Bench) -> None:
    csms = await bench.csms_of("1.6")
    csms.answers["Authorize"] = {"idTagInfo": {"status": "Expired"}}
    link = await bench.link()
    assert (await link.authorise(CARD)).status is AuthorisationStatus.EXPIRED
    assert [one["connectorId"] for one in csms.of("StatusNotification")] == [0, 1, 2]
    faulted = ConnectorNews(
        1, "c1", "DE*PLG*E1", Availability.FAULTED, ChargingState.IDLE, faults=("EVSEContactorFault", "GroundFailure")
    )
    bench.station.tell(faulted)
    await csms.until(lambda: len(csms.of("StatusNotification")) == 4)
    told = csms.of("StatusNotification")[-1]
    assert (told["status"], told["errorCode"], told["vendorErrorCode"]) == (
        "Faulted",
        "PowerSwitchFailure",
        "EVSEContactorFault",
    )


async def test_a_vehicle_that_stays_is_finishing(bench: Bench) -> None:
    csms = await bench.csms_of("1.6")
    await bench.link()
    await bench.until("ocpp.up")
    told = ["Available"]
    for availability, charging, word in (
        (Availability.OCCUPIED, ChargingState.CONNECTED, "Preparing"),
        (Availability.OCCUPIED, ChargingState.CHARGING, "Charging"),
        (Availability.OCCUPIED, ChargingState.CONNECTED, "Finishing"),
        (Availability.AVAILABLE, ChargingState.IDLE, "Available"),
        (Availability.OCCUPIED, ChargingState.CONNECTED, "Preparing"),
    ):
        told.append(word)
        bench.station.tell(ConnectorNews(1, "c1", "DE*PLG*E1", availability, charging))
        await csms.until(
            lambda: [one["status"] for one in csms.of("StatusNotification") if one["connectorId"] == 1] == told
        )


async def test_contracts_travel_in_data_transfer_and_an_unknown_vendor_is_told(bench: Bench) -> None:
    csms = await bench.csms_of("1.6")
    body = {"status": "Accepted", "exiResponse": base64.b64encode(b"\x80\x98answer").decode()}
    csms.answers["DataTransfer"] = {"status": "Accepted", "data": json.dumps(body)}
    link = await bench.link()
    answer = await link.fetch(ContractAction.INSTALL, b"\x80\x98request", "urn:iso:15118:2:2013:MsgDef", 4.0)
    assert answer.exi == b"\x80\x98answer"
    (sent,) = csms.of("DataTransfer")
    assert (sent["vendorId"], sent["messageId"]) == (VENDOR_ID_16, "Get15118EVCertificate")
    assert base64.b64decode(json.loads(sent["data"])["exiRequest"]) == b"\x80\x98request"
    csms.answers["DataTransfer"] = {"status": "UnknownVendorId"}
    with pytest.raises(PeerError, match="with UnknownVendorId"):
        await link.fetch(ContractAction.INSTALL, b"\x80", "urn:iso:15118:2:2013:MsgDef", 4.0)
    csms.answers["DataTransfer"] = {"status": "Accepted", "data": "{"}
    with pytest.raises(PeerError, match="not JSON"):
        await link.fetch(ContractAction.INSTALL, b"\x80", "urn:iso:15118:2:2013:MsgDef", 4.0)
