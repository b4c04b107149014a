"""What the pilot shows when the vehicle may talk: a table of modes, and the duty of each (ISO 15118-3, 8.3)."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

DIGITAL_DUTY = 5.0
STEADY = 100.0


class Mode(StrEnum):
    """Who leads at the connector."""

    FREE = "free"  # nothing plugged in
    ASKING = "asking"  # 5 % duty, no session
    TALKING = "talking"  # 5 % duty, a session
    ASLEEP = "asleep"  # a paused session: no PWM until the vehicle toggles B-C-B
    BASIC = "basic"  # the duty says the current: no session came


class Happening(StrEnum):
    """What changes the mode."""

    PLUGGED = "plugged"
    UNPLUGGED = "unplugged"
    SESSION = "session"
    ENDED = "ended"
    PAUSED = "paused"
    WAKE_UP = "wake-up"
    SILENCE = "silence"  # nobody talked for `SeccSetup.communication_s`


DUTIES: Mapping[Mode, float | None] = MappingProxyType(
    {
        Mode.FREE: STEADY,
        Mode.ASKING: DIGITAL_DUTY,
        Mode.TALKING: DIGITAL_DUTY,
        Mode.ASLEEP: STEADY,
        Mode.BASIC: None,  # the transaction offers current by itself
    }
)
M, H = Mode, Happening
NEXT: Mapping[tuple[Mode, Happening], Mode] = MappingProxyType(
    {
        (M.FREE, H.PLUGGED): M.ASKING,
        (M.ASKING, H.SESSION): M.TALKING,
        (M.ASKING, H.SILENCE): M.BASIC,
        (M.TALKING, H.ENDED): M.ASKING,
        (M.TALKING, H.PAUSED): M.ASLEEP,
        (M.ASLEEP, H.WAKE_UP): M.ASKING,
        (M.ASLEEP, H.SESSION): M.TALKING,
        (M.BASIC, H.WAKE_UP): M.ASKING,
        (M.BASIC, H.SESSION): M.TALKING,
        **{(mode, H.UNPLUGGED): M.FREE for mode in (M.ASKING, M.TALKING, M.ASLEEP, M.BASIC)},
    }
)
