"""What the operator decides: times, and what happens when a part fails."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from gateway.record import Source
from gateway.secc.setup import SeccSetup
from ocmf.terms import PointType
from ports.charge_control import ChargeControl
from ports.meter import Meter, MeterIdentity


class OcspPolicy(StrEnum):
    """Whether a contract certificate passes whose OCSP status nobody tells; a revoked one never does.

    HARD: it is refused. SOFT: it passes. OFF: nobody is asked.
    """

    HARD = "hard"
    SOFT = "soft"
    OFF = "off"


class OnTrouble(StrEnum):
    """Whether charging goes on."""

    STOP = "stop"
    CONTINUE = "continue"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Seconds are boot-time seconds; 0 = never.

    plug_s: an authorisation waits so long for the vehicle. vehicle_s: an offer waits so long for the vehicle.
    poll_s: pause between live readings. sample_s: pause between signed readings while charging.
    wind_down_s: what the vehicle has to end its current before the contactor opens under load.
    meter_silence_s: without any good reading for so long, the meter is lost. meter_return_s: how long the end of a
    transaction waits for its meter. rereads: how often an implausible value is read again before it is believed.
    token_s: a record may stay unsigned so long before charging stops.
    store_retry_s: pause between attempts to keep an end record on a full disk. firmware_retry_s: the same for a silent
    connector.
    meter_lost, clock_step: stop or continue. stop_s: what a graceful stop waits for sessions, signatures and backends.
    authorise_s: how long all backends together may take for their word. ocsp, ocsp_s: how contract certificates are
    looked up, and how long that may take. free: whoever plugs in may charge, and nobody is asked.
    receipt_messages, receipt_s: a vehicle that pays by contract signs the meter's reading every so many messages of the
    charging loop, or every so many seconds, whatever comes first; 0 = never.
    """

    plug_s: float = 60.0
    vehicle_s: float = 0.0
    poll_s: float = 1.0
    sample_s: float = 900.0
    wind_down_s: float = 6.0  # IEC 61851-1 table A.6, sequence 10.2
    meter_silence_s: float = 10.0
    meter_return_s: float = 30.0
    meter_retry_s: float = 0.5
    rereads: int = 2
    token_s: float = 30.0
    store_retry_s: float = 5.0
    firmware_retry_s: float = 1.0
    stop_s: float = 30.0
    meter_lost: OnTrouble = OnTrouble.STOP
    clock_step: OnTrouble = OnTrouble.CONTINUE
    authorise_s: float = 40.0  # a vehicle gives up after 60 s, its station after 55 s (ISO 15118-2 table 109)
    ocsp: OcspPolicy = OcspPolicy.SOFT
    ocsp_s: float = 10.0
    free: bool = False
    receipt_messages: int = 0
    receipt_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayIdentity:
    """GI, GS, GV and CF of the records, and the boot that times belong to. vendor, model: for backends."""

    identification: str
    serial: str
    version: str
    controller_firmware: str | None = None
    boot_id: str = ""
    vendor: str = "Plugbench"
    model: str = "Gateway"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectorSetup:
    """One connector: its firmware, its meter, and what its records say.

    offered_a: current shown to the vehicle. max_power_kw: what can flow at most; a steeper register has jumped.
    ventilated: whether pilot state D is served. policy: of this connector; None = the controller's.
    secc: how it talks to vehicles; None = by the pilot's duty only.
    """

    control: ChargeControl
    meter: Meter
    point_id: str
    point_type: PointType = PointType.EVSEID
    current_type: str = "AC"
    tariff_text: str | None = None
    offered_a: float = 16.0
    max_power_kw: Decimal = Decimal(44)
    ventilated: bool = False
    policy: Policy | None = None
    secc: SeccSetup | None = None

    def source(self, gateway: GatewayIdentity, meter: MeterIdentity) -> Source:
        """What the records of a transaction with this meter share."""
        return Source(
            gateway_id=gateway.identification,
            gateway_serial=gateway.serial,
            gateway_version=gateway.version,
            meter=meter,
            point_id=self.point_id,
            point_type=self.point_type,
            current_type=self.current_type,
            tariff_text=self.tariff_text,
            controller_firmware=gateway.controller_firmware,
        )
