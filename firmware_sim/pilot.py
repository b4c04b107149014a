"""The control pilot as a circuit: what the station's source, the vehicle's resistors and its diode make of it.

Figures: IEC 61851-1 annex A, as published in EVerest's bring-up guide (docs/.../bringup/basic.rst).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ports.charge_control import PilotState

SOURCE_V = 12.0  # 11.4 to 12.6 V
SOURCE_OHM = 1000.0  # 970 to 1030 ohm
DIODE_V = 0.7
NEGATIVE_LIMIT_V = -10.0  # a sound diode leaves -12 V; without one 4610 ohm, the highest for B, leaves -9.9 V

# Vehicle: one resistor for B, a second in parallel for C, or another one for D (IEC 61851-1 table A.2).
R_B_OHM = 2740.0  # 1870 to 4610 ohm still read as B
R_C_OHM = 1300.0  # 909 to 1723 ohm still read as C; with R_B in parallel 882 ohm
R_D_OHM = 270.0  # with R_B in parallel 246 ohm

# Level at the station's terminal, 1 V to either side of nominal (IEC 61851-1 table A.4); nothing is defined between.
BANDS: tuple[tuple[PilotState, float, float], ...] = (
    (PilotState.A, 11.0, 13.0),
    (PilotState.B, 8.0, 10.0),
    (PilotState.C, 5.0, 7.0),
    (PilotState.D, 2.0, 4.0),
    (PilotState.E, -1.0, 1.0),
    (PilotState.F, -13.0, -11.0),
)


class Drive(StrEnum):
    """What the station's source does."""

    STEADY = "steady"  # +12 V: x1
    PWM = "pwm"  # +-12 V at 1 kHz: x2
    NEGATIVE = "negative"  # -12 V: F


@dataclass(frozen=True, slots=True)
class PilotOutput:
    """The station's source; duty in per cent, 100 when there is no PWM."""

    drive: Drive = Drive.STEADY
    duty: float = 100.0


class Diode(StrEnum):
    """The vehicle's diode: as it should be, or broken."""

    SOUND = "sound"
    SHORTED = "shorted"  # or missing and bridged: conducts both ways
    OPEN = "open"  # never conducts: the vehicle is invisible
    REVERSED = "reversed"  # conducts in the negative half only


@dataclass(frozen=True, slots=True)
class PilotLoad:
    """What the vehicle puts between pilot and protective earth; ohm None = nothing plugged in."""

    ohm: float | None = None
    diode: Diode = Diode.SOUND


@dataclass(frozen=True, slots=True)
class PilotLevels:
    """Volts at the station's terminal in the positive and the negative part of a period (equal without PWM)."""

    high: float
    low: float


def parallel(*ohms: float) -> float:
    """Resistance of resistors in parallel."""
    return 1 / sum(1 / ohm for ohm in ohms)


def loaded(volts: float, load: PilotLoad) -> float:
    """What the load leaves of a source voltage (positive or negative), in volts."""
    if load.ohm is None or load.diode is Diode.OPEN:
        return volts
    share = load.ohm / (load.ohm + SOURCE_OHM)
    if load.diode is Diode.SHORTED:
        return volts * share
    forward = 1 if load.diode is Diode.SOUND else -1
    if volts * forward <= DIODE_V:
        return volts
    drop = DIODE_V * forward
    return drop + (volts - drop) * share


def levels(output: PilotOutput, load: PilotLoad, drift_v: float = 0.0) -> PilotLevels:
    """The two levels at the station's terminal; `drift_v` is added by a bad source or earth."""
    high = loaded(-SOURCE_V if output.drive is Drive.NEGATIVE else SOURCE_V, load) + drift_v
    if output.drive is Drive.PWM:
        return PilotLevels(high, loaded(-SOURCE_V, load) + drift_v)
    return PilotLevels(high, high)


def classify(volts: float) -> PilotState | None:
    """The state of a level; None between the bands."""
    return next((state for state, low, high in BANDS if low <= volts <= high), None)


def diode_is_bad(output: PilotOutput, measured: PilotLevels) -> bool:
    """Whether the negative half says that a vehicle's diode is missing, shorted or reversed; only PWM can tell."""
    return output.drive is Drive.PWM and NEGATIVE_LIMIT_V < measured.low < -1.0
