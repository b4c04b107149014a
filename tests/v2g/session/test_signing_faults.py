"""Attacks on Plug & Charge: each is refused with its code, before anybody is asked whether the contract may charge."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from ports.errors import LocalError
from tests.v2g.session.pair import Pair
from tests.v2g.session.pki import make_pki
from tests.v2g.session.test_plug_and_charge import METER, station, vehicle
from v2g.certificates import public_key
from v2g.exi.codec import decode
from v2g.session.events import AuthorizationWanted, CertificateWanted, ReceiptReceived, Received, Refused
from v2g.session.fault import Fault, ReplaceField, ReverseList
from v2g.session.faults import FaultPlan, read_fault
from v2g.session.signing_faults import CONTRACT_FAULTS, OtherKey, Replay
from v2g.session.station_side import CERTIFICATE_SERVICE
from v2g.session.vehicle_side import VehicleState
from v2g.xmldsig import verify_message

REFUSALS = {
    "wrong challenge": ("AuthorizationReq", "FAILED_ChallengeInvalid"),
    "changed after signing": ("AuthorizationReq", "FAILED_SignatureError"),
    "spoiled digest": ("AuthorizationReq", "FAILED_SignatureError"),
    "another key": ("AuthorizationReq", "FAILED_SignatureError"),
    "no signature": ("AuthorizationReq", "FAILED_SignatureError"),
    "another EMAID": ("PaymentDetailsReq", "FAILED_NoCertificateAvailable"),
    "inverted chain": ("PaymentDetailsReq", "FAILED_CertChainError"),
    "sub-CAs left out": ("PaymentDetailsReq", "FAILED_CertChainError"),
    "unreadable certificate": ("PaymentDetailsReq", "FAILED_CertChainError"),
}


def pay(*faults: Fault, **more: Any) -> Pair:
    plan = FaultPlan(faults)
    pair = Pair(station(**more), vehicle(), tls=True, evcc={"hook": plan})
    pair.run()
    assert {fault for _, fault in plan.struck} == set(faults)
    return pair


@pytest.mark.parametrize("name", REFUSALS)
def test_an_attack_on_a_payment_is_refused_before_anybody_is_asked(name: str) -> None:
    pair = pay(CONTRACT_FAULTS[name])
    assert pair.refused() == [REFUSALS[name]]
    assert pair.found(AuthorizationWanted) == []
    assert pair.ended("station").outcome == pair.ended("vehicle").outcome == "failed"


@pytest.mark.parametrize("name", ["tampered receipt", "tampered receipt, signed"])
def test_a_tampered_receipt_is_refused(name: str) -> None:
    pair = pay(CONTRACT_FAULTS[name], meter=METER, receipt_required=True)
    assert pair.refused() == [("MeteringReceiptReq", "FAILED_MeteringSignatureNotValid")]
    (refused,) = pair.found(Refused, "station")
    assert refused.reason.startswith("the receipt is not for the reading that was shown: MeterReading 1, shown ")
    assert "b'" not in refused.reason
    assert pair.found(ReceiptReceived) == []


def test_a_wrong_challenge_is_signed_as_it_goes_out() -> None:
    """Only the challenge is wrong: a station that looked at the signature alone would take it."""
    pair = pay(CONTRACT_FAULTS["wrong challenge"])
    (message,) = [e.message for e in pair.found(Received, "station") if e.name == "AuthorizationReq"]
    assert message.Body.BodyElement.GenChallenge == b"\xa5" * 16
    verify_message(message, public_key(make_pki().contract.certificate))  # type: ignore[arg-type]


# installation requests


def install(plan: FaultPlan, session: int) -> Pair:
    """Ask for a contract that nobody sends, in a session with this id."""
    wants = VehicleState(payment="Contract", provisioning=make_pki().provisioned(), certificate_action="install")
    pair = Pair(station(services=(CERTIFICATE_SERVICE,)), wants, tls=True, evcc={"hook": plan})
    pair.secc.settings = replace(pair.secc.settings, random=lambda count: bytes([session]) * count)
    pair.run()
    return pair


def request_of(pair: Pair) -> Any:
    (found,) = [e for e in pair.found(Received, "station") if e.name == "CertificateInstallationReq"]
    return found


@pytest.mark.parametrize("given", [True, False])
def test_a_replayed_installation_request_belongs_to_another_session(given: bool) -> None:
    fault: Fault = CONTRACT_FAULTS["replayed installation"]
    plan = FaultPlan([fault])
    first = request_of(install(plan, 1))
    if given:
        plan = FaultPlan([Replay(message="CertificateInstallationReq", exi=first.octets.hex())])
    second = install(plan, 2)
    assert request_of(second).octets == first.octets
    assert second.refused() == [("CertificateInstallationReq", "FAILED_UnknownSession")]
    assert second.found(CertificateWanted) == []


def test_whoever_writes_the_session_id_of_now_into_it_passes_the_signature() -> None:
    """The header is not signed (ISO 15118-2 7.9.2.4): only the backend can tell, by the request that it knows."""
    plan = FaultPlan([CONTRACT_FAULTS["replayed installation in this session"]])
    first, second = request_of(install(plan, 1)), install(plan, 2)
    again = request_of(second)
    assert again.message.Header.SessionID == bytes([2]) * 8
    assert again.message.Header.Signature == first.message.Header.Signature
    assert len(second.found(CertificateWanted)) == 1


def test_an_installation_request_signed_by_another_key_reaches_no_backend() -> None:
    pair = install(FaultPlan([CONTRACT_FAULTS["installation signed by another key"]]), 1)
    assert pair.refused() == [("CertificateInstallationReq", "FAILED_SignatureError")]
    assert pair.found(CertificateWanted) == []


# the faults themselves


@pytest.mark.parametrize("name", CONTRACT_FAULTS)
def test_every_attack_can_stand_in_a_rig_file(name: str) -> None:
    fault = CONTRACT_FAULTS[name]
    assert read_fault(msgspec.to_builtins(fault)) == fault


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        (Replay(message="SessionSetupReq"), "there is no older one"),
        (OtherKey(message="SessionSetupReq"), "is not signed"),
        (ReverseList(message="SessionSetupReq", field="Body.BodyElement.EVCCID"), "is no list"),
        (ReverseList(message="SessionSetupReq", field="Body.BodyElement.Nothing"), "has no field"),
        (ReplaceField(message="AuthorizationReq", field="Body.BodyElement.No", sign=True), "has no field"),
        (ReplaceField(message="SessionSetupReq", field="Body.Nothing.EVCCID"), "has no field"),
        (ReplaceField(message="supportedAppProtocolReq", field="AppProtocol.9.Priority"), "has no field"),
        (ReplaceField(message="supportedAppProtocolReq", field="AppProtocol.9"), "has no field"),
    ],
)
def test_a_fault_that_cannot_strike_says_why(fault: Fault, text: str) -> None:
    with pytest.raises(LocalError, match=text):
        pay(fault)


def test_faults_strike_unsigned_messages_by_the_same_count() -> None:
    field = "Body.BodyElement.GenChallenge"
    other = ReplaceField(message="AuthorizationReq", nth=2, field=field, value="hex:00", sign=True)
    plan = FaultPlan([other])
    pair = Pair(station(), vehicle(), tls=True, evcc={"hook": plan})
    pair.run()
    assert plan.struck == []
    assert pair.ended("vehicle").outcome == "terminated"
    assert decode("iso2", request(pair)).Body.BodyElement.GenChallenge != b"\0"


def request(pair: Pair) -> bytes:
    return next(e.octets for e in pair.found(Received, "station") if e.name == "AuthorizationReq")
