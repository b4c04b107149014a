"""Charge control: what the gateway sees of the firmware at the cable (IEC 61851-1)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class PilotState(StrEnum):
    """State of the control pilot (IEC 61851-1 table A.4)."""

    A = "A"
    B = "B"
    C = "C"
    D = "D"
    E = "E"
    F = "F"


class ControlFault(StrEnum):
    """Faults that firmware reports; names as in the public MREC vocabulary where that has one."""

    DIODE = "DiodeFault"
    PILOT = "PilotFault"
    PROXIMITY = "ProximityFault"
    CONTACTOR = "EVSEContactorFault"
    GROUND = "GroundFailure"
    OVER_CURRENT = "OverCurrentFailure"
    HIGH_TEMPERATURE = "HighTemperature"
    LOCK = "ConnectorLockFailure"
    VENTILATION = "VentilationNotAvailable"
    POWER_LOSS = "PowerLoss"
    EMERGENCY_STOP = "EmergencyStop"
    LINK = "CommunicationFault"


@dataclass(frozen=True, slots=True)
class ControlEvent:
    """Something changed at the cable. `at` is boot-time seconds."""

    at: float
    connector: str


@dataclass(frozen=True, slots=True)
class PilotChanged(ControlEvent):
    """The pilot has a new, debounced state; `pwm` tells x2 (True) from x1."""

    state: PilotState
    pwm: bool


@dataclass(frozen=True, slots=True)
class ContactorChanged(ControlEvent):
    """The auxiliary contact reports a new position."""

    closed: bool


@dataclass(frozen=True, slots=True)
class FaultChanged(ControlEvent):
    """A fault came (`active`) or went."""

    fault: ControlFault
    active: bool
    detail: str = ""


@dataclass(frozen=True, slots=True)
class WakeUp(ControlEvent):
    """The vehicle toggled B-C-B to wake the station (ISO 15118-3 table 3); `toggles` so far, 1 to 3 are valid."""

    toggles: int


@dataclass(frozen=True, slots=True)
class ControlStatus:
    """Everything at once. duty: per cent (0-100), 100 = no PWM. cable_a: rating by proximity, None = tethered."""

    pilot: PilotState
    duty: float
    contactor_closed: bool
    locked: bool
    cable_a: int | None
    faults: frozenset[ControlFault]


class ChargeControl(Protocol):
    """Firmware of one connector, real or simulated."""

    @property
    def connector(self) -> str:
        """Its name in the rig file."""

    def events(self) -> AsyncIterator[ControlEvent]:
        """Every change from now on, in order; one consumer."""

    async def status(self) -> ControlStatus:
        """What holds at this moment."""

    async def offer_current(self, amperes: float) -> None:
        """Show the vehicle how much it may draw (PWM duty); 0 takes the PWM away (x1)."""

    async def offer_duty(self, per_cent: float) -> None:
        """Set the duty as such: 5 asks for digital communication, 100 is steady +12 V."""

    async def set_unavailable(self, unavailable: bool) -> None:
        """State F (-12 V) on or off."""

    async def set_contactor(self, closed: bool) -> None:
        """Command the contactor; returns when the auxiliary contact agrees. Raises PeerError when it does not."""

    async def set_lock(self, locked: bool) -> None:
        """Command the connector lock; returns when it agrees. Raises PeerError when it does not."""

    async def close(self) -> None:
        """Open the contactor and release the port; harmless when closed."""
