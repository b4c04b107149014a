"""From the SDP to the payment: families whose cases are common to AC and DC."""

from __future__ import annotations

from typing import Any

from tests.conformance.case import rows
from tests.conformance.link_cases import sdp_answer, sdp_ignored, setup_frame, setup_ignored
from tests.conformance.stimuli import bad, good, instead, setup_timeout, silence, silence_before_setup, unknown_session
from tests.conformance.tester import Tester
from v2g.link.sdp_server import TlsPolicy
from v2g.sdp import Security
from v2g.session.station_side import CERTIFICATE_SERVICE_ID, INTERNET_SERVICE_ID

SDP_SERVER_STAYS = "the SDP server answers as long as the station is up: the next vehicle may come at any time"
SAME_WAKE_UP = "differs only in who wakes whom by the pilot: on this level the stimulus of the case with B-C-B"


def eim() -> Tester:
    """External payment, TCP, no services."""
    return Tester(station={"services": ()})


def eim_details() -> Tester:
    """External payment over TLS, with services and their details."""
    return Tester(details=True)


def pnc_details() -> Tester:
    """Contract, with services and their details."""
    return Tester(identification="pnc", details=True)


def _handshake(tester: Tester, code: str, **fields: Any) -> None:
    def change(request: Any) -> None:
        for field, value in fields.items():
            setattr(request.AppProtocol[0], field, value)

    answer = tester.send("supportedAppProtocolReq", change)
    assert answer.ResponseCode == code
    if code.startswith("Failed"):
        assert answer.SchemaID is None
        tester.wait(5.0)
        assert tester.closed_at is not None
    else:
        assert answer.SchemaID == 1


def _setup(tester: Tester) -> None:
    answer = good(tester, "SessionSetupReq", code="OK_NewSessionEstablished")
    assert len(tester.session_id) == 8
    assert any(tester.session_id)
    assert tester.station.evse_id == answer.EVSEID


def _rejoin(charging: str, identifier: bytes | None, code: str) -> None:
    """identifier: of the new SessionSetupReq; None is the previous one."""
    paused = Tester(charging).pause()
    tester = Tester(charging, paused=paused)
    if identifier is not None:
        tester.session_id = identifier
    good(tester, "SessionSetupReq", code=code)
    assert (tester.session_id == paused.session_id) is (code == "OK_OldSessionJoined")


def _rejoined_discovery(charging: str) -> None:
    both = {"payments": ("ExternalPayment", "Contract"), "services": ()}
    modes = {"AC": ("AC_single_phase_core", "AC_three_phase_core"), "DC": ("DC_core", "DC_extended")}[charging]
    paused = Tester(charging, station={"modes": modes}).pause()
    answer = good(Tester(charging, paused=paused, station={"modes": modes, **both}), "ServiceDiscoveryReq")
    assert answer.PaymentOptionList.PaymentOption == [paused.payment]
    assert answer.ChargeService.SupportedEnergyTransferMode.EnergyTransferMode == [paused.mode] == [modes[1]]


def _discovery() -> None:
    answer = good(eim(), "ServiceDiscoveryReq")
    assert answer.PaymentOptionList.PaymentOption == ["ExternalPayment"]
    assert answer.ChargeService.SupportedEnergyTransferMode.EnergyTransferMode == ["AC_three_phase_core"]


def _details(tester: Tester, *services: int) -> None:
    """Details of services, one after the other."""
    tester.reach("ServiceDetailReq")
    for service in services:
        answer = tester.good(f"ServiceDetailReq {service}")
        assert answer.ServiceID == service
        assert [s.ParameterSetID for s in answer.ServiceParameterList.ParameterSet] == {
            CERTIFICATE_SERVICE_ID: [1, 2],
            INTERNET_SERVICE_ID: [1, 2, 3, 4],
        }[service]


def _service(number: int) -> Any:
    def change(request: Any) -> None:
        request.ServiceID = number

    return change


def _selected(number: int) -> Any:
    def change(request: Any) -> None:
        request.SelectedServiceList.SelectedService[-1].ServiceID = number

    return change


def _second(number: int) -> Any:
    def change(request: Any) -> None:
        first = request.SelectedServiceList.SelectedService[0]
        request.SelectedServiceList.SelectedService.append(type(first)(ServiceID=number))

    return change


def _payment(option: str) -> Any:
    def change(request: Any) -> None:
        request.SelectedPaymentOption = option

    return change


PSS = "PaymentServiceSelectionReq"

CASES = (
    *rows(
        "CMN",
        "SDP",
        {
            1: lambda: sdp_answer(TlsPolicy.OFF, Security.NONE, Security.NONE),
            2: lambda: sdp_answer(TlsPolicy.OFFERED, Security.TLS, Security.TLS),
            3: lambda: sdp_answer(TlsPolicy.REQUIRED, Security.TLS, Security.TLS),
            4: SDP_SERVER_STAYS,
            5: SDP_SERVER_STAYS,
            6: SDP_SERVER_STAYS,
            7: lambda: sdp_answer(TlsPolicy.OFF, Security.TLS, Security.NONE),
        },
    ),
    *rows(
        "CMN",
        "V2GTPSDP",
        {
            1: lambda: sdp_answer(TlsPolicy.OFF, Security.NONE, Security.NONE),
            2: lambda: sdp_ignored(length=0),
            3: lambda: sdp_ignored(payload_type=0x7000),
            4: lambda: sdp_ignored(version=0xFF),
            5: lambda: sdp_ignored(inverse=0xFF),
        },
    ),
    *rows(
        "CMN",
        "V2GTPSessionSetup",
        {
            1: setup_frame,
            2: lambda: setup_ignored(length=0),
            3: lambda: setup_ignored(payload_type=0x7001, length=0),
            4: lambda: setup_ignored(version=0xFF, length=0),
            5: lambda: setup_ignored(inverse=0xFF, length=0),
        },
    ),
    *rows(
        "CMN",
        "SupportedAppProtocol",
        {
            1: lambda: _handshake(eim_details(), "OK_SuccessfulNegotiation"),
            2: lambda: _handshake(eim(), "Failed_NoNegotiation", ProtocolNamespace="urn:iso:15118:2:2099:MsgDef"),
            3: lambda: silence_before_setup(eim(), "supportedAppProtocolReq"),
            4: lambda: _handshake(eim(), "OK_SuccessfulNegotiation"),
            5: "how long the TCP server listens after SDP is the link's matter; it stays up for the next vehicle",
            6: lambda: _handshake(eim(), "OK_SuccessfulNegotiationWithMinorDeviation", VersionNumberMinor=9),
        },
    ),
    *rows(
        "CMN",
        "SessionSetup",
        {
            1: lambda: _setup(eim()),
            2: lambda: instead(eim(), "SessionSetupReq"),
            3: lambda: silence_before_setup(eim(), "SessionSetupReq"),
            4: lambda: setup_timeout(eim(), "SessionSetupReq"),
        },
    ),
    *rows(
        "AC",
        "SessionSetup",
        {
            1: lambda: _rejoin("AC", None, "OK_OldSessionJoined"),
            2: lambda: _rejoin("AC", b"\x11" * 8, "OK_NewSessionEstablished"),
            3: lambda: _rejoin("AC", bytes(8), "OK_NewSessionEstablished"),
            4: SAME_WAKE_UP,
            5: SAME_WAKE_UP,
            6: SAME_WAKE_UP,
        },
    ),
    *rows(
        "DC",
        "SessionSetup",
        {
            1: lambda: _rejoin("DC", None, "OK_OldSessionJoined"),
            2: lambda: _rejoin("DC", b"\x11" * 8, "OK_NewSessionEstablished"),
            3: lambda: _rejoin("DC", bytes(8), "OK_NewSessionEstablished"),
            4: SAME_WAKE_UP,
            5: SAME_WAKE_UP,
            6: SAME_WAKE_UP,
        },
    ),
    *rows(
        "CMN",
        "ServiceDiscovery",
        {
            1: _discovery,
            2: lambda: instead(eim(), "ServiceDiscoveryReq", "AuthorizationReq"),
            3: lambda: unknown_session(eim(), "ServiceDiscoveryReq"),
            4: lambda: silence(eim(), "ServiceDiscoveryReq"),
        },
    ),
    *rows("AC", "ServiceDiscovery", {1: lambda: _rejoined_discovery("AC"), 2: SAME_WAKE_UP}),
    *rows("DC", "ServiceDiscovery", {1: lambda: _rejoined_discovery("DC"), 2: SAME_WAKE_UP}),
    *rows(
        "CMN",
        "ServiceDetail",
        {
            1: lambda: _details(eim_details(), CERTIFICATE_SERVICE_ID),
            2: lambda: _details(pnc_details(), CERTIFICATE_SERVICE_ID),
            3: lambda: instead(eim_details(), "ServiceDetailReq"),
            4: lambda: instead(pnc_details(), "ServiceDetailReq"),
            5: lambda: unknown_session(eim_details(), "ServiceDetailReq"),
            6: lambda: unknown_session(pnc_details(), "ServiceDetailReq"),
            7: lambda: bad(eim_details(), "ServiceDetailReq", _service(99), "FAILED_ServiceIDInvalid"),
            8: lambda: bad(pnc_details(), "ServiceDetailReq", _service(99), "FAILED_ServiceIDInvalid"),
            9: lambda: silence(eim_details(), "ServiceDetailReq"),
            10: lambda: silence(pnc_details(), "ServiceDetailReq"),
            11: lambda: _details(eim_details(), INTERNET_SERVICE_ID),
            12: lambda: _details(pnc_details(), INTERNET_SERVICE_ID, CERTIFICATE_SERVICE_ID),
        },
    ),
    *rows(
        "CMN",
        "PaymentServiceSelection",
        {
            1: lambda: good(eim(), PSS),
            2: lambda: good(eim_details(), PSS),
            3: lambda: good(pnc_details(), PSS),
            4: lambda: instead(eim_details(), PSS),
            5: lambda: unknown_session(eim_details(), PSS),
            6: lambda: bad(eim_details(), PSS, _second(99), "FAILED_ServiceSelectionInvalid"),
            7: lambda: bad(eim_details(), PSS, _selected(INTERNET_SERVICE_ID), "FAILED_NoChargeServiceSelected"),
            8: lambda: silence(eim_details(), PSS),
            9: lambda: bad(eim_details(), PSS, _payment("Contract"), "FAILED_PaymentSelectionInvalid"),
            10: lambda: bad(pnc_details(), PSS, _payment("ExternalPayment"), "FAILED_PaymentSelectionInvalid"),
        },
    ),
)
