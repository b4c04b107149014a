"""The phases that people follow: states of a connector in four words."""

from __future__ import annotations

from gateway.transaction import State

PHASES: dict[State, str] = {
    State.AVAILABLE: "IDLE",
    State.PLUGGED: "PLUG",
    State.AUTHORISED: "AUTH",
    State.FAULTED: "FAULT",
    State.LOCKING: "AUTH",
    State.READING_BEGIN: "AUTH",
    State.KEEPING_BEGIN: "AUTH",
    State.CANCELLING: "STOP",
    State.SIGNING_BEGIN: "AUTH",
    State.OFFERED: "CHARGE",
    State.CLOSING: "CHARGE",
    State.CHARGING: "CHARGE",
    State.PAUSING: "CHARGE",
    State.SUSPENDED: "CHARGE",
    State.WINDING_DOWN: "STOP",
    State.STOPPING: "STOP",
    State.STUCK: "FAULT",
    State.READING_END: "STOP",
    State.KEEPING_END: "STOP",
    State.WAITING_FOR_ROOM: "STOP",
}
