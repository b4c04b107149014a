"""The station as its backend link sees it: connectors, their news, and what may be asked of it from afar."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Protocol


class Availability(StrEnum):
    """OCPP 2.0.1 ConnectorStatusEnumType."""

    AVAILABLE = "Available"
    OCCUPIED = "Occupied"
    RESERVED = "Reserved"
    UNAVAILABLE = "Unavailable"
    FAULTED = "Faulted"


class ChargingState(StrEnum):
    """OCPP 2.0.1 ChargingStateEnumType."""

    IDLE = "Idle"
    CONNECTED = "EVConnected"
    CHARGING = "Charging"
    SUSPENDED_EV = "SuspendedEV"
    SUSPENDED_EVSE = "SuspendedEVSE"


@dataclass(frozen=True, slots=True)
class StationIdentity:
    """Who the station is."""

    vendor: str
    model: str
    serial_number: str
    firmware: str


@dataclass(frozen=True, slots=True)
class ConnectorNews:
    """What holds at a connector.

    number: 1, 2, ... as the backend counts EVSEs. transaction_id: "" without one. energy_kwh: of the transaction.
    faults: names of `ports.charge_control.ControlFault`, or what the gateway calls its own.
    """

    number: int
    connector: str
    evse_id: str
    availability: Availability
    charging: ChargingState
    transaction_id: str = ""
    energy_kwh: Decimal | None = None
    faults: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RemoteAnswer:
    """accepted: it will be tried. transaction_id: when it began at once. detail: why not."""

    accepted: bool
    transaction_id: str = ""
    detail: str = ""


class Station(Protocol):
    """A gateway, seen from its backend links."""

    @property
    def identity(self) -> StationIdentity:
        """Who it is."""

    def connectors(self) -> Sequence[ConnectorNews]:
        """What holds now, by number."""

    def subscribe(self, listener: Callable[[ConnectorNews], None]) -> Callable[[], None]:
        """Call on every change (never more than once for the same news); returns what ends it."""

    async def request_start(self, number: int | None, id: str, id_type: str, flag: str) -> RemoteAnswer:  # noqa: A002
        """Somebody may charge, says the backend. number: None = the first that is plugged in and free.

        id_type: OCMF name. flag: OCMF table 14, "OCPP_RS" or "OCPP_RS_TLS". Never raises for a refusal.
        """

    async def request_stop(self, transaction_id: str, why: str = "") -> RemoteAnswer:
        """End a transaction (end record TX=R). why: for traces. Never raises for a refusal."""
