"""What a station's machine needs to know from the station: the gateway, or a test.

Everything is a value that holds now. What is not known yet is None: the vehicle is told `Ongoing`, or its answer waits
until `Secc.update` is called, up to the message's performance time.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, Protocol

CHARGE_SERVICE_ID = 1  # ISO 15118-2 table 105
CERTIFICATE_SERVICE_ID = 2
INTERNET_SERVICE_ID = 3

ParameterValue = bool | int | str


@dataclass(frozen=True, slots=True)
class Service:
    """A value-added service. category: "Internet", "ContractCertificate" or "OtherCustom".

    parameter_sets: ParameterSetID to {name: value}.
    """

    id: int
    name: str
    category: str
    free: bool = True
    scope: str | None = None
    parameter_sets: MappingProxyType[int, dict[str, ParameterValue]] = field(
        default_factory=lambda: MappingProxyType({})
    )


# ISO 15118-2 tables 105 to 107
CERTIFICATE_SERVICE = Service(
    CERTIFICATE_SERVICE_ID,
    "Certificate",
    "ContractCertificate",
    parameter_sets=MappingProxyType({1: {"Service": "Installation"}, 2: {"Service": "Update"}}),
)
INTERNET_SERVICE = Service(
    INTERNET_SERVICE_ID,
    "InternetAccess",
    "Internet",
    parameter_sets=MappingProxyType(
        {
            1: {"Protocol": "ftp", "Port": 20},
            2: {"Protocol": "ftp", "Port": 21},
            3: {"Protocol": "http", "Port": 80},
            4: {"Protocol": "https", "Port": 443},
        }
    ),
)


@dataclass(frozen=True, slots=True)
class Schedule:
    """One SAScheduleTuple. entries: (start in s from now, W). duration: of the last entry, in s.

    tariff: SalesTariffType of -2, or None.
    """

    id: int
    entries: tuple[tuple[int, float], ...]
    duration: int = 86400
    tariff: Any = None


@dataclass(frozen=True, slots=True)
class ScheduleOffer:
    """Schedules, and the signature over their tariffs (SignatureType by the mobility operator's sub-CA 2)."""

    schedules: tuple[Schedule, ...]
    tariff_signature: Any = None


@dataclass(frozen=True, slots=True)
class AcLimits:
    """nominal_voltage in V (line to neutral), max_current in A per phase."""

    nominal_voltage: float = 230.0
    max_current: float = 32.0


@dataclass(frozen=True, slots=True)
class DcLimits:
    """V, A, W; ripple and tolerance in A; energy in Wh or None."""

    max_voltage: float = 500.0
    min_voltage: float = 150.0
    max_current: float = 200.0
    min_current: float = 0.0
    max_power: float = 50000.0
    ripple: float = 5.0
    tolerance: float | None = None
    energy: float | None = None


@dataclass(frozen=True, slots=True)
class MeterReport:
    """MeterInfo. reading in Wh; signature: at most 64 octets; time: UNIX seconds."""

    meter_id: str
    reading: int | None = None
    signature: bytes | None = None
    status: int | None = None
    time: int | None = None


@dataclass(frozen=True, slots=True)
class CertificateAnswer:
    """What the backend said. exi: a CertificateInstallationRes or CertificateUpdateRes, whole message, signed;
    or None and a FAILED code."""

    exi: bytes | None = field(default=None, repr=False)
    code: str = "FAILED"


class StationSide(Protocol):
    """What holds at the station now."""

    @property
    def evse_id(self) -> str:
        """EVSEID, e.g. "DE*ABC*E0001"."""

    @property
    def modes(self) -> tuple[str, ...]:
        """EnergyTransferModes on offer, e.g. ("AC_three_phase_core", "AC_single_phase_core")."""

    @property
    def payments(self) -> tuple[str, ...]:
        """ "Contract" and "ExternalPayment"; Contract is offered over TLS only."""

    @property
    def free(self) -> bool:
        """Whether charging costs nothing."""

    @property
    def services(self) -> tuple[Service, ...]:
        """Value-added services; the certificate service is offered over TLS only."""

    @property
    def civil_time(self) -> datetime | None:
        """Civil time with its zone: for stamps and the validity of certificates; None when unknown."""

    @property
    def contract_roots(self) -> Iterable[Any] | None:
        """Roots (asn1crypto certificates) for contracts; None: the chain is judged by whoever authorises."""

    @property
    def authorization(self) -> str | None:
        """None: not decided. "OK", or the FAILED code to refuse with."""

    @property
    def certificate_answer(self) -> CertificateAnswer | None:
        """Answer to the last CertificateWanted."""

    @property
    def schedules(self) -> ScheduleOffer | None:
        """Schedules on offer."""

    @property
    def ac(self) -> AcLimits:
        """Limits of AC."""

    @property
    def dc(self) -> DcLimits:
        """Limits of DC."""

    @property
    def notification(self) -> str:
        """EVSENotification: "None", "StopCharging" or "ReNegotiation"."""

    @property
    def notification_max_delay(self) -> int:
        """Seconds in which the vehicle is to follow the notification."""

    @property
    def rcd(self) -> bool:
        """AC: whether the residual current device has tripped."""

    @property
    def pilot(self) -> str | None:
        """State of the control pilot, "A" to "F"; None: not watched. A, E and F end the session."""

    @property
    def status_code(self) -> str | None:
        """DC: EVSEStatusCode to show; None: the one that fits the state of the session."""

    @property
    def isolation(self) -> str | None:
        """DC: result of the cable check ("Valid", "Warning", "Fault", "No_IMD"); None: still measuring."""

    @property
    def power_on(self) -> bool:
        """Whether the contactor is closed, or the DC output on."""

    @property
    def contactor_fault(self) -> bool:
        """Whether the contactor did not follow a command."""

    @property
    def present_voltage(self) -> float:
        """DC: V at the output."""

    @property
    def present_current(self) -> float:
        """DC: A at the output."""

    @property
    def meter(self) -> MeterReport | None:
        """The reading to show in the loop."""

    @property
    def receipt_required(self) -> bool:
        """Whether the vehicle has to sign the next reading (contract only)."""

    @property
    def receipt_kept(self) -> bool | None:
        """Whether the station has kept the receipt of the last ReceiptReceived; None: not yet."""


@dataclass(slots=True)
class StationState:
    """A StationSide to set values on. The defaults describe a free AC station whose contactor is open."""

    evse_id: str = "DE*PLB*E0001"
    modes: tuple[str, ...] = ("AC_three_phase_core", "AC_single_phase_core")
    payments: tuple[str, ...] = ("ExternalPayment",)
    free: bool = False
    services: tuple[Service, ...] = ()
    civil_time: datetime | None = None
    contract_roots: Iterable[Any] | None = None
    authorization: str | None = None
    certificate_answer: CertificateAnswer | None = None
    schedules: ScheduleOffer | None = None
    ac: AcLimits = AcLimits()
    dc: DcLimits = DcLimits()
    notification: str = "None"
    notification_max_delay: int = 0
    rcd: bool = False
    pilot: str | None = None
    status_code: str | None = None
    isolation: str | None = None
    power_on: bool = False
    contactor_fault: bool = False
    present_voltage: float = 0.0
    present_current: float = 0.0
    meter: MeterReport | None = None
    receipt_required: bool = False
    receipt_kept: bool | None = True
