"""The messages of a station of DIN SPEC 70121: what it answers to each request. DC and external payment only."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from v2g.exi.generated.din import types
from v2g.session.charge_limits import check_parameters
from v2g.session.dc_station import NOT_CHARGING, DcStation
from v2g.session.din_refusals import REFUSALS
from v2g.session.din_station_table import DIN_STATION
from v2g.session.events import AuthorizationWanted, ParametersWanted, PaymentSelected, SessionStarted
from v2g.session.physical import number
from v2g.session.refusal import Answer, Refusal
from v2g.session.schedules import check_profile, chosen
from v2g.session.station_side import CHARGE_SERVICE_ID, Schedule

if TYPE_CHECKING:
    from v2g.session.secc import Secc

Handler = Callable[[Any, Any, float], Answer | None]

# a station names one type of energy transfer; the best it has
MODES = ("DC_extended", "DC_core")
PMAX_LIMIT = 32767  # xs:short, in W: DIN SPEC 70121 has no multiplier there
EVSE_ID_OCTETS = 32


class DinStation(DcStation):
    """Answers for one session."""

    schema = "din"
    table = DIN_STATION
    types = types

    def __init__(self, secc: Secc) -> None:
        super().__init__(secc)
        self._handlers: dict[str, Handler] = {
            "SessionSetupReq": self.session_setup,
            "ServiceDiscoveryReq": self.service_discovery,
            "ServicePaymentSelectionReq": self.service_payment_selection,
            "ContractAuthenticationReq": self.contract_authentication,
            "ChargeParameterDiscoveryReq": self.charge_parameter_discovery,
            "CableCheckReq": self.cable_check,
            "PreChargeReq": self.pre_charge,
            "PowerDeliveryReq": self.power_delivery,
            "CurrentDemandReq": self.current_demand,
            "WeldingDetectionReq": self.welding_detection,
            "SessionStopReq": self.session_stop,
        }

    def answer(self, name: str, request: Any, message: Any, now: float) -> Answer | None:
        """See `secc.Messages`."""
        return self._handlers[name](request, message, now)

    def refuse(self, name: str, request: Any, code: str) -> Any:
        """See `secc.Messages`. Codes that DIN SPEC 70121 does not have become FAILED."""
        return REFUSALS[name](self, request, code if code in CODES else "FAILED") if name in REFUSALS else None

    def wrap(self, answer: Answer, session_id: bytes) -> types.V2G_Message:
        """See `secc.Messages`."""
        return types.V2G_Message(
            Header=types.MessageHeaderType(SessionID=session_id or bytes(8)),
            Body=types.BodyType(BodyElement=answer.body),
        )

    @property
    def evse_id(self) -> bytes:
        """EVSEID as octets: stations send the text (capture tesla-3-din of tux-evse)."""
        return self.secc.station.evse_id.encode()[:EVSE_ID_OCTETS]

    def charge_service(self) -> types.ServiceChargeType:
        """ChargeService of ServiceDiscoveryRes."""
        mode: Any = next((mode for mode in MODES if mode in self.secc.station.modes), MODES[0])
        return types.ServiceChargeType(
            ServiceTag=types.ServiceTagType(ServiceID=CHARGE_SERVICE_ID, ServiceCategory="EVCharging"),
            FreeService=self.secc.station.free,
            EnergyTransferType=mode,
        )

    def session_setup(self, request: Any, message: Any, now: float) -> Answer | None:  # noqa: ARG002
        secc = self.secc
        secc.session_id = secc.new_session_id()  # DIN SPEC 70121 knows no pause
        secc.facts.evcc_id = request.EVCCID
        secc.emit(SessionStarted(secc.session_id, request.EVCCID, resumed=False))
        body = types.SessionSetupResType(
            ResponseCode="OK_NewSessionEstablished", EVSEID=self.evse_id, DateTimeNow=self.unix_time()
        )
        return Answer("SessionSetupRes", body)

    def service_discovery(self, request: Any, message: Any, now: float) -> Answer | None:  # noqa: ARG002
        return Answer("ServiceDiscoveryRes", self.discovery_body("OK"))

    def discovery_body(self, code: Any) -> types.ServiceDiscoveryResType:
        """ServiceDiscoveryRes."""
        return types.ServiceDiscoveryResType(
            ResponseCode=code,
            PaymentOptions=types.PaymentOptionsType(PaymentOption=["ExternalPayment"]),  # [V2G-DC-545]
            ChargeService=self.charge_service(),
        )

    def service_payment_selection(self, request: Any, message: Any, now: float) -> Answer | None:  # noqa: ARG002
        if request.SelectedPaymentOption != "ExternalPayment":
            raise Refusal("FAILED_PaymentSelectionInvalid", f"{request.SelectedPaymentOption} is not offered")
        selected = [service.ServiceID for service in request.SelectedServiceList.SelectedService]
        if selected != [CHARGE_SERVICE_ID]:
            raise Refusal("FAILED_ServiceSelectionInvalid", f"services {selected}, offered is {CHARGE_SERVICE_ID}")
        self.secc.facts.payment = "ExternalPayment"
        self.secc.emit(PaymentSelected("ExternalPayment"))
        return Answer("ServicePaymentSelectionRes", types.ServicePaymentSelectionResType(ResponseCode="OK"))

    def contract_authentication(self, request: Any, message: Any, now: float) -> Answer | None:  # noqa: ARG002
        secc = self.secc
        if not secc.facts.authorization_wanted:
            secc.facts.authorization_wanted = True
            secc.emit(AuthorizationWanted("ExternalPayment"))
        code = secc.station.authorization
        if code not in (None, "OK"):
            raise Refusal(code, "the authorization was refused")
        done = code == "OK"
        body = types.ContractAuthenticationResType(ResponseCode="OK", EVSEProcessing="Finished" if done else "Ongoing")
        return Answer("ContractAuthenticationRes", body, "finished" if done else "ongoing")

    def charge_parameter_discovery(self, request: Any, message: Any, now: float) -> Answer | None:  # noqa: ARG002
        secc, facts = self.secc, self.secc.facts
        mode, parameters = request.EVRequestedEnergyTransferType, request.EVChargeParameter
        if mode not in secc.station.modes:
            raise Refusal("FAILED_WrongEnergyTransferType", f"{mode} is not offered")
        if not isinstance(parameters, types.DC_EVChargeParameterType):
            raise Refusal("FAILED_WrongChargeParameter", f"{type(parameters).__name__} with {mode}")
        check_parameters(parameters)
        facts.mode = mode
        if not facts.parameters_wanted:
            facts.parameters_wanted = True
            power, energy = parameters.EVMaximumPowerLimit, parameters.EVEnergyRequest
            secc.emit(
                ParametersWanted(
                    mode,
                    max_voltage=number(parameters.EVMaximumVoltageLimit),
                    max_current=number(parameters.EVMaximumCurrentLimit),
                    max_power=None if power is None else number(power),
                    energy=None if energy is None else number(energy),
                    soc=parameters.DC_EVStatus.EVRESSSOC,
                )
            )
        offer = secc.station.schedules
        facts.schedules = offer.schedules if offer else ()
        body = types.ChargeParameterDiscoveryResType(
            ResponseCode="OK",
            EVSEProcessing="Finished" if offer else "Ongoing",
            SASchedules=self.schedule_list(),
            EVSEChargeParameter=self.dc_parameters(),
        )
        return Answer("ChargeParameterDiscoveryRes", body, "DC" if offer else "ongoing")

    def schedule_list(self) -> types.SAScheduleListType:
        """SASchedules, mandatory also while there is none yet."""
        schedules = self.secc.facts.schedules or (Schedule(1, ((0, 0.0),)),)
        tuples = [
            types.SAScheduleTupleType(
                SAScheduleTupleID=schedule.id,
                PMaxSchedule=types.PMaxScheduleType(
                    PMaxScheduleID=schedule.id,
                    PMaxScheduleEntry=[
                        types.PMaxScheduleEntryType(
                            TimeInterval=types.RelativeTimeIntervalType(
                                start=start,
                                duration=schedule.duration if (start, power) == schedule.entries[-1] else None,
                            ),
                            PMax=min(int(power), PMAX_LIMIT),
                        )
                        for start, power in schedule.entries
                    ],
                ),
            )
            for schedule in schedules
        ]
        return types.SAScheduleListType(SAScheduleTuple=tuples)

    def power_delivery(self, request: Any, message: Any, now: float) -> Answer | None:  # noqa: ARG002
        on = request.ReadyToChargeState
        self.expect_power("start" if on else "stop")
        profile: tuple[tuple[int, float], ...] = ()
        if on:
            facts = self.secc.facts
            if request.ChargingProfile is not None:
                schedule = chosen(facts.schedules, request.ChargingProfile.SAScheduleTupleID)
                entries = request.ChargingProfile.ProfileEntry
                profile = tuple((e.ChargingProfileEntryStart, float(e.ChargingProfileEntryMaxPower)) for e in entries)
                check_profile(schedule, profile)
                facts.schedule = schedule.id
            if self.secc.station.status_code in NOT_CHARGING:
                raise Refusal("FAILED_PowerDeliveryNotApplied", "the station cannot deliver power now")
            if not self.switch_power(True, profile):
                return None
            facts.started = True
        elif self.secc.facts.power_wanted is not None and not self.switch_power(False):
            return None
        body = types.PowerDeliveryResType(ResponseCode="OK", EVSEStatus=self.dc_status())
        return Answer("PowerDeliveryRes", body, "start" if on else "stop")

    def current_demand(self, request: Any, message: Any, now: float) -> Answer | None:  # noqa: ARG002
        return Answer("CurrentDemandRes", types.CurrentDemandResType(**self.current_demand_fields(request)), "charging")

    def session_stop(self, request: Any, message: Any, now: float) -> Answer | None:  # noqa: ARG002
        self.check_pilot_back()
        return Answer("SessionStopRes", types.SessionStopResType(ResponseCode="OK"))


CODES = frozenset(types.responseCodeType.__args__)  # type: ignore[attr-defined]
