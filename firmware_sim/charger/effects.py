"""What the charger's machine asks its shell to do."""

from __future__ import annotations

from dataclasses import dataclass, field

from firmware_sim.pilot import PilotOutput
from ports.charge_control import ControlEvent


@dataclass(frozen=True, slots=True)
class SetOutput:
    """Drive the pilot like this."""

    output: PilotOutput


@dataclass(frozen=True, slots=True)
class SetCoil:
    """Switch the contactor's coil."""

    on: bool


@dataclass(frozen=True, slots=True)
class SetLock:
    """Run the lock's motor."""

    locked: bool


@dataclass(frozen=True, slots=True)
class Report:
    """Tell the gateway."""

    event: ControlEvent


@dataclass(frozen=True, slots=True)
class Answer:
    """The command with this number is over; refusal "" = done."""

    number: int
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class Note:
    """Something for the trace only."""

    kind: str
    data: dict[str, object] = field(default_factory=dict)


Effect = SetOutput | SetCoil | SetLock | Report | Answer | Note
