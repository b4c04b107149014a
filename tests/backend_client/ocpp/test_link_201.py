"""OCPP 2.0.1 against a CSMS of the mobilityhouse library: signed values, authorisation, repetitions."""

from __future__ import annotations

import asyncio
import base64
from dataclasses import replace
from typing import Any

import pytest
from ocpp.exceptions import FormatViolationError, InternalError

from backend_client.ocpp.settings import PublicKeyPolicy, SignPolicy, TooLong
from ocmf.payload import User
from ocmf.terms import IdType, Tx
from ocmf.verify import verify_record
from ports.authorisation import AuthorisationRequest, AuthorisationStatus
from ports.backend import Ack
from ports.errors import PeerError, RigError
from tests.backend_client.ocpp.bench import Bench
from tests.backend_client.ocpp.station import Maker

CARD = AuthorisationRequest("c1", "DE*PLG*E1", "04A1B2C3", "ISO14443")


def signatures(event: dict[str, Any]) -> list[dict[str, Any]]:
    return [s["signedMeterValue"] for value in event["meterValue"] for s in value["sampledValue"]]


async def test_a_transaction_arrives_in_order_with_every_signed_byte(bench: Bench) -> None:
    csms = await bench.csms_of("2.0.1")
    link = await bench.link()
    maker = Maker()
    records = maker.session()
    for record in records:
        assert await link.deliver(record) is Ack.STORED
    started, updated, ended = csms.of("TransactionEvent")
    assert [event["eventType"] for event in (started, updated, ended)] == ["Started", "Updated", "Ended"]
    assert [event["seqNo"] for event in (started, updated, ended)] == [0, 1, 2]
    assert {event["transactionInfo"]["transactionId"] for event in (started, updated, ended)} == {"GW1-M1-T1"}
    assert started["idToken"] == {"idToken": "04A1B2C3D4E5F6", "type": "ISO14443"}
    assert started["timestamp"] == "2026-03-01T08:01:00.000Z"
    assert updated["meterValue"][0]["sampledValue"][0]["value"] == 101.25
    assert ended["transactionInfo"]["stoppedReason"] == "EVDisconnected"
    sent = [base64.b64decode(one["signedMeterData"]).decode() for one in signatures(ended)]
    assert sent == [records[0].ocmf, records[2].ocmf]
    key = base64.b64decode(signatures(ended)[1]["publicKey"]).decode()
    assert key == f"oca:base16:asn1:{maker.public_key}"
    verify_record(sent[1], maker.public_key)
    assert '"value":101.2500' in csms.frames[-2]  # every digit of the register


async def test_before_the_first_deliveries_come_boot_and_status(bench: Bench) -> None:
    csms = await bench.csms_of("2.0.1")
    link = await bench.link()
    await link.deliver(Maker(connector=2).make(Tx.BEGIN))
    actions = [call.action for call in csms.heard]
    first = ["BootNotification", "StatusNotification", "StatusNotification", "SecurityEventNotification"]
    assert actions == [*first, "TransactionEvent"]
    assert csms.of("SecurityEventNotification")[0]["type"] == "StartupOfTheDevice"
    assert csms.of("BootNotification")[0]["chargingStation"] == {
        "vendorName": "Plugbench",
        "model": "Bench",
        "serialNumber": "GW1",
        "firmwareVersion": "1.2.3",
    }
    assert csms.of("TransactionEvent")[0]["evse"] == {"id": 2, "connectorId": 1}
    assert csms.authorization == ["Basic " + base64.b64encode(b"GW1:correct horse").decode()]
    assert "correct horse" not in repr(bench.trace)


async def test_a_lost_answer_is_repeated_under_the_same_id(bench: Bench) -> None:
    csms = await bench.csms_of("2.0.1")
    csms.lose = ["TransactionEvent"]
    link = await bench.link()
    record = Maker().make(Tx.BEGIN)
    with pytest.raises(RigError, match="no answer to TransactionEvent"):
        await link.deliver(record)
    await bench.until("ocpp.down")
    assert await link.deliver(record) is Ack.STORED
    first, second = (call for call in csms.heard if call.action == "TransactionEvent")
    assert first.unique_id == second.unique_id
    assert first.payload == second.payload
    assert len([one for one in csms.effects.values() if one.action == "TransactionEvent"]) == 1


async def test_the_id_is_the_same_after_a_restart_and_what_was_before_is_offline(bench: Bench) -> None:
    csms = await bench.csms_of("2.0.1")
    begin, _, end = Maker().session()
    first = await bench.link()
    await first.deliver(begin)
    await first.close()
    again = await bench.link()
    await again.deliver(begin)
    await again.deliver(end)
    events = [call for call in csms.heard if call.action == "TransactionEvent"]
    assert events[0].unique_id == events[1].unique_id != events[2].unique_id
    assert len(signatures(events[2].payload)) == 2  # the begin was kept
    assert all(event.payload["offline"] for event in events)  # the records are older than the links


async def test_refusals_are_told_apart(bench: Bench) -> None:
    csms = await bench.csms_of("2.0.1")
    link = await bench.link()
    maker = Maker()
    csms.answers["TransactionEvent"] = FormatViolationError(description="too odd")
    with pytest.raises(PeerError, match="refused TransactionEvent with FormatViolation: too odd"):
        await link.deliver(maker.make(Tx.BEGIN))
    csms.answers["TransactionEvent"] = InternalError(description="disk full")
    with pytest.raises(RigError, match="InternalError: disk full"):
        await link.deliver(maker.make(Tx.CHARGING))
    csms.answers["TransactionEvent"] = {}
    assert await link.deliver(maker.make(Tx.CHARGING)) is Ack.STORED


async def test_a_value_that_does_not_fit_is_never_sent(bench: Bench) -> None:
    csms = await bench.csms_of("2.0.1")
    link = await bench.link()
    long = Maker(tariff="x" * 250, user=User(assigned=True, id_type=IdType.LOCAL, id="y" * 36))
    record = long.make(Tx.BEGIN)
    assert await link.deliver(record) is Ack.STORED  # what our gateway writes fits
    blown = Maker()
    begin = blown.make(Tx.BEGIN)
    huge = begin.ocmf.replace('"GI":"g"', '"GI":"' + "g" * 1500 + '"')
    with pytest.raises(PeerError, match=r"page T1: .* allows 2500 \(1875 octets"):
        await link.deliver(replace(begin, ocmf=huge))
    assert len(csms.of("TransactionEvent")) == 1


async def test_declared_chunks_carry_every_byte(bench: Bench) -> None:
    csms = await bench.csms_of("2.0.1")
    link = await bench.link(too_long=TooLong.VENDOR)
    begin = Maker().make(Tx.BEGIN)
    huge = begin.ocmf.replace('"GI":"g"', '"GI":"' + "g" * 3000 + '"')
    await link.deliver(replace(begin, ocmf=huge))
    pieces = [one["data"]["signedMeterData"] for one in csms.of("DataTransfer")]
    assert len(pieces) == 2
    assert base64.b64decode("".join(pieces)).decode() == huge
    csms.answers["DataTransfer"] = {"status": "UnknownVendorId"}
    with pytest.raises(PeerError, match=r"answered its chunk 1 of 2 .* with UnknownVendorId"):
        await link.deliver(replace(begin, ocmf=huge))


@pytest.mark.parametrize(
    ("signing", "expected"),
    [
        (SignPolicy(sampled=False, aligned=False), [0, 0, 0]),
        (SignPolicy(started=False, updated=False), [0, 0, 2]),
        (SignPolicy(updated=False), [1, 0, 2]),
        (SignPolicy(), [1, 1, 2]),
    ],
)
async def test_signed_are_the_values_that_the_matrix_names(
    bench: Bench, signing: SignPolicy, expected: list[int]
) -> None:
    csms = await bench.csms_of("2.0.1")
    link = await bench.link(signing=signing)
    for record in Maker().session():
        await link.deliver(record)
    counts = [
        sum("signedMeterValue" in sample for value in event["meterValue"] for sample in value["sampledValue"])
        for event in csms.of("TransactionEvent")
    ]
    assert counts == expected


@pytest.mark.parametrize(
    ("policy", "keys"),
    [
        (PublicKeyPolicy.NEVER, [False] * 4),
        (PublicKeyPolicy.ONCE, [True, False, False, False]),
        (PublicKeyPolicy.EVERY, [True] * 4),
    ],
)
async def test_the_key_goes_along_as_often_as_asked(bench: Bench, policy: PublicKeyPolicy, keys: list[bool]) -> None:
    csms = await bench.csms_of("2.0.1")
    link = await bench.link(public_key=policy)
    for record in Maker().session():
        await link.deliver(record)
    sent = [bool(one["publicKey"]) for event in csms.of("TransactionEvent") for one in signatures(event)]
    assert sent == keys


async def test_authorisation_says_what_the_csms_says(bench: Bench) -> None:
    csms = await bench.csms_of("2.0.1")
    link = await bench.link()
    assert (await link.authorise(CARD)).is_accepted
    assert csms.of("Authorize") == [{"idToken": {"idToken": "04A1B2C3", "type": "ISO14443"}}]
    csms.answers["Authorize"] = {"idTokenInfo": {"status": "Blocked"}, "certificateStatus": "CertificateRevoked"}
    answer = await link.authorise(CARD)
    assert answer.status is AuthorisationStatus.BLOCKED
    assert not answer.is_accepted
    assert link.ocmf_flag == "OCPP_AUTH"


async def test_without_a_csms_everything_says_so_at_once(bench: Bench) -> None:
    csms = await bench.csms_of("2.0.1")
    await csms.stop()
    link = await bench.link(wait_s=0.05)
    await bench.until("ocpp.down")
    with pytest.raises(RigError, match="ocpp is away: CSMS ws://127"):
        await link.authorise(CARD)
    with pytest.raises(RigError, match="ocpp is away"):
        await link.deliver(Maker().make(Tx.BEGIN))


async def test_a_user_whom_the_csms_refuses_afterwards_is_stopped(bench: Bench) -> None:
    csms = await bench.csms_of("2.0.1")
    csms.answers["TransactionEvent"] = {"idTokenInfo": {"status": "Invalid"}}
    link = await bench.link()
    maker = Maker()
    await link.deliver(maker.make(Tx.BEGIN))
    await asyncio.sleep(0)
    assert bench.station.stopped == ["GW1-M1-T1"]
    assert bench.station.reasons == ["deauthorised by ocpp (Invalid)"]
    await link.deliver(maker.make(Tx.END_REMOTE))
    ended = csms.of("TransactionEvent")[-1]
    assert (ended["triggerReason"], ended["transactionInfo"]["stoppedReason"]) == ("Deauthorized", "DeAuthorized")


async def test_a_closed_link_says_so(bench: Bench) -> None:
    await bench.csms_of("2.0.1")
    link = await bench.link()
    await link.close()
    await link.close()
    with pytest.raises(RigError, match="is closed"):
        await link.deliver(Maker().make(Tx.BEGIN))


async def test_an_unknown_connector_is_the_rigs_fault(bench: Bench) -> None:
    await bench.csms_of("2.0.1")
    link = await bench.link()
    with pytest.raises(RigError, match=r"no connector of this station has the EVSE id 'DE\*PLG\*E7'"):
        await link.deliver(Maker(connector=7).make(Tx.BEGIN))
