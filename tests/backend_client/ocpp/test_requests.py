"""What a CSMS asks of the station, in both versions: answered by a table, never by silence."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from ocpp.exceptions import NotImplementedError as NotImplementedCallError
from ocpp.exceptions import NotSupportedError, OCPPError
from ocpp.v16 import call as call16
from ocpp.v201 import call as call201

from backend_client.ocpp.contracts import VENDOR_ID_16
from backend_client.ocpp.hooks import Outcome, StationHooks
from ocmf.payload import User
from ocmf.terms import IdType, Tx
from ports.errors import RigError
from ports.station import Availability, ChargingState, ConnectorNews, RemoteAnswer
from tests.backend_client.ocpp.bench import Bench
from tests.backend_client.ocpp.csms import Csms
from tests.backend_client.ocpp.station import Maker
from tests.tls import tls_pem

CHARGING = ConnectorNews(
    1, "c1", "DE*PLG*E1", Availability.OCCUPIED, ChargingState.CHARGING, transaction_id="GW1-M1-T1"
)


async def up(bench: Bench, version: str, hooks: StationHooks | None = None, **changes: Any) -> Csms:
    csms = await bench.csms_of(version)
    await bench.link(**({"hooks": hooks} if hooks else {}), **changes)
    await bench.until("ocpp.up")
    return csms


async def test_a_remote_start_becomes_a_transaction_that_names_it(bench: Bench) -> None:
    csms = await bench.csms_of("2.0.1")
    link = await bench.link()
    await bench.until("ocpp.up")
    token = {"id_token": "DE-PLG-C00000001-2", "type": "eMAID"}
    answer = await csms.call(call201.RequestStartTransaction(id_token=token, remote_start_id=9, evse_id=2))
    assert answer.status == "Accepted"
    assert bench.station.started == [(2, "DE-PLG-C00000001-2", "EMAID", "OCPP_RS")]
    user = User(assigned=True, flags=("OCPP_RS",), id_type=IdType.EMAID, id="DEPLGC000000012")
    maker = Maker(user=user)
    begin = maker.make(Tx.BEGIN)
    await link.deliver(begin)
    await link.deliver(begin)
    assert [event["transactionInfo"]["remoteStartId"] for event in csms.of("TransactionEvent")] == [9, 9]
    assert csms.of("TransactionEvent")[0]["triggerReason"] == "RemoteStart"
    bench.station.answer = RemoteAnswer(False, detail="nobody is plugged in")
    refused = await csms.call(call201.RequestStartTransaction(id_token=token, remote_start_id=10))
    assert (refused.status, refused.status_info["additional_info"]) == ("Rejected", "nobody is plugged in")


async def test_a_remote_stop_finds_its_transaction(bench: Bench) -> None:
    csms = await up(bench, "2.0.1")
    bench.station.tell(CHARGING)
    assert (await csms.call(call201.RequestStopTransaction(transaction_id="other"))).status == "Rejected"
    assert (await csms.call(call201.RequestStopTransaction(transaction_id="GW1-M1-T1"))).status == "Accepted"
    assert bench.station.stopped == ["GW1-M1-T1"]
    answer = await csms.call(call201.GetTransactionStatus(transaction_id="GW1-M1-T1"))
    assert answer.ongoing_indicator is True


async def test_remote_start_and_stop_in_16(bench: Bench) -> None:
    csms = await bench.csms_of("1.6")
    link = await bench.link()
    await link.deliver(Maker().make(Tx.BEGIN))
    assert (await csms.call(call16.RemoteStartTransaction(id_tag="04A1B2C3", connector_id=1))).status == "Accepted"
    assert (await csms.call(call16.RemoteStartTransaction(id_tag="made up"))).status == "Accepted"
    assert bench.station.started == [
        (1, "04A1B2C3", "ISO14443", "OCPP_RS"),
        (None, "made up", "CENTRAL", "OCPP_RS"),
    ]
    assert (await csms.call(call16.RemoteStopTransaction(transaction_id=78))).status == "Rejected"
    assert (await csms.call(call16.RemoteStopTransaction(transaction_id=77))).status == "Accepted"
    assert bench.station.stopped == ["GW1-M1-T1"]


async def test_variables_are_read_set_and_kept(bench: Bench) -> None:
    csms = await bench.csms_of("2.0.1")
    link = await bench.link()
    begin, middle, _ = Maker().session()
    await link.deliver(begin)

    def item(component: str, name: str, **more: Any) -> dict[str, Any]:
        return {"component": {"name": component}, "variable": {"name": name}, **more}

    off = item("SampledDataCtrlr", "SignUpdatedReadings", attribute_value="false")
    lower = item("SecurityCtrlr", "SecurityProfile", attribute_value="0")
    password = item("SecurityCtrlr", "BasicAuthPassword", attribute_value="hunter2hunter2hunter2")
    answer = await csms.call(call201.SetVariables(set_variable_data=[off, lower, password]))
    words = [one["attribute_status"] for one in answer.set_variable_result]
    assert words == ["Accepted", "Rejected", "Rejected"]
    assert "hunter2" not in repr(bench.trace)
    wanted = [
        item("sampleddatactrlr", "SIGNUPDATEDREADINGS"),
        item("SecurityCtrlr", "BasicAuthPassword"),
        item("SecurityCtrlr", "SecurityProfile"),
        item("Nonsense", "x"),
        item("TxCtrlr", "x"),
        item("TxCtrlr", "TxStartPoint", attribute_type="Target"),
        {"component": {"name": "FiscalMetering", "evse": {"id": 1}}, "variable": {"name": "PublicKey"}},
    ]
    given = (await csms.call(call201.GetVariables(get_variable_data=wanted))).get_variable_result
    assert [one["attribute_status"] for one in given] == [
        "Accepted",
        "Rejected",
        "Accepted",
        "UnknownComponent",
        "UnknownVariable",
        "NotSupportedAttributeType",
        "Accepted",
    ]
    assert [given[0]["attribute_value"], given[2]["attribute_value"]] == ["false", "1"]
    assert given[6]["attribute_value"] == begin.public_key
    await link.deliver(middle)
    assert "signedMeterValue" not in repr(csms.of("TransactionEvent")[-1])
    await link.close()
    again = await bench.link()
    await again.deliver(middle)
    assert "signedMeterValue" not in repr(csms.of("TransactionEvent")[-1])
    too_many = [item("SampledDataCtrlr", "SignReadings")] * 65
    with pytest.raises(OCPPError, match="65 variables"):
        await csms.call(call201.GetVariables(get_variable_data=too_many))


async def test_the_device_model_is_reported_in_pages(bench: Bench) -> None:
    csms = await up(bench, "2.0.1")
    answer = await csms.call(call201.GetBaseReport(request_id=5, report_base="FullInventory"))
    assert answer.status == "Accepted"
    await csms.until(lambda: any(not page["tbc"] for page in csms.of("NotifyReport")))
    pages = csms.of("NotifyReport")
    assert [page["seqNo"] for page in pages] == list(range(len(pages)))
    names = [entry["variable"]["name"] for page in pages for entry in page["reportData"]]
    assert "PublicKeyWithSignedMeterValue" in names


async def test_configuration_of_16(bench: Bench) -> None:
    csms = await up(bench, "1.6")
    everything = await csms.call(call16.GetConfiguration())
    keys = {one["key"]: one for one in everything.configuration_key}
    assert keys["NumberOfConnectors"]["value"] == "2"
    assert keys["StopTransactionSignatureFormat"] == {
        "key": "StopTransactionSignatureFormat",
        "readonly": True,
        "value": "SR",
    }
    assert "value" not in keys["AuthorizationKey"]
    some = await csms.call(call16.GetConfiguration(key=["heartbeatinterval", "Nonsense"]))
    assert (some.configuration_key[0]["value"], some.unknown_key) == ("300", ["Nonsense"])
    for key, value, word in (
        ("SampledDataSignUpdatedReadings", "false", "Accepted"),
        ("SampledDataSignUpdatedReadings", "perhaps", "Rejected"),
        ("SecurityProfile", "0", "Rejected"),
        ("AuthorizationKey", "0011223344556677", "Rejected"),
        ("Nonsense", "1", "NotSupported"),
    ):
        assert (await csms.call(call16.ChangeConfiguration(key=key, value=value))).status == word
    assert "0011223344556677" not in repr(bench.trace)


async def test_what_is_not_offered_is_told_apart_from_what_is_unknown(bench: Bench) -> None:
    csms = await up(bench, "2.0.1")
    with pytest.raises(NotSupportedError):
        await csms.call(call201.ClearChargingProfile())
    point = csms.points[-1]
    await point._send('[2,"x1","Frobnicate",{}]')
    await csms.until(lambda: any('"x1"' in frame for frame in csms.frames))
    assert json.loads(next(frame for frame in csms.frames if '"x1"' in frame))[2] == NotImplementedCallError.code
    await point._send('[2,"x2","Reset",{"type":"Never"}]')
    await csms.until(lambda: any('"x2"' in frame for frame in csms.frames))
    assert json.loads(next(f for f in csms.frames if '"x2"' in f))[2] == "PropertyConstraintViolation"
    await point._send('[2,"x3"')
    await csms.until(lambda: any("RpcFrameworkError" in frame for frame in csms.frames))
    profile = {
        "ocpp_version": "OCPP20",
        "ocpp_transport": "JSON",
        "ocpp_csms_url": "ws://other.example",
        "message_timeout": 30,
        "security_profile": 0,
        "ocpp_interface": "Wired0",
    }
    answer = await csms.call(call201.SetNetworkProfile(configuration_slot=1, connection_data=profile))
    assert answer.status == "Rejected"


async def test_a_request_that_is_delivered_twice_is_done_once(bench: Bench) -> None:
    csms = await up(bench, "2.0.1")
    token = {"idToken": "04A1B2C3", "type": "ISO14443"}
    request = json.dumps([2, "same", "RequestStartTransaction", {"idToken": token, "remoteStartId": 1}])
    for _ in range(2):
        await csms.points[-1]._send(request)
    await csms.until(lambda: sum('"same"' in frame for frame in csms.frames) == 2)
    assert len(bench.station.started) == 1
    assert {frame for frame in csms.frames if '"same"' in frame} == {'[3,"same",{"status":"Accepted"}]'}


async def test_a_flood_of_requests_is_refused_and_nothing_else_suffers(bench: Bench) -> None:
    going = asyncio.Event()

    async def reset(kind: str) -> Outcome:
        await going.wait()
        return Outcome.REJECTED

    csms = await bench.csms_of("2.0.1")
    link = await bench.link(StationHooks(reset=reset))
    await bench.until("ocpp.up")
    for number in range(40):
        await csms.points[-1]._send(f'[2,"f{number}","Reset",{{"type":"OnIdle"}}]')
    await csms.until(lambda: sum("GenericError" in frame for frame in csms.frames) == 40 - 33)
    await link.deliver(Maker().make(Tx.BEGIN))
    going.set()
    await csms.until(lambda: sum("Rejected" in frame for frame in csms.frames) == 33)


async def test_triggers(bench: Bench) -> None:
    csms = await up(bench, "2.0.1")
    before = len(csms.of("StatusNotification"))
    for message, evse, word in (
        ("Heartbeat", None, "Accepted"),
        ("StatusNotification", {"id": 2}, "Accepted"),
        ("StatusNotification", {"id": 3}, "Rejected"),
        ("BootNotification", None, "Accepted"),
        ("LogStatusNotification", None, "NotImplemented"),
        ("SignV2GCertificate", None, "NotImplemented"),
    ):
        assert (await csms.call(call201.TriggerMessage(requested_message=message, evse=evse))).status == word
    await csms.until(lambda: len(csms.of("BootNotification")) == 2)
    assert csms.of("BootNotification")[1]["reason"] == "Triggered"
    assert [one["evseId"] for one in csms.of("StatusNotification")[before:]] == [2]


async def test_hooks_decide_about_reset_unlock_and_availability(bench: Bench) -> None:
    asked: list[object] = []

    async def reset(kind: str) -> Outcome:
        asked.append(kind)
        return Outcome.SCHEDULED

    async def unlock(number: int) -> bool:
        asked.append(number)
        return True

    async def availability(number: int | None, operative: bool) -> Outcome:
        asked.append((number, operative))
        return Outcome.ACCEPTED

    csms = await up(bench, "2.0.1", StationHooks(reset=reset, unlock=unlock, availability=availability))
    bench.station.tell(CHARGING)
    assert (await csms.call(call201.Reset(type="OnIdle"))).status == "Scheduled"
    for evse, word in ((1, "OngoingAuthorizedTransaction"), (2, "Unlocked"), (3, "UnknownConnector")):
        assert (await csms.call(call201.UnlockConnector(evse_id=evse, connector_id=1))).status == word
    assert (await csms.call(call201.ChangeAvailability(operational_status="Inoperative"))).status == "Accepted"
    assert asked == ["OnIdle", 2, (None, False)]


async def test_without_hooks_they_are_refused(bench: Bench) -> None:
    csms = await up(bench, "1.6")
    assert (await csms.call(call16.Reset(type="Hard"))).status == "Rejected"
    assert bench.kinds("ocpp.reset")
    assert (await csms.call(call16.UnlockConnector(connector_id=1))).status == "UnlockFailed"
    assert (await csms.call(call16.ChangeAvailability(connector_id=0, type="Inoperative"))).status == "Rejected"
    assert (await csms.call(call16.ClearCache())).status == "Rejected"
    assert (await csms.call(call16.DataTransfer(vendor_id="nobody"))).status == "UnknownVendorId"


async def test_roots_are_installed_listed_and_deleted(bench: Bench) -> None:
    csms = await up(bench, "2.0.1", certificate_folder=bench.folder / "roots")
    pem = tls_pem()[1].decode()
    answer = await csms.call(call201.InstallCertificate(certificate_type="MORootCertificate", certificate=pem))
    assert answer.status == "Accepted"
    broken = await csms.call(call201.InstallCertificate(certificate_type="MORootCertificate", certificate="x"))
    assert broken.status == "Rejected"
    listed = await csms.call(call201.GetInstalledCertificateIds())
    (chain,) = listed.certificate_hash_data_chain
    assert chain["certificate_type"] == "MORootCertificate"
    none = await csms.call(call201.GetInstalledCertificateIds(certificate_type=["V2GRootCertificate"]))
    assert none.status == "NotFound"
    data = chain["certificate_hash_data"]
    assert (await csms.call(call201.DeleteCertificate(certificate_hash_data=data))).status == "Accepted"
    assert (await csms.call(call201.DeleteCertificate(certificate_hash_data=data))).status == "NotFound"


async def test_certificates_of_16_also_in_data_transfer(bench: Bench) -> None:
    csms = await up(bench, "1.6", certificate_folder=bench.folder / "roots")
    pem = tls_pem()[1].decode()
    native = call16.InstallCertificate(certificate_type="CentralSystemRootCertificate", certificate=pem)
    assert (await csms.call(native)).status == "Accepted"
    body = json.dumps({"certificateType": "V2GRootCertificate", "certificate": pem})
    wrapped = call16.DataTransfer(vendor_id=VENDOR_ID_16, message_id="InstallCertificate", data=body)
    answer = await csms.call(wrapped)
    assert (answer.status, json.loads(answer.data)) == ("Accepted", {"status": "Accepted"})
    listed = await csms.call(call16.GetInstalledCertificateIds(certificate_type="CentralSystemRootCertificate"))
    assert listed.status == "Accepted"
    assert len(listed.certificate_hash_data) == 1
    for message, data in (("InstallCertificate", "{"), ("InstallCertificate", "{}")):
        transfer = call16.DataTransfer(vendor_id=VENDOR_ID_16, message_id=message, data=data)
        assert (await csms.call(transfer)).status == "Rejected"
    unknown = call16.DataTransfer(vendor_id=VENDOR_ID_16, message_id="Frobnicate", data="{}")
    assert (await csms.call(unknown)).status == "UnknownMessageId"


class Owner:
    """Makes requests for its key and takes certificates."""

    def __init__(self, folder: Path) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.installed: list[tuple[str, str]] = []

    async def make_csr(self, kind: str) -> str:
        if kind == "V2GCertificate":
            raise RigError("no V2G key")
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "GW1")])
        request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(self.key, hashes.SHA256())
        return request.public_bytes(Encoding.PEM).decode()

    async def install(self, kind: str, chain: str) -> bool:
        self.installed.append((kind, chain))
        return True

    def certificate(self, key: ec.EllipticCurvePrivateKey) -> str:
        like = x509.load_pem_x509_certificate(tls_pem()[1])
        return (
            x509.CertificateBuilder()
            .subject_name(like.subject)
            .issuer_name(like.subject)
            .public_key(key.public_key())
            .serial_number(7)
            .not_valid_before(like.not_valid_before_utc)
            .not_valid_after(like.not_valid_after_utc)
            .sign(key, hashes.SHA256())
            .public_bytes(Encoding.PEM)
            .decode()
        )


async def test_a_certificate_is_asked_for_and_taken_only_for_the_own_key(bench: Bench) -> None:
    owner = Owner(bench.folder)
    csms = await up(bench, "2.0.1", StationHooks(make_csr=owner.make_csr, install=owner.install))
    unasked = await csms.call(call201.CertificateSigned(certificate_chain=owner.certificate(owner.key)))
    assert unasked.status == "Rejected"
    trigger = call201.TriggerMessage(requested_message="SignChargingStationCertificate")
    assert (await csms.call(trigger)).status == "Accepted"
    await csms.until(lambda: bool(csms.of("SignCertificate")))
    assert "PRIVATE" not in repr(csms.frames)
    wrong = owner.certificate(ec.generate_private_key(ec.SECP256R1()))
    assert (await csms.call(call201.CertificateSigned(certificate_chain=wrong))).status == "Rejected"
    assert (await csms.call(call201.CertificateSigned(certificate_chain=owner.certificate(owner.key)))).status == (
        "Accepted"
    )
    assert [kind for kind, _ in owner.installed] == ["ChargingStationCertificate"]
    trigger = call201.TriggerMessage(requested_message="SignV2GCertificate")
    assert (await csms.call(trigger)).status == "Accepted"
    assert "no V2G key" in str((await bench.until("ocpp.trouble")).data)
