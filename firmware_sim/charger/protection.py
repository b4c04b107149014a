"""What the board does by itself when something is wrong. It opens first; the gateway learns afterwards."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from ports.charge_control import ControlFault


class Opens(StrEnum):
    """When the contactor opens."""

    NOW = "now"
    GRACE = "after a grace time"


class Clears(StrEnum):
    """What ends a fault."""

    GONE = "its cause is gone"
    UNPLUG = "the vehicle is unplugged"
    RESET = "somebody resets the board"


class Reaction(NamedTuple):
    """pwm_off: the pilot goes to x1 and stays there while the fault is active."""

    opens: Opens
    pwm_off: bool
    clears: Clears
    source: str


# No fault of this table lets the contactor close while it is active.
PROTECTION: dict[ControlFault, Reaction] = {
    ControlFault.DIODE: Reaction(Opens.NOW, True, Clears.UNPLUG, "15118-4 CMN_Abnormal_001"),
    ControlFault.PILOT: Reaction(Opens.NOW, True, Clears.GONE, "IEC 61851-1 A.4, MREC14"),
    ControlFault.PROXIMITY: Reaction(Opens.NOW, True, Clears.UNPLUG, "IEC 61851-1 B.2, MREC23"),
    ControlFault.CONTACTOR: Reaction(Opens.NOW, True, Clears.RESET, "MREC17; OpenEVSE: a stuck relay never recovers"),
    ControlFault.GROUND: Reaction(Opens.NOW, True, Clears.RESET, "IEC 62955: explicit reset, MREC2"),
    ControlFault.OVER_CURRENT: Reaction(Opens.NOW, True, Clears.UNPLUG, "OpenEVSE state 0B, MREC4"),
    ControlFault.HIGH_TEMPERATURE: Reaction(Opens.GRACE, True, Clears.UNPLUG, "OpenEVSE state 0A, MREC3"),
    ControlFault.LOCK: Reaction(Opens.NOW, False, Clears.GONE, "MREC1"),
    ControlFault.VENTILATION: Reaction(Opens.NOW, False, Clears.GONE, "IEC 61851-1 A.4 state D"),
    ControlFault.POWER_LOSS: Reaction(Opens.NOW, True, Clears.GONE, "MREC15"),
    ControlFault.EMERGENCY_STOP: Reaction(Opens.NOW, True, Clears.GONE, "MREC8"),
}
