"""The messages of a vehicle of ISO 15118-2: what it asks, and what it makes of the answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ports.errors import PeerError
from v2g.exi.generated.iso2 import types
from v2g.session.events import PowerState, StationFound, Tolerated
from v2g.session.iso2_vehicle_contract import Iso2Contract
from v2g.session.iso2_vehicle_table import HALT, ISO2_VEHICLE, PAUSE, RENEGOTIATION, START, TERMINATE
from v2g.session.physical import number
from v2g.session.state_table import OK
from v2g.session.station_side import CERTIFICATE_SERVICE_ID, CHARGE_SERVICE_ID
from v2g.session.vehicle_side import PAUSE as WISH_PAUSE
from v2g.signature_suites import P256
from v2g.xmldsig import sign_message

if TYPE_CHECKING:
    from v2g.session.evcc import Evcc

PROFILE_ENTRIES = 24  # ISO 15118-2, ChargingProfileType


class Iso2Vehicle(Iso2Contract):
    """Asks for one session."""

    schema = "iso2"
    table = ISO2_VEHICLE
    types = types

    def __init__(self, evcc: Evcc) -> None:
        super().__init__(evcc)
        self.services: list[tuple[int, int | None]] = []
        self.details: list[int] = []
        self.evse_id = ""
        self._builders: dict[str, Callable[[], Any]] = {
            "SessionSetupReq": lambda: types.SessionSetupReqType(EVCCID=evcc.vehicle.evcc_id),
            "ServiceDiscoveryReq": types.ServiceDiscoveryReqType,
            "ServiceDetailReq": lambda: types.ServiceDetailReqType(ServiceID=self.details.pop(0)),
            "PaymentServiceSelectionReq": self.payment_service_selection,
            "CertificateInstallationReq": self.certificate_installation,
            "CertificateUpdateReq": self.certificate_update,
            "PaymentDetailsReq": self.payment_details,
            "AuthorizationReq": self.authorization,
            "ChargeParameterDiscoveryReq": self.charge_parameter_discovery,
            "CableCheckReq": self.cable_check,
            "PreChargeReq": self.pre_charge,
            START: lambda: self.power_delivery("Start"),
            HALT: lambda: self.power_delivery("Stop"),
            RENEGOTIATION: lambda: self.power_delivery("Renegotiate"),
            "ChargingStatusReq": types.ChargingStatusReqType,
            "CurrentDemandReq": self.current_demand,
            "MeteringReceiptReq": self.metering_receipt,
            "WeldingDetectionReq": self.welding_detection,
            TERMINATE: lambda: types.SessionStopReqType(ChargingSession="Terminate"),
            PAUSE: lambda: types.SessionStopReqType(ChargingSession="Pause"),
        }
        self._outcomes: dict[str, Callable[[Any, Any], str]] = {
            "SessionSetupRes": self.set_up,
            "ServiceDiscoveryRes": self.discovered,
            "ServiceDetailRes": self.detailed,
            "PaymentServiceSelectionRes": self.selected,
            "CertificateInstallationRes": self.installed,
            "CertificateUpdateRes": self.installed,
            "PaymentDetailsRes": self.challenged,
            "AuthorizationRes": self.authorized,
            "ChargeParameterDiscoveryRes": self.parameters_found,
            "CableCheckRes": self.cable_checked,
            "PreChargeRes": self.pre_charged,
            "PowerDeliveryRes": self.power_delivered,
            "ChargingStatusRes": self.status_known,
            "CurrentDemandRes": self.current_demanded,
            "MeteringReceiptRes": self.receipt_taken,
            "WeldingDetectionRes": self.welding_detected,
            "SessionStopRes": lambda _a, _m: OK,
        }

    def request(self, name: str) -> Any:
        """See `evcc.VehicleMessages`."""
        message = self.message(self._builders[name]())
        sign = self.signer_of(name)
        if sign is not None:
            message = self.evcc.before_signing(name, message)
            sign_message(message, sign, P256)
        return message

    def outcome(self, name: str, answer: Any, message: Any) -> str:
        """See `evcc.VehicleMessages`."""
        return self._outcomes[name](answer, message)

    @property
    def is_ac(self) -> bool:
        """Whether the vehicle charges with AC."""
        return self.evcc.vehicle.mode.startswith("AC")

    # -- requests

    def payment_service_selection(self) -> Any:
        payment: Any = self.payment
        selected = [(CHARGE_SERVICE_ID, None), *self.services]
        services = [types.SelectedServiceType(ServiceID=one, ParameterSetID=other) for one, other in selected]
        return types.PaymentServiceSelectionReqType(
            SelectedPaymentOption=payment,
            SelectedServiceList=types.SelectedServiceListType(SelectedService=services),
        )

    def charge_parameter_discovery(self) -> Any:
        mode: Any = self.evcc.vehicle.mode
        return types.ChargeParameterDiscoveryReqType(
            RequestedEnergyTransferMode=mode,
            EVChargeParameter=self.ac_parameters() if self.is_ac else self.dc_parameters(),
        )

    def ac_parameters(self) -> types.AC_EVChargeParameterType:
        """AC_EVChargeParameter."""
        demand = self.evcc.vehicle.ac
        return types.AC_EVChargeParameterType(
            DepartureTime=self.evcc.vehicle.departure_time,
            EAmount=self.physical("Wh", demand.energy),
            EVMaxVoltage=self.physical("V", demand.max_voltage),
            EVMaxCurrent=self.physical("A", demand.max_current),
            EVMinCurrent=self.physical("A", demand.min_current),
        )

    def power_delivery(self, progress: Any) -> Any:
        if progress == "Start":
            self.evcc.set_pilot("C")
            self.renegotiating = False
        elif progress == "Renegotiate":
            self.renegotiating = True
        elif self.is_ac:
            self.evcc.set_pilot("B")
        entries = [
            types.ProfileEntryType(
                ChargingProfileEntryStart=start, ChargingProfileEntryMaxPower=self.physical("W", power)
            )
            for start, power in self.profile[:PROFILE_ENTRIES]
        ]
        with_profile = progress == "Start" and bool(entries)
        parameter = types.DC_EVPowerDeliveryParameterType(
            DC_EVStatus=self.dc_status(), ChargingComplete=self.evcc.vehicle.complete
        )
        return types.PowerDeliveryReqType(
            ChargeProgress=progress,
            SAScheduleTupleID=self.schedule,
            ChargingProfile=types.ChargingProfileType(ProfileEntry=entries) if with_profile else None,
            EVPowerDeliveryParameter=None if self.is_ac else parameter,
        )

    # -- answers

    def set_up(self, answer: Any, _message: Any) -> str:
        self.evse_id = answer.EVSEID
        return OK

    def discovered(self, answer: Any, _message: Any) -> str:
        side = self.evcc.vehicle
        payments = tuple(answer.PaymentOptionList.PaymentOption)
        modes = tuple(answer.ChargeService.SupportedEnergyTransferMode.EnergyTransferMode)
        offered = [service.ServiceID for service in answer.ServiceList.Service] if answer.ServiceList else []
        self.evcc.emit(StationFound(self.evse_id, payments, modes, tuple(offered)))
        if side.mode not in modes:
            raise PeerError(f"the station offers {', '.join(modes)}, the vehicle needs {side.mode}")
        installs = bool(side.certificate_action) and CERTIFICATE_SERVICE_ID in offered
        self.payment = self._payment(payments, installs=installs)
        self.services = [pair for pair in side.services if pair[0] in offered]
        if self.payment == "Contract" and installs:
            self.services.append((CERTIFICATE_SERVICE_ID, {"install": 1, "update": 2}[side.certificate_action]))
        self.details = [identifier for identifier, _ in self.services]
        return self.giving_up() or ("detail" if self.details else "select")

    def _payment(self, offered: tuple[str, ...], *, installs: bool) -> str:
        """How it pays here. Raises PeerError."""
        side, wanted = self.evcc.vehicle, self.payment
        usable = [one for one in offered if one != "Contract" or self.evcc.tls]  # a contract is never shown without TLS
        empty = wanted == "Contract" and self.contract is None and side.certificate_action and not installs
        if wanted not in offered:
            why = f"does not offer payment by {wanted}"
        elif wanted not in usable:
            why = f"offers payment by {wanted} without TLS"
        elif empty:
            why = "installs no contract, and the vehicle has none"
        else:
            return wanted
        others = [one for one in usable if one != wanted and (one != "Contract" or self.contract is not None)]
        if others and side.fallback:
            self.evcc.emit(Tolerated(f"the station {why}"))
            return others[0]
        taken = ", ".join(usable) or "nothing else"
        raise PeerError(f"the station {why}; it takes {taken}, the vehicle pays by {wanted}")

    def detailed(self, answer: Any, _message: Any) -> str:  # noqa: ARG002
        return self.giving_up() or ("detail" if self.details else "select")

    def selected(self, answer: Any, _message: Any) -> str:  # noqa: ARG002
        if up := self.giving_up():
            return up
        if self.payment != "Contract":
            return "external payment"
        certificate = any(identifier == CERTIFICATE_SERVICE_ID for identifier, _ in self.services)
        return self.evcc.vehicle.certificate_action if certificate else "contract"

    def parameters_found(self, answer: Any, message: Any) -> str:
        if up := self.giving_up():
            return up
        if answer.EVSEProcessing != "Finished":
            return "ongoing"
        self.offered(answer, message)
        self.check_tariffs(message)
        if self.is_ac:
            return "AC"
        return "DC renegotiated" if self.renegotiating else "DC"

    def power_delivered(self, answer: Any, _message: Any) -> str:  # noqa: ARG002
        kind = "AC" if self.is_ac else "DC"
        state = self.evcc.state
        if state == RENEGOTIATION:
            return OK
        if state == HALT:
            self.evcc.set_pilot("B")
            return "AC pause" if self.is_ac and self.ending == WISH_PAUSE else kind
        return kind

    def status_known(self, answer: Any, _message: Any) -> str:
        limit = answer.EVSEMaxCurrent
        self.evcc.emit(PowerState(None, None, None if limit is None else number(limit), answer.MeterInfo))
        return self.receipt(answer) or self.in_loop(answer.AC_EVSEStatus)

    def current_demanded(self, answer: Any, _message: Any) -> str:
        self.power_seen(answer)
        return self.receipt(answer) or self.in_loop(answer.DC_EVSEStatus)

    def receipt_taken(self, answer: Any, _message: Any) -> str:
        outcome = self.in_loop(answer.EVSEStatus)
        return ("AC" if self.is_ac else "DC") if outcome == "charge" else outcome
