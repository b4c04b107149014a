"""How long a pilot output lasts before the next one may come."""

from __future__ import annotations

import pytest

from firmware_sim.agenda import MS, S
from firmware_sim.charger.pilot_source import NEGATIVE, STEADY, PilotSource
from firmware_sim.pilot import Drive, PilotOutput


def pwm(duty: float) -> PilotOutput:
    return PilotOutput(Drive.PWM, duty)


def walk(source: PilotSource, at: int) -> list[tuple[int, PilotOutput]]:
    """All steps from `at` until the wanted output shows."""
    steps = []
    while True:
        output, due = source.step(at)
        if output is not None:
            steps.append((at, output))
        elif due is not None:
            assert due > at
            at = due
        else:
            return steps


@pytest.fixture
def source() -> PilotSource:
    return PilotSource(0)


def test_the_first_offer_shows_at_once(source: PilotSource) -> None:
    source.duty = 50
    assert walk(source, 0) == [(0, pwm(50))]


def test_two_duties_keep_five_seconds(source: PilotSource) -> None:
    source.duty = 50
    walk(source, 0)
    source.duty = 20
    assert walk(source, 1 * S) == [(5 * S, pwm(20))]
    source.duty = 30
    assert walk(source, 60 * S) == [(60 * S, pwm(30))]


def test_off_is_at_once_and_does_not_shorten_the_five_seconds(source: PilotSource) -> None:
    source.duty = 50
    walk(source, 0)
    source.duty = 100
    assert walk(source, 1 * S) == [(1 * S, STEADY)]
    source.duty = 20
    assert walk(source, 2 * S) == [(5 * S, pwm(20))]


def test_the_same_duty_again_is_no_change(source: PilotSource) -> None:
    source.duty = 50
    walk(source, 0)
    source.duty = 100
    walk(source, 1 * S)
    source.duty = 50
    assert walk(source, 2 * S) == [(2 * S, pwm(50))]


def test_another_vehicle_does_not_wait(source: PilotSource) -> None:
    source.duty = 50
    walk(source, 0)
    source.forget_vehicle()
    source.duty = 20
    assert walk(source, 1 * S) == [(1 * S, pwm(20))]


def test_f_lasts_four_seconds_then_x1_then_pwm(source: PilotSource) -> None:
    source.duty, source.unavailable = 50, True
    assert walk(source, 0) == [(0, NEGATIVE)]
    source.unavailable = False
    assert walk(source, 1 * S) == [(4 * S, STEADY), (4 * S + 750 * MS, pwm(50))]


def test_three_seconds_of_x1_after_digital_communication(source: PilotSource) -> None:
    source.duty = 5
    walk(source, 0)
    source.duty = 100
    walk(source, 10 * S)
    source.duty = 50
    assert walk(source, 11 * S) == [(13 * S, pwm(50))]


def test_a_fault_takes_the_pwm_away(source: PilotSource) -> None:
    source.duty = 50
    walk(source, 0)
    source.blocked = True
    assert walk(source, 1) == [(1, STEADY)]
