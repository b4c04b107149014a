"""The DC messages of a station, which DIN SPEC 70121 and ISO 15118-2 share but for their schema."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING, Any

from v2g.session.events import CableCheckWanted, CurrentWanted, PowerWanted, VoltageWanted, WeldingWanted
from v2g.session.iso2_station_table import STOPPED_DC
from v2g.session.physical import number, scaled
from v2g.session.refusal import Answer, Refusal

if TYPE_CHECKING:
    from v2g.session.secc import Secc
    from v2g.session.state_table import StateTable

GOOD_ISOLATION = frozenset({"Valid", "Warning", "No_IMD"})
NOT_CHARGING = frozenset({"EVSE_Shutdown", "EVSE_EmergencyShutdown", "EVSE_Malfunction", "EVSE_NotReady"})


class DcStation:
    """types: module with the message classes of the protocol."""

    types: ModuleType
    table: StateTable
    secc: Secc

    def __init__(self, secc: Secc) -> None:
        self.secc = secc
        self.T: Any = self.types

    def physical(self, unit: str, value: float) -> Any:
        """A PhysicalValueType."""
        multiplier, integer = scaled(value)
        return self.T.PhysicalValueType(Multiplier=multiplier, Unit=unit, Value=integer)

    def expect_power(self, outcome: str) -> None:
        """Raise Refusal when a PowerDeliveryReq of this outcome has no place now, as a start during charging."""
        if not self.table.leads(self.secc.state, "PowerDeliveryReq", outcome):
            raise Refusal("FAILED_SequenceError", f"PowerDeliveryReq ({outcome}) while state is {self.secc.state!r}")

    def dc_status(self, usual: str = "EVSE_Ready") -> Any:
        """DC_EVSEStatus; usual: the status code when the station wishes no other."""
        side = self.secc.station
        return self.T.DC_EVSEStatusType(
            EVSEIsolationStatus=side.isolation or "Invalid",
            EVSEStatusCode=side.status_code or usual,
            NotificationMaxDelay=side.notification_max_delay,
            EVSENotification=side.notification,
        )

    def dc_parameters(self) -> Any:
        """DC_EVSEChargeParameter."""
        limits = self.secc.station.dc
        optional = {
            "EVSECurrentRegulationTolerance": ("A", limits.tolerance),
            "EVSEEnergyToBeDelivered": ("Wh", limits.energy),
        }
        return self.T.DC_EVSEChargeParameterType(
            DC_EVSEStatus=self.dc_status(),
            EVSEMaximumCurrentLimit=self.physical("A", limits.max_current),
            EVSEMaximumPowerLimit=self.physical("W", limits.max_power),
            EVSEMaximumVoltageLimit=self.physical("V", limits.max_voltage),
            EVSEMinimumCurrentLimit=self.physical("A", limits.min_current),
            EVSEMinimumVoltageLimit=self.physical("V", limits.min_voltage),
            EVSEPeakCurrentRipple=self.physical("A", limits.ripple),
            **{name: self.physical(unit, value) for name, (unit, value) in optional.items() if value is not None},
        )

    def cable_check(self, request: Any, message: Any, now: float) -> Answer | None:  # noqa: ARG002
        """Ongoing until the isolation is known."""
        facts, isolation = self.secc.facts, self.secc.station.isolation
        if self.secc.station.pilot not in (None, "C", "D"):
            raise Refusal("FAILED", f"control pilot in state {self.secc.station.pilot}, cable check needs C or D")
        if not facts.cable_check_wanted:
            facts.cable_check_wanted = True
            self.secc.emit(CableCheckWanted())
            isolation = self.secc.station.isolation
        if isolation is not None and isolation not in GOOD_ISOLATION:
            raise Refusal("FAILED", f"cable check: isolation is {isolation}")
        done = isolation is not None
        body = self.T.CableCheckResType(
            ResponseCode="OK",
            DC_EVSEStatus=self.dc_status("EVSE_Ready" if done else "EVSE_IsolationMonitoringActive"),
            EVSEProcessing="Finished" if done else "Ongoing",
        )
        return Answer("CableCheckRes", body, "finished" if done else "ongoing")

    def pre_charge(self, request: Any, message: Any, now: float) -> Answer | None:  # noqa: ARG002
        """The voltage now; the vehicle decides when it is near enough."""
        side = self.secc.station
        self.secc.emit(VoltageWanted(_target(request.EVTargetVoltage), _target(request.EVTargetCurrent)))
        body = self.T.PreChargeResType(
            ResponseCode="OK",
            DC_EVSEStatus=self.dc_status(),
            EVSEPresentVoltage=self.physical("V", side.present_voltage),
        )
        return Answer("PreChargeRes", body)

    def current_demand_fields(self, request: Any) -> dict[str, Any]:
        """What CurrentDemandRes says in both protocols."""
        side, limits = self.secc.station, self.secc.station.dc
        voltage, current = _target(request.EVTargetVoltage), _target(request.EVTargetCurrent)
        self.secc.emit(
            CurrentWanted(
                voltage,
                current,
                request.DC_EVStatus.EVRESSSOC,
                request.ChargingComplete,
                _optional(request.EVMaximumVoltageLimit),
                _optional(request.EVMaximumCurrentLimit),
                _optional(request.EVMaximumPowerLimit),
            )
        )
        return {
            "ResponseCode": "OK",
            "DC_EVSEStatus": self.dc_status(),
            "EVSEPresentVoltage": self.physical("V", side.present_voltage),
            "EVSEPresentCurrent": self.physical("A", side.present_current),
            "EVSECurrentLimitAchieved": current >= limits.max_current,
            "EVSEVoltageLimitAchieved": voltage >= limits.max_voltage,
            "EVSEPowerLimitAchieved": side.present_voltage * current >= limits.max_power,
            "EVSEMaximumVoltageLimit": self.physical("V", limits.max_voltage),
            "EVSEMaximumCurrentLimit": self.physical("A", limits.max_current),
            "EVSEMaximumPowerLimit": self.physical("W", limits.max_power),
        }

    def welding_detection(self, request: Any, message: Any, now: float) -> Answer | None:  # noqa: ARG002
        """The voltage at the output."""
        self.check_pilot_back()
        self.secc.emit(WeldingWanted())
        body = self.T.WeldingDetectionResType(
            ResponseCode="OK",
            DC_EVSEStatus=self.dc_status("EVSE_NotReady"),
            EVSEPresentVoltage=self.physical("V", self.secc.station.present_voltage),
        )
        return Answer("WeldingDetectionRes", body)

    def check_pilot_back(self) -> None:
        """DC: after PowerDeliveryReq (Stop) the vehicle has to be back in state B."""
        if self.secc.state == STOPPED_DC and self.secc.station.pilot in ("C", "D"):
            raise Refusal("FAILED", f"control pilot still in state {self.secc.station.pilot}")

    def switch_power(self, on: bool, profile: tuple[tuple[int, float], ...] = ()) -> bool:
        """Ask for power on or off once; whether it is so now. Raises Refusal on a contactor fault."""
        facts, side = self.secc.facts, self.secc.station
        if facts.power_wanted is not on:
            facts.power_wanted = on
            self.secc.emit(PowerWanted(on, facts.schedule if on else None, profile))
        if side.contactor_fault:
            raise Refusal("FAILED_ContactorError", "the contactor did not follow")
        return side.power_on is on

    def session_id_for(self, requested: bytes) -> tuple[bytes, bool]:
        """The id of this session, and whether it is the paused one ([V2G2-741])."""
        paused = self.secc.paused
        if paused and paused.protocol == self.secc.protocol and requested == paused.session_id:
            return paused.session_id, True
        return self.secc.new_session_id(), False

    def unix_time(self) -> int | None:
        """Civil time as stamps carry it."""
        at = self.secc.station.civil_time
        return None if at is None else int(at.timestamp())


def _target(physical: Any) -> float:
    """What a vehicle wants; less than nothing is nothing."""
    return max(0.0, number(physical))


def _optional(physical: Any) -> float | None:
    return None if physical is None else number(physical)
