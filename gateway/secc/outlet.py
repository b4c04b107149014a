"""The connector as its V2G session sees it: `StationSide` over transaction, contactor, meter and power stage."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from gateway.connector import Connector
from gateway.secc.meter_report import meter_report
from gateway.secc.receipt_pace import ReceiptPace
from gateway.secc.setup import SeccSetup
from gateway.transaction import State
from ports.charge_control import ControlFault, PilotState
from ports.clock import Clock
from ports.dc_supply import DcMeasured
from v2g.session.station_side import (
    CERTIFICATE_SERVICE,
    AcLimits,
    CertificateAnswer,
    DcLimits,
    MeterReport,
    Schedule,
    ScheduleOffer,
    Service,
)

# the begin record is kept and signed: energy may flow
BEGUN = frozenset({State.OFFERED, State.CLOSING, State.CHARGING, State.PAUSING, State.SUSPENDED})
# and the vehicle is asked to end its session
ENDING = frozenset({State.WINDING_DOWN, State.STOPPING, State.STUCK, State.READING_END, State.KEEPING_END})
CP_DETECTION_S = 0.25  # ISO 15118-4: how long a station may need to see a new state of the pilot
DARK = DcMeasured(0.0, 0.0)


class Outlet:
    """One session at a connector; the service sets what only it knows.

    refusal: FAILED code for a contract that may not charge. delivering: PowerDelivery (Start) holds.
    renegotiation: the vehicle is asked to negotiate anew. begun: this session has been authorised.
    certificates: of the contract that pays, DER; () for everybody else. receipts: when it signs a reading;
    receipt_kept: whether the last one is in the journal.
    contracts_offered: False while the station's own certificate is not valid.
    """

    def __init__(self, connector: Connector, setup: SeccSetup, clock: Clock) -> None:
        self.refusal: str | None = None
        self.certificate_answer: CertificateAnswer | None = None
        self.schedules: ScheduleOffer | None = None
        self.isolation: str | None = None
        self.delivering = False
        self.renegotiation = False
        self.begun = False
        self.certificates: tuple[bytes, ...] = ()
        self.contracts_offered = True
        self.receipt_kept: bool | None = None
        self.receipts = ReceiptPace(connector.policy, clock.monotonic())
        self.max_current_a = connector.setup.offered_a
        self._connector = connector
        self._setup = setup
        self._clock = clock
        self._settled_at = clock.monotonic()

    def settle(self) -> None:
        """The vehicle has to change the pilot now: it is not judged until the station can have seen it."""
        self._settled_at = self._clock.monotonic() + CP_DETECTION_S

    def offer_schedules(self, mode: str) -> None:
        """What the connector can deliver, as one schedule without end."""
        self.schedules = ScheduleOffer((Schedule(1, ((0, self._max_power(mode)),)),))

    def _max_power(self, mode: str) -> float:
        if self._setup.dc is not None:
            return self._setup.dc.rating.max_power_w
        phases = min(self._setup.phases, 3 if "three" in mode else 1)
        return phases * self._setup.nominal_v * self.max_current_a

    # v2g.session.station_side.StationSide

    @property
    def evse_id(self) -> str:
        return self._connector.setup.point_id

    @property
    def modes(self) -> tuple[str, ...]:
        return self._setup.modes

    @property
    def payments(self) -> tuple[str, ...]:
        if self.free or not self.contracts_offered:
            return ("ExternalPayment",)
        return self._setup.payments

    @property
    def free(self) -> bool:
        return self._connector.policy.free

    @property
    def services(self) -> tuple[Service, ...]:
        offered = self._setup.contract_source is not None and "Contract" in self.payments
        return (CERTIFICATE_SERVICE,) if offered else ()

    @property
    def civil_time(self) -> datetime | None:
        return self._clock.now()

    @property
    def contract_roots(self) -> Iterable[Any] | None:
        return self._setup.contract_roots

    @property
    def authorization(self) -> str | None:
        """Finished once the signed begin record is there: nobody asks for power before."""
        if self._connector.machine.state in BEGUN:
            self.begun = True
            return "OK"
        return self.refusal

    @property
    def ac(self) -> AcLimits:
        return AcLimits(self._setup.nominal_v, self.max_current_a)

    @property
    def dc(self) -> DcLimits:
        if self._setup.dc is None:
            return DcLimits()
        rating = self._setup.dc.rating
        return DcLimits(
            max_voltage=rating.max_voltage_v,
            min_voltage=rating.min_voltage_v,
            max_current=min(rating.max_current_a, self.max_current_a),
            max_power=rating.max_power_w,
        )

    @property
    def ending(self) -> bool:
        """Whether the transaction of this session is ending, or over."""
        machine = self._connector.machine
        return self.begun and (machine.state in ENDING or not machine.in_transaction)

    @property
    def notification(self) -> str:
        return "StopCharging" if self.ending else "ReNegotiation" if self.renegotiation else "None"

    @property
    def notification_max_delay(self) -> int:
        return 0

    @property
    def rcd(self) -> bool:
        return ControlFault.GROUND in self._connector.machine.faults

    @property
    def pilot(self) -> str | None:
        state = self._connector.machine.pilot
        settled = self._clock.monotonic() >= self._settled_at
        return state.value if settled or state in {PilotState.A, PilotState.E, PilotState.F} else None

    @property
    def status_code(self) -> str | None:
        if ControlFault.EMERGENCY_STOP in self._connector.machine.faults:
            return "EVSE_EmergencyShutdown"
        if self._connector.machine.faults:
            return "EVSE_Malfunction"
        return "EVSE_Shutdown" if self.ending else None

    @property
    def power_on(self) -> bool:
        return self._connector.contactor_closed and (self._setup.dc is None or self.delivering)

    @property
    def contactor_fault(self) -> bool:
        faults = self._connector.machine.faults
        return any(fault.startswith(ControlFault.CONTACTOR) for fault in faults)

    @property
    def measured(self) -> DcMeasured:
        return DARK if self._setup.dc is None else self._setup.dc.measured()

    @property
    def present_voltage(self) -> float:
        return round(self.measured.voltage_v, 1)

    @property
    def present_current(self) -> float:
        return round(self.measured.current_a, 1)

    @property
    def meter(self) -> MeterReport | None:
        """The billing register as it was read last; between two readings it stands."""
        transaction = self._connector.transaction
        if transaction is None:
            return None
        return meter_report(transaction, self.receipts.shown, self._connector.meter_quality)

    @property
    def receipt_required(self) -> bool:
        return self.receipts.is_due
