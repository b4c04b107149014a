"""The DC messages of a vehicle, which DIN SPEC 70121 and ISO 15118-2 share but for their schema."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING, Any

from ports.errors import PeerError
from v2g.exi.errors import LimitError
from v2g.exi.limits import check_value
from v2g.session.events import OfferReceived, PowerState
from v2g.session.physical import number, scaled
from v2g.session.vehicle_side import CHARGE, PAUSE, RENEGOTIATE, STOP

if TYPE_CHECKING:
    from v2g.session.evcc import Evcc

# the station cannot charge any more
BROKEN = frozenset({"EVSE_Shutdown", "EVSE_EmergencyShutdown", "EVSE_Malfunction"})
GIVING_UP = {STOP: "give up", PAUSE: "give up, pause"}


def within_limits(key: str, value: Any) -> None:
    """Check what the vehicle will repeat in a request of its own. Raises PeerError when its schema forbids it."""
    try:
        check_value(key, value, key.partition(".")[2])
    except LimitError as error:
        raise PeerError(str(error)) from error


class DcVehicle:
    """types: module with the message classes of the protocol."""

    types: ModuleType
    evcc: Evcc

    def __init__(self, evcc: Evcc) -> None:
        self.evcc = evcc
        self.T: Any = self.types
        self.ending = STOP
        self.renegotiating = False
        self.profile: tuple[tuple[int, float], ...] = ()
        self.schedule = 1

    def physical(self, unit: str, value: float) -> Any:
        """A PhysicalValueType."""
        multiplier, integer = scaled(value)
        return self.T.PhysicalValueType(Multiplier=multiplier, Unit=unit, Value=integer)

    def optional(self, unit: str, value: float | None) -> Any:
        """A PhysicalValueType, or None."""
        return None if value is None else self.physical(unit, value)

    def header(self) -> Any:
        """Header with the session's id: zero, or that of the session to join again, while there is none."""
        evcc = self.evcc
        paused = evcc.paused.session_id if evcc.paused and evcc.paused.protocol == evcc.protocol else b"\0"
        return self.T.MessageHeaderType(SessionID=evcc.session_id or paused)

    def message(self, body: Any) -> Any:
        """The message around a body."""
        return self.T.V2G_Message(Header=self.header(), Body=self.T.BodyType(BodyElement=body))

    def dc_status(self) -> Any:
        """DC_EVStatus."""
        side = self.evcc.vehicle
        return self.T.DC_EVStatusType(EVReady=side.ready, EVErrorCode=side.error, EVRESSSOC=side.soc)

    def dc_parameters(self) -> Any:
        """DC_EVChargeParameter."""
        demand, side = self.evcc.vehicle.dc, self.evcc.vehicle
        more = {} if self.T.__name__.endswith("din.types") else {"DepartureTime": side.departure_time}
        return self.T.DC_EVChargeParameterType(
            DC_EVStatus=self.dc_status(),
            EVMaximumCurrentLimit=self.physical("A", demand.max_current),
            EVMaximumPowerLimit=self.optional("W", demand.max_power),
            EVMaximumVoltageLimit=self.physical("V", demand.max_voltage),
            EVEnergyCapacity=self.optional("Wh", demand.energy_capacity),
            EVEnergyRequest=self.optional("Wh", demand.energy_request),
            FullSOC=demand.full_soc,
            BulkSOC=demand.bulk_soc,
            **more,
        )

    def cable_check(self) -> Any:
        """Contactors of the car open, pilot at C."""
        self.evcc.set_pilot("C")
        return self.T.CableCheckReqType(DC_EVStatus=self.dc_status())

    def pre_charge(self) -> Any:
        """The battery's voltage, 2 A at most (IEC 61851-23 CC.3.2)."""
        side = self.evcc.vehicle
        return self.T.PreChargeReqType(
            DC_EVStatus=self.dc_status(),
            EVTargetVoltage=self.physical("V", side.target_voltage),
            EVTargetCurrent=self.physical("A", min(side.target_current, 2.0)),
        )

    def current_demand(self) -> Any:
        """What the battery wants now."""
        side = self.evcc.vehicle
        return self.T.CurrentDemandReqType(
            DC_EVStatus=self.dc_status(),
            EVTargetCurrent=self.physical("A", side.target_current),
            EVMaximumVoltageLimit=self.physical("V", side.dc.max_voltage),
            EVMaximumCurrentLimit=self.physical("A", side.dc.max_current),
            EVMaximumPowerLimit=self.optional("W", side.dc.max_power),
            ChargingComplete=side.complete,
            EVTargetVoltage=self.physical("V", side.target_voltage),
        )

    def welding_detection(self) -> Any:
        """Asks for the voltage at the outlet."""
        return self.T.WeldingDetectionReqType(DC_EVStatus=self.dc_status())

    # answers

    def giving_up(self) -> str | None:
        """Before energy flows: the outcome of a wish to stop or to pause."""
        wish = self.evcc.vehicle.take_wish()
        return GIVING_UP.get(wish)

    def cable_checked(self, answer: Any, _message: Any) -> str:
        """CableCheckRes."""
        self.check_station(answer.DC_EVSEStatus)
        if up := self.giving_up():
            return up
        return "ongoing" if answer.EVSEProcessing == "Ongoing" else "finished"

    def pre_charged(self, answer: Any, _message: Any) -> str:
        """PreChargeRes."""
        self.check_station(answer.DC_EVSEStatus)
        if up := self.giving_up():
            return up
        evcc = self.evcc
        gap = abs(number(answer.EVSEPresentVoltage) - evcc.vehicle.target_voltage)
        return "reached" if gap <= evcc.settings.pre_charge_tolerance else "adjusting"

    def power_seen(self, answer: Any) -> None:
        """Tell what a CurrentDemandRes says."""
        limit = answer.EVSEMaximumCurrentLimit
        self.evcc.emit(
            PowerState(
                number(answer.EVSEPresentVoltage),
                number(answer.EVSEPresentCurrent),
                None if limit is None else number(limit),
                getattr(answer, "MeterInfo", None),
            )
        )

    def current_demanded(self, answer: Any, _message: Any) -> str:
        """CurrentDemandRes."""
        self.power_seen(answer)
        return self.in_loop(answer.DC_EVSEStatus)

    def welding_detected(self, answer: Any, _message: Any) -> str:  # noqa: ARG002
        """WeldingDetectionRes."""
        if not self.evcc.vehicle.welding_checked:
            return "again"
        return "pause" if self.ending == PAUSE else "terminate"

    def in_loop(self, status: Any) -> str:
        """ "charge", "stop" or "renegotiate", by the vehicle's wish and the station's."""
        side = self.evcc.vehicle
        wish = side.take_wish()
        if side.complete or getattr(status, "EVSEStatusCode", "") in BROKEN or getattr(status, "RCD", False):
            wish = STOP
        elif wish == CHARGE:
            wish = {"StopCharging": STOP, "ReNegotiation": RENEGOTIATE}.get(status.EVSENotification, CHARGE)
        if wish in (STOP, PAUSE):
            self.ending = wish
            return "stop"
        return wish

    def check_station(self, status: Any) -> None:
        """Raise PeerError when the station cannot charge."""
        if status.EVSEStatusCode in BROKEN:
            raise PeerError(f"the station is in {status.EVSEStatusCode}")

    def offered(self, answer: Any, message: Any) -> None:
        """Schedules: choose one, plan within it."""
        side = self.evcc.vehicle
        self.evcc.emit(OfferReceived(message))
        tuples = getattr(answer.SASchedules, "SAScheduleTuple", None) or []
        if not tuples:
            raise PeerError("ChargeParameterDiscoveryRes is finished and has no schedule")
        found = next((t for t in tuples if t.SAScheduleTupleID == side.schedule), tuples[0])
        home = self.T.__name__.removesuffix(".types").rpartition(".")[2]
        within_limits(f"{home}.SAIDType", found.SAScheduleTupleID)
        within_limits(f"{home}.PMaxScheduleType", found.PMaxSchedule)
        self.schedule = found.SAScheduleTupleID
        self.profile = tuple(
            (entry.TimeInterval.start, min(_power(entry.PMax), side.max_power or float("inf")))
            for entry in found.PMaxSchedule.PMaxScheduleEntry
        )


def _power(pmax: Any) -> float:
    return float(pmax) if isinstance(pmax, int) else number(pmax)
