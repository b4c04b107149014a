"""What a vehicle's machine needs to know from the vehicle: its battery, its contract and its wishes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from v2g.contract_key import KeyAgreement
from v2g.signature_suites import Sign

CHARGE = "charge"
STOP = "stop"
PAUSE = "pause"
RENEGOTIATE = "renegotiate"


@dataclass(frozen=True, slots=True)
class ContractCredentials:
    """A contract. certificates: DER, contract certificate first, then its sub-CAs. sign: may ask a token.

    agree: the same key's side of a key agreement; only needed for updating the contract.
    """

    emaid: str
    certificates: tuple[bytes, ...] = field(repr=False)
    sign: Sign = field(repr=False)
    agree: KeyAgreement | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class ProvisioningCredentials:
    """The OEM provisioning certificate (DER), and what its key does: sign, and agree on a session key."""

    certificate: bytes = field(repr=False)
    sign: Sign = field(repr=False)
    agree: KeyAgreement = field(repr=False)


@dataclass(frozen=True, slots=True)
class AcDemand:
    """Wh, V, A."""

    energy: float = 20000.0
    max_voltage: float = 400.0
    max_current: float = 32.0
    min_current: float = 6.0


@dataclass(frozen=True, slots=True)
class DcDemand:
    """Limits of the battery: V, A, W, Wh; None is not sent."""

    max_voltage: float = 450.0
    max_current: float = 200.0
    max_power: float | None = 80000.0
    energy_capacity: float | None = 60000.0
    energy_request: float | None = None
    full_soc: int | None = 99
    bulk_soc: int | None = 80


class VehicleSide(Protocol):
    """What holds in the vehicle now."""

    @property
    def evcc_id(self) -> bytes:
        """MAC address, 6 octets."""

    @property
    def protocols(self) -> tuple[str, ...]:
        """ "iso2" and "din", best first; DIN is left out with TLS."""

    @property
    def payment(self) -> str:
        """ "Contract" or "ExternalPayment"."""

    @property
    def fallback(self) -> bool:
        """Whether it pays in the other way where `payment` is not possible."""

    @property
    def mode(self) -> str:
        """EnergyTransferMode, e.g. "AC_three_phase_core", "DC_extended"."""

    @property
    def contract(self) -> ContractCredentials | None:
        """The contract to pay with."""

    @property
    def provisioning(self) -> ProvisioningCredentials | None:
        """Needed for installing a contract."""

    @property
    def certificate_action(self) -> str:
        """ "" or "install" or "update": what to do about the contract certificate, if the station offers it."""

    @property
    def services(self) -> tuple[tuple[int, int | None], ...]:
        """Value-added services to use, if offered: (ServiceID, ParameterSetID)."""

    @property
    def root_ids(self) -> tuple[tuple[str, int], ...]:
        """(issuer name, serial number) of the V2G roots that the vehicle has."""

    @property
    def v2g_roots(self) -> Iterable[Any] | None:
        """Roots (asn1crypto) for the provisioning service; None: its chain is not checked."""

    @property
    def civil_time(self) -> datetime | None:
        """Civil time with its zone, for certificates."""

    @property
    def ac(self) -> AcDemand:
        """What AC charging needs."""

    @property
    def dc(self) -> DcDemand:
        """What DC charging needs."""

    @property
    def departure_time(self) -> int | None:
        """Seconds from now."""

    @property
    def max_power(self) -> float | None:
        """W, for the charging profile; None: whatever the schedule allows."""

    @property
    def schedule(self) -> int | None:
        """SAScheduleTupleID to choose; None: the first."""

    @property
    def soc(self) -> int:
        """Per cent."""

    @property
    def ready(self) -> bool:
        """DC: whether the vehicle is ready."""

    @property
    def error(self) -> str:
        """DC_EVErrorCode."""

    @property
    def target_voltage(self) -> float:
        """V."""

    @property
    def target_current(self) -> float:
        """A."""

    @property
    def complete(self) -> bool:
        """Whether the battery is full enough."""

    @property
    def welding_checked(self) -> bool:
        """DC: whether the welding detection needs no more voltage readings."""

    def take_wish(self) -> str:
        """ "charge", "stop", "pause" or "renegotiate"; a renegotiation is wished once."""


@dataclass(slots=True)
class VehicleState:
    """A VehicleSide to set values on. The defaults describe an AC vehicle that pays at the station."""

    evcc_id: bytes = bytes.fromhex("020000000001")
    protocols: tuple[str, ...] = ("iso2", "din")
    payment: str = "ExternalPayment"
    fallback: bool = True
    mode: str = "AC_three_phase_core"
    contract: ContractCredentials | None = None
    provisioning: ProvisioningCredentials | None = None
    certificate_action: str = ""
    services: tuple[tuple[int, int | None], ...] = ()
    root_ids: tuple[tuple[str, int], ...] = (("CN=V2GRootCA", 1),)
    v2g_roots: Iterable[Any] | None = None
    civil_time: datetime | None = None
    ac: AcDemand = AcDemand()
    dc: DcDemand = DcDemand()
    departure_time: int | None = None
    max_power: float | None = None
    schedule: int | None = None
    soc: int = 30
    ready: bool = True
    error: str = "NO_ERROR"
    target_voltage: float = 400.0
    target_current: float = 100.0
    complete: bool = False
    welding_checked: bool = True
    wish: str = CHARGE

    def take_wish(self) -> str:
        """The wish; a renegotiation is wished once."""
        wish = self.wish
        if wish == RENEGOTIATE:
            self.wish = CHARGE
        return wish
