"""The messages of a vehicle of DIN SPEC 70121: what it asks, and what it makes of the answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ports.errors import PeerError
from v2g.exi.generated.din import types
from v2g.session.dc_vehicle import DcVehicle
from v2g.session.din_vehicle_table import DIN_VEHICLE
from v2g.session.events import StationFound
from v2g.session.iso2_vehicle_table import HALT, START, TERMINATE
from v2g.session.state_table import OK
from v2g.session.station_side import CHARGE_SERVICE_ID

if TYPE_CHECKING:
    from v2g.session.evcc import Evcc

# what a station's EnergyTransferType lets a vehicle ask for: DIN SPEC 70121 table 64
FITTING = {
    "DC_core": ("DC_core",),
    "DC_extended": ("DC_extended", "DC_core"),
    "DC_combo_core": ("DC_combo_core",),
    "DC_dual": ("DC_core", "DC_extended"),
    "AC_core1p_DC_extended": ("DC_extended",),
    "AC_single_DC_core": ("DC_core",),
    "AC_single_phase_three_phase_core_DC_extended": ("DC_extended",),
    "AC_core3p_DC_extended": ("DC_extended",),
}


class DinVehicle(DcVehicle):
    """Asks for one session."""

    schema = "din"
    table = DIN_VEHICLE
    types = types

    def __init__(self, evcc: Evcc) -> None:
        super().__init__(evcc)
        self.evse_id = ""
        self._builders: dict[str, Callable[[], Any]] = {
            "SessionSetupReq": lambda: types.SessionSetupReqType(EVCCID=evcc.vehicle.evcc_id),
            "ServiceDiscoveryReq": lambda: types.ServiceDiscoveryReqType(ServiceCategory="EVCharging"),
            "ServicePaymentSelectionReq": self.service_payment_selection,
            "ContractAuthenticationReq": types.ContractAuthenticationReqType,
            "ChargeParameterDiscoveryReq": self.charge_parameter_discovery,
            "CableCheckReq": self.cable_check,
            "PreChargeReq": self.pre_charge,
            START: lambda: self.power_delivery(True),
            HALT: lambda: self.power_delivery(False),
            "CurrentDemandReq": self.current_demand,
            "WeldingDetectionReq": self.welding_detection,
            TERMINATE: types.SessionStopType,
        }
        self._outcomes: dict[str, Callable[[Any, Any], str]] = {
            "SessionSetupRes": self.set_up,
            "ServiceDiscoveryRes": self.discovered,
            "ServicePaymentSelectionRes": lambda _a, _m: self.giving_up() or OK,
            "ContractAuthenticationRes": self.authorized,
            "ChargeParameterDiscoveryRes": self.parameters_found,
            "CableCheckRes": self.cable_checked,
            "PreChargeRes": self.pre_charged,
            "PowerDeliveryRes": self.power_delivered,
            "CurrentDemandRes": self.current_demanded,
            "WeldingDetectionRes": self.welding_detected,
            "SessionStopRes": lambda _a, _m: OK,
        }

    def request(self, name: str) -> Any:
        """See `evcc.VehicleMessages`."""
        return self.message(self._builders[name]())

    def outcome(self, name: str, answer: Any, message: Any) -> str:
        """See `evcc.VehicleMessages`."""
        return self._outcomes[name](answer, message)

    def giving_up(self) -> str | None:
        """DIN SPEC 70121 knows no pause."""
        return "give up" if super().giving_up() else None

    def service_payment_selection(self) -> Any:
        service = types.SelectedServiceType(ServiceID=CHARGE_SERVICE_ID)
        return types.ServicePaymentSelectionReqType(
            SelectedPaymentOption="ExternalPayment",
            SelectedServiceList=types.SelectedServiceListType(SelectedService=[service]),
        )

    def charge_parameter_discovery(self) -> Any:
        mode: Any = self.evcc.vehicle.mode
        return types.ChargeParameterDiscoveryReqType(
            EVRequestedEnergyTransferType=mode, EVChargeParameter=self.dc_parameters()
        )

    def power_delivery(self, on: bool) -> Any:
        entries = [
            types.ProfileEntryType(ChargingProfileEntryStart=start, ChargingProfileEntryMaxPower=int(power))
            for start, power in self.profile
        ]
        return types.PowerDeliveryReqType(
            ReadyToChargeState=on,
            ChargingProfile=types.ChargingProfileType(SAScheduleTupleID=self.schedule, ProfileEntry=entries)
            if on and entries
            else None,
            EVPowerDeliveryParameter=types.DC_EVPowerDeliveryParameterType(
                DC_EVStatus=self.dc_status(), ChargingComplete=self.evcc.vehicle.complete
            ),
        )

    def set_up(self, answer: Any, _message: Any) -> str:
        octets = answer.EVSEID
        # some stations send their id's text as octets (capture tesla-3-din of tux-evse)
        self.evse_id = octets.decode() if octets.isascii() and octets.decode().isprintable() else octets.hex().upper()
        return OK

    def discovered(self, answer: Any, _message: Any) -> str:
        kind = answer.ChargeService.EnergyTransferType
        modes = FITTING.get(kind, ())
        self.evcc.emit(StationFound(self.evse_id, tuple(answer.PaymentOptions.PaymentOption), modes, ()))
        if self.evcc.vehicle.mode not in modes:
            raise PeerError(f"the station offers {kind}, the vehicle needs {self.evcc.vehicle.mode}")
        return self.giving_up() or "select"

    def authorized(self, answer: Any, _message: Any) -> str:
        return self.giving_up() or ("finished" if answer.EVSEProcessing == "Finished" else "ongoing")

    def parameters_found(self, answer: Any, message: Any) -> str:
        if up := self.giving_up():
            return up
        if answer.EVSEProcessing != "Finished":
            return "ongoing"
        self.offered(answer, message)
        return "DC"

    def power_delivered(self, answer: Any, _message: Any) -> str:  # noqa: ARG002
        if self.evcc.state == HALT:
            self.evcc.set_pilot("B")
        return "DC"

    def in_loop(self, status: Any) -> str:
        """DIN SPEC 70121 has no renegotiation."""
        outcome = super().in_loop(status)
        return "charge" if outcome == "renegotiate" else outcome

    def welding_detected(self, answer: Any, message: Any) -> str:
        """DIN SPEC 70121 knows no pause."""
        outcome = super().welding_detected(answer, message)
        return "terminate" if outcome == "pause" else outcome
