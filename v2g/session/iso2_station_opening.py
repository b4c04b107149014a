"""The messages of a station of ISO 15118-2 from the start of a session to the choice of services."""

from __future__ import annotations

from typing import Any

from v2g.exi.generated.iso2 import types
from v2g.session.dc_station import DcStation
from v2g.session.events import PausedSession, PaymentSelected, SessionStarted
from v2g.session.refusal import Answer, Refusal
from v2g.session.station_side import CERTIFICATE_SERVICE_ID, CHARGE_SERVICE_ID, Service


class Iso2Opening(DcStation):
    """Sets a session up, and offers what the station has."""

    types = types

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

    @property
    def is_ac(self) -> bool:
        """Whether the session charges with AC, as far as is known."""
        modes = self.secc.facts.mode or next(iter(self.secc.station.modes), "AC")
        return modes.startswith("AC")

    def status(self) -> Any:
        """EVSEStatus of the kind of the session."""
        return self.ac_status() if self.is_ac else self.dc_status()

    def ac_status(self) -> types.AC_EVSEStatusType:
        """AC_EVSEStatus."""
        side = self.secc.station
        notification: Any = side.notification
        return types.AC_EVSEStatusType(
            NotificationMaxDelay=side.notification_max_delay, EVSENotification=notification, RCD=side.rcd
        )


def _parameter(name: str, value: bool | int | str) -> types.ParameterType:
    if isinstance(value, bool):
        return types.ParameterType(Name=name, boolValue=value)
    if isinstance(value, int):
        return types.ParameterType(Name=name, intValue=value)
    return types.ParameterType(Name=name, stringValue=value)
