"""The messages of a station of ISO 15118-2: what it answers to each request."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from v2g.certificate_profiles import Role
from v2g.certificates import CertificateError, load, problems_of, public_key
from v2g.exi.codec import decode
from v2g.exi.errors import ExiError
from v2g.exi.generated.iso2 import types
from v2g.session.charge_limits import check_parameters
from v2g.session.contract import expires_soon, read_contract
from v2g.session.dc_station import NOT_CHARGING, DcStation
from v2g.session.events import (
    AuthorizationWanted,
    CertificateWanted,
    ParametersWanted,
    PausedSession,
    PaymentSelected,
    ReceiptReceived,
    SessionStarted,
)
from v2g.session.iso2_refusals import REFUSALS
from v2g.session.iso2_station_table import ISO2_STATION
from v2g.session.physical import number
from v2g.session.refusal import Answer, Refusal
from v2g.session.schedules import check_profile, chosen, shortened, with_paused
from v2g.session.station_side import CERTIFICATE_SERVICE_ID, CHARGE_SERVICE_ID, Service
from v2g.signature_suites import ISO2_SUITES
from v2g.xmldsig import SignatureError, verify_message

if TYPE_CHECKING:
    from v2g.session.secc import Secc

Handler = Callable[[Any, Any, float], Answer | None]
CHALLENGE_OCTETS = 16  # [V2G2-697]


class Iso2Station(DcStation):
    """Answers for one session."""

    schema = "iso2"
    table = ISO2_STATION
    types = types

    def __init__(self, secc: Secc) -> None:
        super().__init__(secc)
        self._handlers: dict[str, Handler] = {
            "SessionSetupReq": self.session_setup,
            "ServiceDiscoveryReq": self.service_discovery,
            "ServiceDetailReq": self.service_detail,
            "PaymentServiceSelectionReq": self.payment_service_selection,
            "CertificateInstallationReq": self.certificate_installation,
            "CertificateUpdateReq": self.certificate_update,
            "PaymentDetailsReq": self.payment_details,
            "AuthorizationReq": self.authorization,
            "ChargeParameterDiscoveryReq": self.charge_parameter_discovery,
            "CableCheckReq": self.cable_check,
            "PreChargeReq": self.pre_charge,
            "PowerDeliveryReq": self.power_delivery,
            "ChargingStatusReq": self.charging_status,
            "CurrentDemandReq": self.current_demand,
            "MeteringReceiptReq": self.metering_receipt,
            "WeldingDetectionReq": self.welding_detection,
            "SessionStopReq": self.session_stop,
        }

    def answer(self, name: str, request: Any, message: Any, now: float) -> Answer | None:
        """See `secc.Messages`."""
        return self._handlers[name](request, message, now)

    def refuse(self, name: str, request: Any, code: str) -> Any:
        """See `secc.Messages`: mandatory fields only ([V2G2-736])."""
        return REFUSALS[name](self, request, code) if name in REFUSALS else None

    def wrap(self, answer: Answer, session_id: bytes) -> types.V2G_Message:
        """See `secc.Messages`."""
        return types.V2G_Message(
            Header=types.MessageHeaderType(SessionID=session_id or bytes(8), Signature=answer.signature),
            Body=types.BodyType(BodyElement=answer.body),
        )

    # -- from the start of a session to its parameters

    def session_setup(self, request: Any, message: Any, now: float) -> Answer | None:  # noqa: ARG002
        secc = self.secc
        secc.session_id, resumed = self.session_id_for(message.Header.SessionID)
        secc.facts.resumed = resumed
        secc.facts.evcc_id = request.EVCCID
        secc.emit(SessionStarted(secc.session_id, request.EVCCID, resumed))
        return Answer(
            "SessionSetupRes",
            types.SessionSetupResType(
                ResponseCode="OK_OldSessionJoined" if resumed else "OK_NewSessionEstablished",
                EVSEID=secc.station.evse_id,
                EVSETimeStamp=self.unix_time(),
            ),
        )

    def offered_payments(self) -> list[Any]:
        """Contract only over TLS ([V2G2-634]); in a session joined again what was chosen before ([V2G2-741])."""
        paused = self.paused
        if paused is not None and (paused.payment != "Contract" or self.secc.tls):
            return [paused.payment]
        return [p for p in self.secc.station.payments if p != "Contract" or self.secc.tls] or ["ExternalPayment"]

    @property
    def paused(self) -> PausedSession | None:
        """The session that this one goes on with."""
        return self.secc.paused if self.secc.facts.resumed else None

    def offered_services(self) -> list[Service]:
        """The certificate service only over TLS."""
        return [s for s in self.secc.station.services if s.id != CERTIFICATE_SERVICE_ID or self.secc.tls]

    def charge_service(self) -> types.ChargeServiceType:
        """ChargeService of ServiceDiscoveryRes."""
        modes: list[Any] = [self.paused.mode] if self.paused and self.paused.mode else list(self.secc.station.modes)
        return types.ChargeServiceType(
            ServiceID=CHARGE_SERVICE_ID,
            ServiceCategory="EVCharging",
            FreeService=self.secc.station.free,
            SupportedEnergyTransferMode=types.SupportedEnergyTransferModeType(EnergyTransferMode=modes),
        )

    def service_discovery(self, request: Any, message: Any, now: float) -> Answer | None:  # noqa: ARG002
        facts = self.secc.facts
        services = [
            service
            for service in self.offered_services()
            if request.ServiceCategory in (None, service.category) and request.ServiceScope in (None, "", service.scope)
        ]
        facts.offered_payments = tuple(self.offered_payments())
        facts.offered_services = tuple(service.id for service in self.offered_services())
        listed = [
            types.ServiceType(
                ServiceID=service.id,
                ServiceName=service.name,
                ServiceCategory=service.category,  # type: ignore[arg-type]
                ServiceScope=service.scope,
                FreeService=service.free,
            )
            for service in services
        ]
        body = types.ServiceDiscoveryResType(
            ResponseCode="OK",
            PaymentOptionList=types.PaymentOptionListType(PaymentOption=self.offered_payments()),
            ChargeService=self.charge_service(),
            ServiceList=types.ServiceListType(Service=listed) if listed else None,
        )
        return Answer("ServiceDiscoveryRes", body)

    def service_detail(self, request: Any, message: Any, now: float) -> Answer | None:  # noqa: ARG002
        service = next((s for s in self.offered_services() if s.id == request.ServiceID), None)
        if service is None and request.ServiceID != CHARGE_SERVICE_ID:
            raise Refusal("FAILED_ServiceIDInvalid", f"service {request.ServiceID} is not offered")  # [V2G2-425]
        sets = [
            types.ParameterSetType(
                ParameterSetID=identifier,
                Parameter=[_parameter(name, value) for name, value in parameters.items()],
            )
            for identifier, parameters in (service.parameter_sets if service else {}).items()
        ]
        body = types.ServiceDetailResType(
            ResponseCode="OK",
            ServiceID=request.ServiceID,
            ServiceParameterList=types.ServiceParameterListType(ParameterSet=sets) if sets else None,
        )
        return Answer("ServiceDetailRes", body)

    def payment_service_selection(self, request: Any, message: Any, now: float) -> Answer | None:  # noqa: ARG002
        facts = self.secc.facts
        payment = request.SelectedPaymentOption
        if payment not in facts.offered_payments:
            raise Refusal("FAILED_PaymentSelectionInvalid", f"{payment} is not offered")  # [V2G2-465]
        selected = [(s.ServiceID, s.ParameterSetID) for s in request.SelectedServiceList.SelectedService]
        offered = {service.id: service for service in self.offered_services()}
        for identifier, parameters in selected:
            if identifier == CHARGE_SERVICE_ID:
                continue
            if identifier not in offered:
                raise Refusal("FAILED_ServiceSelectionInvalid", f"service {identifier} is not offered")  # [V2G2-467]
            if parameters is not None and parameters not in offered[identifier].parameter_sets:
                text = f"service {identifier} has no parameter set {parameters}"
                raise Refusal("FAILED_ServiceSelectionInvalid", text)
        if CHARGE_SERVICE_ID not in dict(selected):
            raise Refusal("FAILED_NoChargeServiceSelected", "the charge service is not among those selected")
        facts.payment = payment
        facts.services = tuple(pair for pair in selected if pair[0] != CHARGE_SERVICE_ID)
        self.secc.emit(PaymentSelected(payment, facts.services))
        outcome = "contract" if payment == "Contract" else "external payment"
        return Answer("PaymentServiceSelectionRes", types.PaymentServiceSelectionResType(ResponseCode="OK"), outcome)

    def certificate_installation(self, request: Any, message: Any, now: float) -> Answer | None:  # noqa: ARG002
        return self._fetch_certificate("install", request.OEMProvisioningCert, message)

    def certificate_update(self, request: Any, message: Any, now: float) -> Answer | None:  # noqa: ARG002
        if not self.secc.facts.certificate_wanted:
            side, settings = self.secc.station, self.secc.settings
            chain = request.ContractSignatureCertChain
            read_contract(
                chain,
                request.eMAID,
                side.contract_roots,
                settings.contract_profile,
                side.civil_time,
                settings.forbidden_attributes,
            )
        return self._fetch_certificate("update", request.ContractSignatureCertChain.Certificate, message)

    def _fetch_certificate(self, action: str, signer: bytes, message: Any) -> Answer | None:
        """Verify the request's signature, have the backend asked, and hand its answer on as it was signed."""
        secc = self.secc
        pending = secc.pending
        if not secc.facts.certificate_wanted and pending is not None:
            try:
                certificate = load(signer)
                verify_message(message, public_key(certificate), ISO2_SUITES)  # type: ignore[arg-type]
            except CertificateError as error:
                raise Refusal("FAILED_CertChainError", str(error)) from error
            except SignatureError as error:
                raise Refusal("FAILED_SignatureError", str(error)) from error
            at, profile = secc.station.civil_time, secc.settings.provisioning_profile
            if at is not None and at > certificate.not_valid_after:
                raise Refusal("FAILED_CertificateExpired", f"expired {certificate.not_valid_after}")
            if profile and action == "install" and (bad := problems_of(certificate, Role.OEM_PROVISIONING, profile)):
                raise Refusal("FAILED_NoCertificateAvailable", "; ".join(map(str, bad)))
            secc.facts.certificate_wanted = True
            secc.emit(CertificateWanted(action, pending.exi, pending.deadline))
        found = secc.station.certificate_answer
        if found is None:
            return None
        if found.exi is None:
            raise Refusal(found.code, "the backend refused")
        kind = "CertificateInstallationRes" if action == "install" else "CertificateUpdateRes"
        try:
            received: Any = decode("iso2", found.exi)
        except ExiError as error:
            raise Refusal("FAILED", f"the backend's answer cannot be read: {error}") from error
        body = received.Body.BodyElement
        if type(body).__name__ != f"{kind}Type":
            raise Refusal("FAILED", f"the backend answered with {type(body).__name__}, expected {kind}")
        return Answer(kind, body, signature=received.Header.Signature)

    def payment_details(self, request: Any, message: Any, now: float) -> Answer | None:  # noqa: ARG002
        secc, facts, side = self.secc, self.secc.facts, self.secc.station
        settings = secc.settings
        facts.contract = read_contract(
            request.ContractSignatureCertChain,
            request.eMAID,
            side.contract_roots,
            settings.contract_profile,
            side.civil_time,
            settings.forbidden_attributes,
        )
        facts.emaid = request.eMAID
        facts.challenge = secc.random(CHALLENGE_OCTETS)
        soon = expires_soon(facts.contract, side.civil_time, settings.expires_soon)
        body = types.PaymentDetailsResType(
            ResponseCode="OK_CertificateExpiresSoon" if soon else "OK",
            GenChallenge=facts.challenge,
            EVSETimeStamp=self.unix_time() or 0,
        )
        return Answer("PaymentDetailsRes", body)

    def authorization(self, request: Any, message: Any, now: float) -> Answer | None:
        secc, facts = self.secc, self.secc.facts
        contract = facts.contract if facts.payment == "Contract" else None
        if not facts.authorization_wanted:
            if contract is not None:  # the first request only ([V2G2-684])
                if request.GenChallenge != facts.challenge:
                    raise Refusal("FAILED_ChallengeInvalid", "GenChallenge is not the one of PaymentDetailsRes")
                try:
                    verify_message(message, contract.key, ISO2_SUITES)  # type: ignore[arg-type]
                except SignatureError as error:
                    raise Refusal("FAILED_SignatureError", str(error)) from error
            facts.authorization_wanted = True
            facts.ongoing_since = now
            certificates = contract.certificates if contract else ()
            secc.emit(AuthorizationWanted(facts.payment, facts.emaid, certificates))
        code = secc.station.authorization
        if code is None:
            settings = secc.settings
            self._check_ongoing(
                now, settings.ongoing_timeout if contract else settings.customer_timeout, "authorization"
            )
            waiting: Any = "Ongoing" if contract else "Ongoing_WaitingForCustomerInteraction"  # [V2G2-854]
            return Answer(
                "AuthorizationRes", types.AuthorizationResType(ResponseCode="OK", EVSEProcessing=waiting), "ongoing"
            )
        if code != "OK":
            raise Refusal(code, "the authorization was refused")
        facts.ongoing_since = None
        return Answer(
            "AuthorizationRes", types.AuthorizationResType(ResponseCode="OK", EVSEProcessing="Finished"), "finished"
        )

    def _check_ongoing(self, now: float, limit: float | None, what: str) -> None:
        """A vehicle waits 60 s at most, unless it waits for its driver."""
        since = self.secc.facts.ongoing_since
        if since is not None and limit is not None and now - since > limit:
            raise Refusal("FAILED", f"{what} took longer than {limit:g} s")

    def charge_parameter_discovery(self, request: Any, message: Any, now: float) -> Answer | None:  # noqa: ARG002
        secc, facts, side = self.secc, self.secc.facts, self.secc.station
        mode, parameters = request.RequestedEnergyTransferMode, request.EVChargeParameter
        is_ac = mode.startswith("AC")
        if mode not in side.modes or (facts.started and is_ac != facts.mode.startswith("AC")):
            raise Refusal("FAILED_WrongEnergyTransferMode", f"{mode} is not offered")  # [V2G2-476]
        if not isinstance(parameters, types.AC_EVChargeParameterType if is_ac else types.DC_EVChargeParameterType):
            raise Refusal("FAILED_WrongChargeParameter", f"{type(parameters).__name__} with {mode}")
        check_parameters(parameters)
        facts.mode = mode
        if not facts.parameters_wanted:
            facts.parameters_wanted = True
            facts.ongoing_since = now
            secc.emit(_parameters_wanted(request, facts.renegotiation))
        offer = side.schedules
        if offer is None:
            self._check_ongoing(now, secc.settings.ongoing_timeout, "the schedule")
        else:
            offered = with_paused(offer.schedules, self.paused.details if self.paused else None)
            facts.schedules = tuple(shortened(one, request.MaxEntriesSAScheduleTuple) for one in offered)
            facts.ongoing_since = None
            facts.parameters_wanted = False
        body = types.ChargeParameterDiscoveryResType(
            ResponseCode="OK",
            EVSEProcessing="Ongoing" if offer is None else "Finished",
            SASchedules=None if offer is None else self.schedule_list(),
            EVSEChargeParameter=self.ac_parameters() if is_ac else self.dc_parameters(),
        )
        if offer is None:
            return Answer("ChargeParameterDiscoveryRes", body, "ongoing")
        outcome = "AC" if is_ac else "DC renegotiated" if facts.renegotiation else "DC"
        return Answer("ChargeParameterDiscoveryRes", body, outcome, offer.tariff_signature)

    def schedule_list(self) -> types.SAScheduleListType:
        """SASchedules."""
        tuples = []
        for schedule in self.secc.facts.schedules:
            entries = [
                types.PMaxScheduleEntryType(
                    TimeInterval=types.RelativeTimeIntervalType(
                        start=start, duration=schedule.duration if (start, power) == schedule.entries[-1] else None
                    ),
                    PMax=self.physical("W", power),
                )
                for start, power in schedule.entries
            ]
            tuples.append(
                types.SAScheduleTupleType(
                    SAScheduleTupleID=schedule.id,
                    PMaxSchedule=types.PMaxScheduleType(PMaxScheduleEntry=entries),
                    SalesTariff=schedule.tariff,
                )
            )
        return types.SAScheduleListType(SAScheduleTuple=tuples)

    def ac_status(self) -> types.AC_EVSEStatusType:
        """AC_EVSEStatus."""
        side = self.secc.station
        notification: Any = side.notification
        return types.AC_EVSEStatusType(
            NotificationMaxDelay=side.notification_max_delay, EVSENotification=notification, RCD=side.rcd
        )

    def ac_parameters(self) -> types.AC_EVSEChargeParameterType:
        """AC_EVSEChargeParameter."""
        limits = self.secc.station.ac
        return types.AC_EVSEChargeParameterType(
            AC_EVSEStatus=self.ac_status(),
            EVSENominalVoltage=self.physical("V", limits.nominal_voltage),
            EVSEMaxCurrent=self.physical("A", limits.max_current),
        )

    @property
    def is_ac(self) -> bool:
        """Whether the session charges with AC, as far as is known."""
        modes = self.secc.facts.mode or next(iter(self.secc.station.modes), "AC")
        return modes.startswith("AC")

    def status(self) -> Any:
        """EVSEStatus of the kind of the session."""
        return self.ac_status() if self.is_ac else self.dc_status()

    # -- power

    def power_delivery(self, request: Any, message: Any, now: float) -> Answer | None:  # noqa: ARG002
        self.expect_power(request.ChargeProgress.lower())
        outcome = {"Start": self._start, "Stop": self._stop, "Renegotiate": self._renegotiate}[request.ChargeProgress](
            request
        )
        if outcome is None:
            return None
        body = types.PowerDeliveryResType(ResponseCode="OK", EVSEStatus=self.status())
        return Answer("PowerDeliveryRes", body, outcome)

    def _start(self, request: Any) -> str | None:
        facts, side = self.secc.facts, self.secc.station
        schedule = chosen(facts.schedules, request.SAScheduleTupleID)  # [V2G2-479]
        entries = request.ChargingProfile.ProfileEntry if request.ChargingProfile else []
        profile = tuple((e.ChargingProfileEntryStart, number(e.ChargingProfileEntryMaxPower)) for e in entries)
        check_profile(schedule, profile)
        if (self.is_ac and side.rcd) or (not self.is_ac and side.status_code in NOT_CHARGING):
            raise Refusal("FAILED_PowerDeliveryNotApplied", "the station cannot deliver power now")  # [V2G2-480]
        facts.schedule = schedule.id
        if not self.switch_power(True, profile):
            return None
        facts.started = True
        facts.renegotiation = False
        return "start"

    def _stop(self, request: Any) -> str | None:  # noqa: ARG002
        if self.secc.facts.power_wanted and not self.switch_power(False):
            return None
        return "stop"

    def _renegotiate(self, request: Any) -> str:  # noqa: ARG002
        if not self.secc.facts.started:
            raise Refusal("FAILED", "renegotiation before power delivery was started")  # [V2G2-812]
        self.secc.facts.renegotiation = True
        return "renegotiate"

    def _meter_fields(self) -> dict[str, Any]:
        """MeterInfo and ReceiptRequired."""
        report = self.secc.station.meter
        if report is None:
            return {"ReceiptRequired": False}
        info = types.MeterInfoType(
            MeterID=report.meter_id,
            MeterReading=report.reading,
            SigMeterReading=report.signature,
            MeterStatus=report.status,
            TMeter=report.time,
        )
        self.secc.facts.meter = info
        receipt = self.secc.station.receipt_required and self.secc.facts.payment == "Contract"  # [V2G2-691]
        return {"MeterInfo": info, "ReceiptRequired": receipt}

    def charging_status(self, request: Any, message: Any, now: float) -> Answer | None:  # noqa: ARG002
        fields = self._meter_fields()
        body = types.ChargingStatusResType(
            ResponseCode="OK",
            EVSEID=self.secc.station.evse_id,
            SAScheduleTupleID=self.secc.facts.schedule,
            EVSEMaxCurrent=self.physical("A", self.secc.station.ac.max_current),
            AC_EVSEStatus=self.ac_status(),
            **fields,
        )
        return Answer("ChargingStatusRes", body, "receipt" if fields.get("ReceiptRequired") else "charging")

    def current_demand(self, request: Any, message: Any, now: float) -> Answer | None:  # noqa: ARG002
        fields = self._meter_fields()
        body = types.CurrentDemandResType(
            **self.current_demand_fields(request),
            EVSEID=self.secc.station.evse_id,
            SAScheduleTupleID=self.secc.facts.schedule,
            **fields,
        )
        return Answer("CurrentDemandRes", body, "receipt" if fields.get("ReceiptRequired") else "charging")

    def metering_receipt(self, request: Any, message: Any, now: float) -> Answer | None:  # noqa: ARG002
        secc, facts = self.secc, self.secc.facts
        if request.SessionID != secc.session_id:  # [V2G2-909]
            raise Refusal("FAILED_UnknownSession", f"the receipt is for session {request.SessionID!r}")
        expected = (facts.schedule, facts.meter)
        found = (request.SAScheduleTupleID or facts.schedule, request.MeterInfo)
        if found != expected:
            raise Refusal("FAILED_MeteringSignatureNotValid", f"the receipt is for {found}, asked for {expected}")
        if facts.contract is None or secc.pending is None:
            raise Refusal("FAILED_MeteringSignatureNotValid", "there is no contract to verify a receipt with")
        try:
            verify_message(message, facts.contract.key, ISO2_SUITES)  # type: ignore[arg-type]
        except SignatureError as error:
            raise Refusal("FAILED_MeteringSignatureNotValid", str(error)) from error
        secc.emit(ReceiptReceived(message, secc.pending.exi, facts.contract.certificates[0]))
        return Answer("MeteringReceiptRes", types.MeteringReceiptResType(ResponseCode="OK", EVSEStatus=self.status()))

    def session_stop(self, request: Any, message: Any, now: float) -> Answer | None:  # noqa: ARG002
        secc, facts = self.secc, self.secc.facts
        self.check_pilot_back()
        body = types.SessionStopResType(ResponseCode="OK")
        if request.ChargingSession != "Pause":
            return Answer("SessionStopRes", body)
        kept = next((one for one in facts.schedules if one.id == facts.schedule), None)
        paused = PausedSession(secc.session_id, "iso2", facts.payment, facts.mode, kept)
        return Answer("SessionStopRes", body, paused=paused)


def _parameter(name: str, value: bool | int | str) -> types.ParameterType:
    if isinstance(value, bool):
        return types.ParameterType(Name=name, boolValue=value)
    if isinstance(value, int):
        return types.ParameterType(Name=name, intValue=value)
    return types.ParameterType(Name=name, stringValue=value)


def _parameters_wanted(request: Any, renegotiation: bool) -> ParametersWanted:
    p = request.EVChargeParameter

    def value(*fields: str) -> float | None:
        found = next((getattr(p, field) for field in fields if getattr(p, field, None) is not None), None)
        return None if found is None else number(found)

    return ParametersWanted(
        mode=request.RequestedEnergyTransferMode,
        renegotiation=renegotiation,
        departure_time=p.DepartureTime,
        max_entries=request.MaxEntriesSAScheduleTuple,
        max_voltage=value("EVMaxVoltage", "EVMaximumVoltageLimit"),
        max_current=value("EVMaxCurrent", "EVMaximumCurrentLimit"),
        min_current=value("EVMinCurrent"),
        max_power=value("EVMaximumPowerLimit"),
        energy=value("EAmount", "EVEnergyRequest"),
        soc=p.DC_EVStatus.EVRESSSOC if hasattr(p, "DC_EVStatus") else None,
    )
