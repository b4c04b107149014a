"""The test system: plays a vehicle, request by request, against our station's machine, in time of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from tests.v2g.session.pair import AutoStation, counting
from tests.v2g.session.pki import OTHER_EMAID, make_pki
from tests.v2g.test_certificates import NOW
from v2g.exi.codec import decode, encode
from v2g.exi.generated.iso2 import types as t
from v2g.exi.generated.xmldsig.types import X509IssuerSerialType
from v2g.session.events import CertificateWanted, Close, Ended, Event, PausedSession, Send
from v2g.session.handshake import offer
from v2g.session.secc import Secc, SeccSettings
from v2g.session.station_side import (
    CERTIFICATE_SERVICE,
    INTERNET_SERVICE,
    CertificateAnswer,
    MeterReport,
)
from v2g.signature_suites import P256, Sign, signer
from v2g.v2gtp import Frame, PayloadType, parse_frame
from v2g.xmldsig import sign_message

TERMINATION = 5.0  # par_CMN_TCP_Connection_Termination_Timeout
SEQUENCE = 60.0  # par_V2G_Sequence_Timeout
WRONG_SESSION = b"\xff" * 8
METER = MeterReport("MTR1", 1234, b"\x01" * 64, 0, 1_780_000_000)

AC_MODE, DC_MODE = "AC_three_phase_core", "DC_extended"
Change = Callable[[Any], None]


def physical(unit: Any, value: int, multiplier: int = 0) -> t.PhysicalValueType:
    """A PhysicalValueType."""
    return t.PhysicalValueType(Multiplier=multiplier, Unit=unit, Value=value)


class Tester:
    """One connection. charging: "AC" or "DC"; identification: "eim" or "pnc"; handling: "", "install" or "update"."""

    __test__ = False  # pytest: a helper, no test class

    def __init__(
        self,
        charging: str = "AC",
        identification: str = "eim",
        *,
        handling: str = "",
        details: bool = False,
        paused: PausedSession | None = None,
        settings: dict[str, Any] | None = None,
        station: dict[str, Any] | None = None,
    ) -> None:
        self.is_ac = charging == "AC"
        self.pnc = identification == "pnc"
        self.handling = handling
        self.details = details
        self.pki = make_pki()
        self.now = 0.0
        self.session_id = paused.session_id if paused else b"\0"
        self.station = AutoStation(
            **(
                {
                    "modes": (AC_MODE,) if self.is_ac else (DC_MODE,),
                    "payments": ("Contract",) if self.pnc else ("ExternalPayment",),
                    "services": (CERTIFICATE_SERVICE, INTERNET_SERVICE),
                    "contract_roots": self.pki.mo_roots,
                    "civil_time": NOW,
                    "pilot": "B",
                }
                | (station or {})
            )
        )
        self.secc = Secc(
            self.station,
            now=self.now,
            tls=self.pnc or details,
            settings=SeccSettings(random=counting(), **(settings or {})),
            paused=paused,
        )
        self.schema = "sap"
        self.events: list[Event] = []
        self.closed_at: float | None = None
        self.challenge = b""
        self.meter: Any = None
        self.schedule = 1
        self.profile = 4000
        self.keep_pilot = False
        self.contract = self.pki.credentials()

    # the wire

    def exchange(self, octets: bytes) -> Any:
        """Send a frame; the answer that came at once, or None."""
        answers: list[bytes] = []
        self._do(self.secc.receive(octets, self.now), answers)
        if not answers:
            return None
        (answer,) = answers
        return decode(self.schema, parse_frame(answer).payload)

    def _do(self, todo: list[Event], answers: list[bytes]) -> None:
        while todo:
            changed = False
            for event in todo:
                self.events.append(event)
                changed = self.station.follow(event) or changed
                if isinstance(event, Send):
                    answers.append(event.octets)
                elif isinstance(event, Close):
                    self.closed_at = self.now
                elif isinstance(event, CertificateWanted):
                    if self.station.certificate_answer is None:
                        kind = "CertificateInstallationRes" if event.action == "install" else "CertificateUpdateRes"
                        self.station.certificate_answer = CertificateAnswer(
                            self.pki.installation(kind, self.secc.session_id)
                        )
                    changed = True
            todo = self.secc.update(self.now) if changed and self.secc.pending is not None else []

    def wait(self, seconds: float) -> list[Any]:
        """Let time pass; the answers that came meanwhile."""
        end = self.now + seconds
        answers: list[bytes] = []
        while self.closed_at is None and (at := self.secc.deadline) is not None and at <= end:
            self.now = max(self.now, at)
            self._do(self.secc.update(self.now), answers)
        self.now = end
        return [decode(self.schema, parse_frame(octets).payload) for octets in answers]

    def changed(self) -> None:
        """Tell the machine that something at the station changed."""
        self._do(self.secc.update(self.now), [])

    # requests

    def send(self, name: str, change: Change | None = None, *, session: bytes | None = None, sign: Any = None) -> Any:
        """Send a request; its answer's body. change: done to the body before it is signed. sign: another key."""
        if name == "supportedAppProtocolReq":
            request: Any = offer(["iso2"])
            if change:
                change(request)
            answer = self.exchange(bytes(Frame(PayloadType.EXI, encode(request, check=False))))
            if answer is not None and answer.ResponseCode.startswith("OK"):
                self.schema = "iso2"
            return answer
        self._pilot(name)
        return self.send_message(name, self.message(name, change, session=session, sign=sign))

    def send_message(self, name: str, message: Any) -> Any:
        """Send a finished message; its answer's body."""
        answer = self.exchange(bytes(Frame(PayloadType.EXI, encode(message, check=False))))
        if answer is None:
            return None
        return self._learn(name, answer)

    def message(
        self, name: str, change: Change | None = None, *, session: bytes | None = None, sign: Any = None
    ) -> Any:
        """A request, signed where the standard wants it."""
        body = self._body(name)
        if change:
            change(body)
        header = t.MessageHeaderType(SessionID=self.session_id if session is None else session)
        message = t.V2G_Message(Header=header, Body=t.BodyType(BodyElement=body))
        key = sign or self._signer(name)
        if key is not None:
            sign_message(message, key, P256)
        return message

    def _pilot(self, name: str) -> None:
        if name in ("CableCheckReq", "PowerDeliveryReq Start"):
            self.station.pilot = "B" if self.keep_pilot else "C"
        elif name in ("WeldingDetectionReq", "SessionStopReq") and not self.keep_pilot:
            self.station.pilot = "B"

    def _learn(self, name: str, answer: Any) -> Any:
        body = answer.Body.BodyElement
        if name == "SessionSetupReq":
            self.session_id = answer.Header.SessionID
        if name.startswith("Certificate") and body.ResponseCode.startswith("OK"):
            self.contract = self.pki.credentials(self.pki.new_contract, OTHER_EMAID)
        if name == "PaymentDetailsReq":
            self.challenge = body.GenChallenge
        if name == "AuthorizationReq":
            self.challenge = b""
        if getattr(body, "MeterInfo", None) is not None:
            self.meter = body.MeterInfo
        return body

    def _signer(self, name: str) -> Sign | None:
        if name == "CertificateInstallationReq":
            return signer(self.pki.provisioning.key)
        if name in ("CertificateUpdateReq", "MeteringReceiptReq") or (name == "AuthorizationReq" and self.challenge):
            return self.contract.sign
        return None

    def _body(self, name: str) -> Any:
        kind, _, what = name.partition(" ")
        build = getattr(self, f"_{kind}", None)
        if build is None:
            return getattr(t, f"{kind}Type")()
        return build(what) if what else build()

    def _SessionSetupReq(self) -> Any:  # noqa: N802 - named after the message
        return t.SessionSetupReqType(EVCCID=bytes.fromhex("020000000001"))

    def _ServiceDetailReq(self, number: str = "3") -> Any:  # noqa: N802
        return t.ServiceDetailReqType(ServiceID=int(number))

    def _PaymentServiceSelectionReq(self) -> Any:  # noqa: N802
        services = [t.SelectedServiceType(ServiceID=1)]
        if self.handling:
            number = {"install": 1, "update": 2}[self.handling]
            services.append(t.SelectedServiceType(ServiceID=2, ParameterSetID=number))
        return t.PaymentServiceSelectionReqType(
            SelectedPaymentOption="Contract" if self.pnc else "ExternalPayment",
            SelectedServiceList=t.SelectedServiceListType(SelectedService=services),
        )

    def chain(self) -> Any:
        """ContractSignatureCertChain."""
        leaf, *others = self.contract.certificates
        return t.CertificateChainType(
            Certificate=leaf, SubCertificates=t.SubCertificatesType(Certificate=list(others)) if others else None
        )

    @staticmethod
    def roots() -> Any:
        """ListOfRootCertificateIDs."""
        one = X509IssuerSerialType(X509IssuerName="CN=V2G Root", X509SerialNumber=1)
        return t.ListOfRootCertificateIDsType(RootCertificateID=[one])

    def _CertificateInstallationReq(self) -> Any:  # noqa: N802
        return t.CertificateInstallationReqType(
            Id="id1", OEMProvisioningCert=self.pki.provisioning.der, ListOfRootCertificateIDs=self.roots()
        )

    def _CertificateUpdateReq(self) -> Any:  # noqa: N802
        return t.CertificateUpdateReqType(
            Id="id1",
            ContractSignatureCertChain=self.chain(),
            eMAID=self.contract.emaid,
            ListOfRootCertificateIDs=self.roots(),
        )

    def _PaymentDetailsReq(self) -> Any:  # noqa: N802
        return t.PaymentDetailsReqType(eMAID=self.contract.emaid, ContractSignatureCertChain=self.chain())

    def _AuthorizationReq(self) -> Any:  # noqa: N802
        if not self.challenge:
            return t.AuthorizationReqType()
        return t.AuthorizationReqType(Id="id1", GenChallenge=self.challenge)

    def _ChargeParameterDiscoveryReq(self) -> Any:  # noqa: N802
        if self.is_ac:
            parameters: Any = t.AC_EVChargeParameterType(
                EAmount=physical("Wh", 20000),
                EVMaxVoltage=physical("V", 400),
                EVMaxCurrent=physical("A", 32),
                EVMinCurrent=physical("A", 6),
            )
        else:
            parameters = t.DC_EVChargeParameterType(
                DC_EVStatus=self.dc_status(),
                EVMaximumCurrentLimit=physical("A", 100),
                EVMaximumPowerLimit=physical("W", 20000),
                EVMaximumVoltageLimit=physical("V", 400),
            )
        mode: Any = AC_MODE if self.is_ac else DC_MODE
        return t.ChargeParameterDiscoveryReqType(RequestedEnergyTransferMode=mode, EVChargeParameter=parameters)

    @staticmethod
    def dc_status() -> t.DC_EVStatusType:
        """DC_EVStatus."""
        return t.DC_EVStatusType(EVReady=True, EVErrorCode="NO_ERROR", EVRESSSOC=50)

    def _CableCheckReq(self) -> Any:  # noqa: N802
        return t.CableCheckReqType(DC_EVStatus=self.dc_status())

    def _PreChargeReq(self) -> Any:  # noqa: N802
        return t.PreChargeReqType(
            DC_EVStatus=self.dc_status(), EVTargetVoltage=physical("V", 400), EVTargetCurrent=physical("A", 1)
        )

    def _PowerDeliveryReq(self, progress: Any) -> Any:  # noqa: N802
        entry = t.ProfileEntryType(
            ChargingProfileEntryStart=0, ChargingProfileEntryMaxPower=physical("W", self.profile)
        )
        return t.PowerDeliveryReqType(
            ChargeProgress=progress,
            SAScheduleTupleID=self.schedule,
            ChargingProfile=t.ChargingProfileType(ProfileEntry=[entry]) if progress == "Start" else None,
            EVPowerDeliveryParameter=None
            if self.is_ac
            else t.DC_EVPowerDeliveryParameterType(DC_EVStatus=self.dc_status(), ChargingComplete=False),
        )

    def _CurrentDemandReq(self) -> Any:  # noqa: N802
        return t.CurrentDemandReqType(
            DC_EVStatus=self.dc_status(),
            EVTargetCurrent=physical("A", 50),
            ChargingComplete=False,
            EVTargetVoltage=physical("V", 400),
        )

    def _MeteringReceiptReq(self) -> Any:  # noqa: N802
        return t.MeteringReceiptReqType(
            Id="id1", SessionID=self.session_id, SAScheduleTupleID=self.schedule, MeterInfo=self.meter
        )

    def _WeldingDetectionReq(self) -> Any:  # noqa: N802
        return t.WeldingDetectionReqType(DC_EVStatus=self.dc_status())

    def _SessionStopReq(self, what: Any = "Terminate") -> Any:  # noqa: N802
        return t.SessionStopReqType(ChargingSession=what)

    # the good case

    @property
    def loop(self) -> str:
        """The request of the charging loop."""
        return "ChargingStatusReq" if self.is_ac else "CurrentDemandReq"

    def route(self) -> Iterator[str]:
        """Requests of a whole session, in order."""
        yield from ("supportedAppProtocolReq", "SessionSetupReq", "ServiceDiscoveryReq")
        if self.details:
            yield "ServiceDetailReq"
        yield "PaymentServiceSelectionReq"
        if self.handling:
            yield {"install": "CertificateInstallationReq", "update": "CertificateUpdateReq"}[self.handling]
        if self.pnc:
            yield "PaymentDetailsReq"
        yield from ("AuthorizationReq", "ChargeParameterDiscoveryReq")
        if not self.is_ac:
            yield from ("CableCheckReq", "PreChargeReq")
        yield from ("PowerDeliveryReq Start", self.loop)
        if self.pnc and self.station.receipt_required:
            yield "MeteringReceiptReq"
        yield "PowerDeliveryReq Stop"
        if not self.is_ac:
            yield "WeldingDetectionReq"
        yield "SessionStopReq"

    def reach(self, name: str) -> Tester:
        """The good case up to the request `name`, which is not sent. It repeats while the station says Ongoing."""
        for request in self.route():
            if request == name:
                return self
            self.good(request)
        raise AssertionError(f"{name} is not in the route {list(self.route())}")

    def good(self, request: str, change: Change | None = None) -> Any:
        """A request that has to be answered OK and, in the end, Finished."""
        answer = self.send(request, change)
        assert answer is not None, request
        assert answer.ResponseCode.startswith("OK"), (request, answer.ResponseCode)
        while getattr(answer, "EVSEProcessing", "Finished") != "Finished":
            self.wait(0.2)
            answer = self.send(request)
            assert answer.ResponseCode == "OK", request
        return answer

    def renegotiate(self) -> Tester:
        """From the loop into a renegotiation."""
        self.reach("PowerDeliveryReq Stop").good("PowerDeliveryReq Renegotiate")
        self.station.schedules = None
        return self

    def pause(self) -> PausedSession:
        """A whole session that ends in a pause; what the station keeps."""
        self.reach("SessionStopReq").good("SessionStopReq Pause")
        (ended,) = [event for event in self.events if isinstance(event, Ended)]
        assert ended.paused is not None
        return ended.paused
