"""Times of the station's side, in nanoseconds, each with its source."""

from __future__ import annotations

from firmware_sim.agenda import MS, S
from ports.charge_control import PilotState

# Debounce of the pilot. Opening must be over 100 ms after S2 opens (IEC 61851-1 table A.6, 8.1), so detection stays
# under 50 ms; a C of 200 ms is a wake-up signal and must pass (ISO 15118-3 table 3).
DEBOUNCE: dict[PilotState, int] = {
    PilotState.A: 25 * MS,  # OpenEVSE open_evse.h: 25 ms towards A
    PilotState.B: 30 * MS,
    PilotState.C: 30 * MS,
    PilotState.D: 30 * MS,
    PilotState.E: 30 * MS,
    PilotState.F: 30 * MS,
}
UNDEFINED_LEVEL = 1500 * MS  # a level between the bands becomes a fault: CP error of the 15118-4 timer set
DIODE = 100 * MS  # well under the 1.5 s in which the fault must be known (same source)
PLUG = 20 * MS  # proximity is settled before the pilot says B: no offer above the cable's rating
PROXIMITY = 50 * MS  # later changes; longer than the pilot's way to A: unplugging is no fault
AUXILIARY = 10 * MS  # contactor bounce is over by then

SUPPLY_ON = 3 * S  # table A.6, 4: supply on after C2
FORCED_OPEN = 6 * S  # table A.6, 10.2: the vehicle draws although the PWM is off
DUTY_CHANGE = 5 * S  # table A.6: the PWM changes at most every 5 s
T_STEP_EF = 4 * S  # ISO 15118-3: shortest time in E or F
T_STEP_X1 = 3 * S  # ISO 15118-3: x1 between 5 % and a nominal duty
X1_AFTER_EF = 750 * MS  # ISO 15118-3: 500 to 1000 ms of x1 after E or F (750 ms: EVerest)
UNLOCK_AFTER_F = 5 * S  # EVerest Charger: unlocks 5 s after F

SELF_TEST = 50 * MS  # residual current device, before each close
FEEDBACK = 1 * S  # auxiliary contact agrees: ISO 15118 allows 1 s; OpenEVSE: still on 1 s after open = stuck relay
LOCK = 2 * S  # the motor has stopped by then
REPORT_TRIP = 30 * MS  # the board opens first, software is told afterwards
OVER_CURRENT = 10 * S  # OpenEVSE (EU build): above pilot + 5 A for 10 s
OVER_CURRENT_A = 5.0
HOT_GRACE = 5 * S  # OpenEVSE state 0A: +12 V, 5 s for the vehicle to stop, then the relay opens

# BCB wake-up (ISO 15118-3 table 3): each state 200 to 400 ms, 1 to 3 toggles, all within 3.5 s
TOGGLE_SHORTEST = 200 * MS
TOGGLE_LONGEST = 400 * MS
TOGGLE_WINDOW = 3500 * MS
