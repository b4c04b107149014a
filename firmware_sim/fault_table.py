"""The faults at the cable as a table: name, place, parameters with units and limits, effect, and how each is undone.

Names begin with the public MREC vocabulary (ChargeX) where that has a word; what follows the dot tells variants apart.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from firmware_sim.agenda import MS, ns
from firmware_sim.charger.board import PHASE_NAMES
from firmware_sim.fault_effects import (
    Target,
    Undo,
    Values,
    broken_latch,
    emergency_stop,
    heat,
    jam,
    leak,
    lose_phase,
    no_earth,
    no_feedback,
    pulse,
    residual,
    self_test,
    set_contactor,
    set_level,
    set_pilot,
    set_power_stage,
    set_vehicle,
    ventilation,
    weld,
)
from firmware_sim.pilot import Diode
from ports.charge_control import ControlFault


@dataclass(frozen=True, slots=True)
class Parameter:
    """A number with its unit and limits, or (with `choices`) a word."""

    name: str
    unit: str
    default: float | str
    low: float = -math.inf
    high: float = math.inf
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Fault:
    """One row. on: "pilot", "vehicle", "charger", "dc" (its power stage) or "mains". mrec: its code or None.

    reported: as what the board reports it, when it does.
    """

    name: str
    on: str
    mrec: int | None
    parameters: tuple[Parameter, ...]
    effect: str
    undo: str
    apply: Callable[[Target, Values], Undo]
    reported: ControlFault | None = None


MA = Parameter("milliamperes", "mA", 6.1, 0.0, 1000.0)

FAULTS: dict[str, Fault] = {
    fault.name: fault
    for fault in (
        Fault(
            "DiodeFault",
            "vehicle",
            None,
            (Parameter("kind", "", "shorted", choices=("shorted", "open", "reversed")),),
            "shorted (or missing, bridged) and reversed: no -12 V in the negative half, DiodeFault while PWM shows; "
            "open: the vehicle is invisible, state A",
            "a sound diode",
            lambda t, v: set_vehicle(t, "diode", Diode(v.word("kind"))),
            ControlFault.DIODE,
        ),
        Fault(
            "PilotFault.cp_pe_short",
            "pilot",
            14,
            (),
            "0 V on the pilot: state E, the contactor opens within 100 ms",
            "the short is removed",
            lambda t, _v: set_pilot(t, cp_pe_short=True),
            ControlFault.PILOT,
        ),
        Fault(
            "PilotFault.drift",
            "pilot",
            14,
            (Parameter("volts", "V", 0.5, -6.0, 6.0),),
            "the station measures so much more; up to 1 V the states hold, between the bands PilotFault after 1.5 s",
            "no drift",
            lambda t, v: set_pilot(t, drift_v=v.number("volts")),
            ControlFault.PILOT,
        ),
        Fault(
            "PilotFault.c_pulse",
            "vehicle",
            14,
            (Parameter("milliseconds", "ms", 120.0, 1.0, 3000.0),),
            "one B-C-B pulse out of B; 200 to 400 ms counts as a wake-up toggle, 120 ms does not",
            "nothing: it is over by itself",
            pulse,
        ),
        Fault(
            "GroundFailure.pe_lost",
            "pilot",
            2,
            (),
            "earth between station and vehicle is open: the station sees state A and opens",
            "earth is connected again",
            lambda t, _v: set_pilot(t, pe_lost=True),
        ),
        Fault(
            "GroundFailure.no_earth",
            "charger",
            2,
            (),
            "the station's ground monitor finds no protective earth: it opens, and needs a reset",
            "earth is back; the board still needs its reset",
            no_earth,
            ControlFault.GROUND,
        ),
        Fault(
            "GroundFailure.residual_dc",
            "charger",
            2,
            (MA,),
            "from 6 mA on the residual current device opens by itself: 20 ms until it trips, 25 ms more until the "
            "contactor reports open, and the fault 5 ms later; needs a reset",
            "no residual current; the board still needs its reset",
            residual("dc_ma"),
            ControlFault.GROUND,
        ),
        Fault(
            "GroundFailure.residual_ac",
            "charger",
            2,
            (Parameter("milliamperes", "mA", 31.0, 0.0, 1000.0),),
            "from 30 mA on, as residual_dc",
            "no residual current; the board still needs its reset",
            residual("ac_ma"),
            ControlFault.GROUND,
        ),
        Fault(
            "GroundFailure.self_test",
            "charger",
            2,
            (),
            "the residual current device fails its test before the next close, which is refused; needs a reset",
            "the device is sound; the board still needs its reset",
            self_test,
            ControlFault.GROUND,
        ),
        Fault(
            "InvalidVehicleMode.ignores_pwm_off",
            "vehicle",
            10,
            (),
            "the vehicle draws on in C1; the contactor opens under load after 6 s",
            "the vehicle stops when the PWM does",
            lambda t, _v: set_vehicle(t, "ignores_pwm_off", True),
        ),
        Fault(
            "InvalidVehicleMode.draws_without_s2",
            "vehicle",
            10,
            (Parameter("amperes", "A", 6.0, 0.0, 80.0),),
            "the vehicle draws so much per phase whenever its inlet is live: shows energy behind a welded contactor",
            "it does not",
            lambda t, v: set_vehicle(t, "parasitic_a", v.number("amperes")),
        ),
        Fault(
            "OverCurrentFailure",
            "vehicle",
            4,
            (Parameter("amperes", "A", 8.0, 0.0, 80.0),),
            "the vehicle draws so much more than it may; more than 5 A above the offer for 10 s opens the contactor",
            "it keeps to the offer",
            lambda t, v: set_vehicle(t, "excess_a", v.number("amperes")),
            ControlFault.OVER_CURRENT,
        ),
        Fault(
            "ProximityFault.resistance",
            "pilot",
            23,
            (Parameter("ohm", "ohm", 50.0, 0.0, 100_000.0),),
            "proximity measures this: another rating (the lower one between two ranges), or a fault",
            "the cable's own resistor",
            lambda t, v: set_pilot(t, pp_fault_ohm=v.number("ohm")),
            ControlFault.PROXIMITY,
        ),
        Fault(
            "ProximityFault.removed",
            "pilot",
            23,
            (),
            "no resistor on proximity while the vehicle is there: the contactor opens",
            "the plug is in again",
            lambda t, _v: set_pilot(t, pp_removed=True),
            ControlFault.PROXIMITY,
        ),
        Fault(
            "VentilationNotAvailable",
            "vehicle",
            None,
            (),
            "the vehicle asks for ventilation (state D): never closed without, charges with",
            "it charges in C",
            ventilation,
            ControlFault.VENTILATION,
        ),
        Fault(
            "EVSEContactorFault.welded",
            "charger",
            17,
            (),
            "main contacts stay closed once they are: a fault 1 s after opening; energy goes on being counted",
            "the contacts part; the board still needs its reset",
            weld,
            ControlFault.CONTACTOR,
        ),
        Fault(
            "EVSEContactorFault.late",
            "charger",
            17,
            (Parameter("seconds", "s", 0.5, 0.0, 60.0),),
            "the contacts move so much later; more than 1 s is a fault",
            "they move in time",
            lambda t, v: set_contactor(t, late=ns(v.number("seconds"))),
            ControlFault.CONTACTOR,
        ),
        Fault(
            "EVSEContactorFault.no_feedback",
            "charger",
            17,
            (),
            "the auxiliary contact never says closed: fault 1 s after the command, coil off",
            "the auxiliary contact works; the board still needs its reset",
            no_feedback,
            ControlFault.CONTACTOR,
        ),
        Fault(
            "EVSEContactorFault.bounce",
            "charger",
            17,
            (Parameter("edges", "", 5.0, 0.0, 1000.0), Parameter("every_ms", "ms", 1.0, 1.0, 100.0)),
            "the auxiliary contact bounces so often; reported once when that is over in time",
            "no bounce",
            lambda t, v: set_contactor(
                t, bounce=round(v.number("edges")), bounce_every=round(v.number("every_ms") * MS)
            ),
            ControlFault.CONTACTOR,
        ),
        Fault(
            "ConnectorLockFailure.jam",
            "charger",
            1,
            (),
            "the lock does not move: commands fail after 2 s, and nothing closes without a lock",
            "it moves at the next command",
            jam,
            ControlFault.LOCK,
        ),
        Fault(
            "BrokenLatch",
            "charger",
            25,
            (),
            "the bolt comes out by itself: while charging the contactor opens",
            "nothing: the next command locks again",
            broken_latch,
            ControlFault.LOCK,
        ),
        Fault(
            "HighTemperature",
            "charger",
            3,
            (
                Parameter("from_c", "degrees C", 25.0, -40.0, 150.0),
                Parameter("to_c", "degrees C", 72.0, -40.0, 150.0),
                Parameter("seconds", "s", 0.0, 0.0, 1e6),
            ),
            "a ramp: half the current from 65, a quarter from 68, stop 5 s after 71; full again at 62",
            "room temperature at once",
            heat,
            ControlFault.HIGH_TEMPERATURE,
        ),
        Fault(
            "EmergencyStop",
            "charger",
            8,
            (),
            "the button opens the contactor by itself",
            "the button is released",
            emergency_stop,
            ControlFault.EMERGENCY_STOP,
        ),
        Fault(
            "CableCheckFault.insulation",
            "dc",
            11,
            (Parameter("kohm", "kohm", 20.0, 0.0, 100_000.0),),
            "so much between DC output and earth: below 100 ohm/V the cable check fails, and the isolation monitor "
            "trips at once where the contactor is closed, which reports open 25 ms later (needs a reset); below "
            "500 ohm/V a warning",
            "as before; the board still needs its reset",
            leak,
            ControlFault.GROUND,
        ),
        Fault(
            "CableCheckFault.slow",
            "dc",
            11,
            (Parameter("seconds", "s", 35.0, 0.0, 600.0),),
            "the isolation test takes so much longer; vehicles wait 40 s, some less",
            "it takes its time again",
            lambda t, v: set_power_stage(t, "test_extra_s", v.number("seconds")),
        ),
        Fault(
            "UnderVoltage.dc_output",
            "dc",
            6,
            (Parameter("per_cent", "%", 50.0, 0.0, 100.0),),
            "the power stage reaches only so much of the voltage that it is asked for: pre-charge does not end",
            "all of it, with the next set point",
            lambda t, v: set_power_stage(t, "weakness", 1 - v.number("per_cent") / 100),
        ),
        Fault(
            "PowerLoss",
            "mains",
            15,
            (),
            "no mains at the whole plant: every contactor drops out",
            "mains are back; nothing closes by itself",
            lambda t, _v: set_level(t, 0.0),
            ControlFault.POWER_LOSS,
        ),
        Fault(
            "PowerLoss.phase",
            "mains",
            15,
            (Parameter("phase", "", "L2", choices=PHASE_NAMES),),
            "one phase of the whole plant is missing: three-phase boards open",
            "the phase is back",
            lose_phase,
            ControlFault.POWER_LOSS,
        ),
        Fault(
            "UnderVoltage",
            "mains",
            6,
            (Parameter("per_cent", "%", 60.0, 0.0, 100.0),),
            "brown-out of the whole plant: below 75 % of nominal contactors drop out, above that meters show it",
            "nominal voltage",
            lambda t, v: set_level(t, v.number("per_cent") / 100),
            ControlFault.POWER_LOSS,
        ),
        Fault(
            "OverVoltage",
            "mains",
            5,
            (Parameter("per_cent", "%", 115.0, 100.0, 150.0),),
            "so much voltage at the whole plant; the board does not watch it, meters show it",
            "nominal voltage",
            lambda t, v: set_level(t, v.number("per_cent") / 100),
        ),
    )
}
