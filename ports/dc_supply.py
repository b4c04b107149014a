"""The DC power stage of a connector: asked for volts and amperes, measured at its output."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class Isolation(StrEnum):
    """Result of an isolation test, as EVSEIsolationStatus names it (ISO 15118-2 table 93)."""

    VALID = "Valid"
    WARNING = "Warning"
    FAULT = "Fault"
    NO_MONITOR = "No_IMD"


@dataclass(frozen=True, slots=True)
class DcRating:
    """What the power stage can do: V, A, W."""

    max_voltage_v: float
    min_voltage_v: float
    max_current_a: float
    max_power_w: float


@dataclass(frozen=True, slots=True)
class DcMeasured:
    """Newest measurement at the output: V, A."""

    voltage_v: float
    current_a: float


class DcSupply(Protocol):
    """A power stage, real or simulated. Its output leads to the vehicle through the connector's contactor."""

    @property
    def rating(self) -> DcRating:
        """What it can do."""

    def measured(self) -> DcMeasured:
        """The newest measurement; never waits."""

    def set_output(self, voltage_v: float, current_a: float) -> None:
        """Hold this voltage with at most this current from now on, within the rating; returns at once. 0 V is off."""

    async def test_isolation(self) -> Isolation:
        """Measure the isolation of the output with a test voltage on it; off afterwards. Raises PeerError, RigError."""

    async def close(self) -> None:
        """Switch off; harmless when closed."""
