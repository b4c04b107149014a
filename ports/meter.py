"""Meters: what a reading is, and what everything that can be read offers."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

from ports.clock import TimeStatus


class Quality(StrEnum):
    """State of the meter at the reading, one letter as in OCMF's ST field (OCMF 1.4.1 table 10)."""

    NOT_PRESENT = "N"
    GOOD = "G"
    TIMEOUT = "T"
    DISCONNECTED = "D"
    NOT_FOUND = "R"
    MANIPULATED = "M"
    EXCHANGED = "X"
    INCOMPATIBLE = "I"
    OUT_OF_RANGE = "O"
    SUBSTITUTE = "S"
    OTHER_ERROR = "E"
    READ_ERROR = "F"


@dataclass(frozen=True, slots=True)
class Reading:
    """One value of one register at one time.

    value: exact decimal, with the digits that the register has.
    unit: "kWh", "Wh", "W", "V", "A", "Hz" or "" (text is never a Reading).
    obis: identification of the register, e.g. "1-b:1.8.0"; "" when there is none.
    time / time_status: civil time of the reading and how far it may be trusted.
    monotonic: boot-time seconds of the reading; ages and durations come from here.
    quality: whether the value may be used; only GOOD may be billed.
    billing_grade: False for values that passed through float32 counters without exact digits.
    raw: the register content it was decoded from, as evidence.
    """

    name: str
    value: Decimal
    unit: str
    obis: str
    time: datetime
    time_status: TimeStatus
    monotonic: float
    quality: Quality = Quality.GOOD
    billing_grade: bool = True
    raw: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class MeterIdentity:
    """Who the meter is, as signed in OCMF: MV, MM, MS, MF."""

    vendor: str
    model: str
    serial: str
    firmware: str = ""


class Meter(Protocol):
    """A meter that can be read."""

    @property
    def label(self) -> str:
        """Its name in the rig file."""

    async def identify(self) -> MeterIdentity:
        """Read vendor, model and serial number from the device. Raises PeerError, RigError."""

    async def read_energy(self) -> Reading:
        """The billing register (total active import). Raises PeerError or RigError, never a stale value."""

    async def read(self, names: tuple[str, ...] = ()) -> dict[str, Reading]:
        """The named points, all of the model when empty; optional points that the device lacks are left out."""

    async def close(self) -> None:
        """Release the line; harmless when closed."""
