"""Pilot physics against the published figures."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_sim.pilot import (
    R_B_OHM,
    R_C_OHM,
    R_D_OHM,
    Diode,
    Drive,
    PilotLoad,
    PilotOutput,
    classify,
    diode_is_bad,
    levels,
    parallel,
)
from ports.charge_control import PilotState

STEADY = PilotOutput()
PWM = PilotOutput(Drive.PWM, 53.3)


# V = 0.7 + 11.3 R / (R + 1000): EVerest docs/source/how-to-guides/bringup/basic.rst
@pytest.mark.parametrize(("ohm", "volts"), [(2740, 8.98), (882, 6.00), (246, 2.93)])
def test_levels_of_the_nominal_resistors(ohm: float, volts: float) -> None:
    assert levels(STEADY, PilotLoad(ohm)).high == pytest.approx(volts, abs=0.01)


def test_the_vehicle_s_resistors_give_the_nominal_loads() -> None:
    assert parallel(R_B_OHM, R_C_OHM) == pytest.approx(882, abs=0.5)
    assert parallel(R_B_OHM, R_D_OHM) == pytest.approx(246, abs=0.5)


# the same source: resistors to sweep
@pytest.mark.parametrize("ohm", [1870, 2740, 4610])
def test_b_over_its_tolerance(ohm: float) -> None:
    assert classify(levels(PWM, PilotLoad(ohm)).high) is PilotState.B


@pytest.mark.parametrize("ohm", [909, 1300, 1723])
def test_c_over_its_tolerance(ohm: float) -> None:
    assert classify(levels(PWM, PilotLoad(parallel(R_B_OHM, ohm))).high) is PilotState.C


@pytest.mark.parametrize(
    ("volts", "state"),
    [
        (12.6, "A"),
        (11.4, "A"),
        (13.01, None),
        (10.5, None),
        (9, "B"),
        (7.5, None),
        (6, "C"),
        (4.5, None),
        (3, "D"),
        (1.5, None),
        (0, "E"),
        (-5, None),
        (-12, "F"),
    ],
)
def test_classes(volts: float, state: str | None) -> None:
    assert classify(volts) == state


def test_levels_without_a_vehicle() -> None:
    assert levels(STEADY, PilotLoad()).high == 12
    assert (levels(PWM, PilotLoad()).high, levels(PWM, PilotLoad()).low) == (12, -12)
    assert levels(PilotOutput(Drive.NEGATIVE), PilotLoad(882)).high == -12


@pytest.mark.parametrize(
    ("diode", "state", "bad"),
    [(Diode.SOUND, "B", False), (Diode.SHORTED, "B", True), (Diode.OPEN, "A", False), (Diode.REVERSED, "A", True)],
)
def test_diodes(diode: Diode, state: str, bad: bool) -> None:
    measured = levels(PWM, PilotLoad(R_B_OHM, diode))
    assert classify(measured.high) == state
    assert diode_is_bad(PWM, measured) is bad
    assert not diode_is_bad(STEADY, levels(STEADY, PilotLoad(R_B_OHM, diode)))


@settings(deadline=None)
@given(st.floats(1, 1e6), st.sampled_from(Diode), st.sampled_from(Drive))
def test_a_load_never_adds_voltage(ohm: float, diode: Diode, drive: Drive) -> None:
    output = PilotOutput(drive, 50 if drive is Drive.PWM else 100)
    measured = levels(output, PilotLoad(ohm, diode))
    assert -12 <= measured.low <= measured.high <= 12
    assert (measured.low == measured.high) or drive is Drive.PWM
