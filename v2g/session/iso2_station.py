"""The messages of a station of ISO 15118-2: what it answers to each request."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from v2g.exi.generated.iso2 import types
from v2g.session.charge_limits import check_parameters
from v2g.session.dc_station import NOT_CHARGING
from v2g.session.events import ParametersWanted, PausedSession
from v2g.session.iso2_refusals import REFUSALS
from v2g.session.iso2_station_payment import Iso2Payment
from v2g.session.iso2_station_table import ISO2_STATION
from v2g.session.physical import number
from v2g.session.refusal import Answer, Refusal
from v2g.session.schedules import check_profile, chosen, shortened, with_paused

if TYPE_CHECKING:
    from v2g.session.secc import Secc

Handler = Callable[[Any, Any, float], Answer | None]


class Iso2Station(Iso2Payment):
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

    # -- parameters

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
            self.check_ongoing(now, secc.settings.ongoing_timeout, "the schedule")
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

    def ac_parameters(self) -> types.AC_EVSEChargeParameterType:
        """AC_EVSEChargeParameter."""
        limits = self.secc.station.ac
        return types.AC_EVSEChargeParameterType(
            AC_EVSEStatus=self.ac_status(),
            EVSENominalVoltage=self.physical("V", limits.nominal_voltage),
            EVSEMaxCurrent=self.physical("A", limits.max_current),
        )

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
        if self.secc.facts.power_wanted is not None and not self.switch_power(False):
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

    def session_stop(self, request: Any, message: Any, now: float) -> Answer | None:  # noqa: ARG002
        secc, facts = self.secc, self.secc.facts
        self.check_pilot_back()
        body = types.SessionStopResType(ResponseCode="OK")
        if request.ChargingSession != "Pause":
            return Answer("SessionStopRes", body)
        kept = next((one for one in facts.schedules if one.id == facts.schedule), None)
        paused = PausedSession(secc.session_id, "iso2", facts.payment, facts.mode, kept)
        return Answer("SessionStopRes", body, paused=paused)


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
