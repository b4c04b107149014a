"""Duty and current: published vectors, the gaps, and that a vehicle never reads more than was offered."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_sim.duty import DutyKind, duty_for, meaning
from ports.errors import LocalError

# EVerest basic.rst and Charger.cpp::ampere_to_duty_cycle
VECTORS = [(6, 10.0), (16, 26.67), (32, 53.33), (51, 85.0), (63, 89.2), (80, 96.0)]


@pytest.mark.parametrize(("amperes", "duty"), VECTORS)
def test_vectors(amperes: float, duty: float) -> None:
    assert duty_for(amperes) == pytest.approx(duty, abs=0.005)
    assert meaning(duty_for(amperes)).amperes == pytest.approx(amperes)


@pytest.mark.parametrize("amperes", [51.0, 51.01, 52, 52.49])
def test_the_gap_between_the_two_rules_is_offered_as_51(amperes: float) -> None:
    assert meaning(duty_for(amperes)).amperes == pytest.approx(51)


@pytest.mark.parametrize(
    ("duty", "kind", "amperes"),
    [
        (0, "not allowed", 0),
        (2.99, "not allowed", 0),
        (3, "digital", 0),
        (5, "digital", 0),
        (7, "digital", 0),
        (7.01, "not allowed", 0),
        (7.99, "not allowed", 0),
        (8, "limit", 6),
        (9, "limit", 6),  # not 0.6 x 9 = 5.4
        (10, "limit", 6),
        (50, "limit", 30),
        (85, "limit", 51),
        (90, "limit", 65),
        (96, "limit", 80),
        (96.5, "limit", 80),
        (97, "limit", 80),
        (97.01, "not allowed", 0),
        (100, "not allowed", 0),
    ],
)
def test_what_a_vehicle_reads(duty: float, kind: str, amperes: float) -> None:
    assert meaning(duty).kind == kind
    assert meaning(duty).amperes == pytest.approx(amperes)


@settings(deadline=None)
@given(st.floats(6, 80))
def test_never_more_than_offered(amperes: float) -> None:
    said = meaning(duty_for(amperes))
    assert said.kind is DutyKind.LIMIT
    assert said.amperes <= amperes + 1e-9
    assert said.amperes >= amperes - 1.5 - 1e-9


@pytest.mark.parametrize("amperes", [0, 5.99, -1, 80.1, math.nan, math.inf])
def test_what_no_duty_says(amperes: float) -> None:
    with pytest.raises(LocalError, match="6 to 80 A"):
        duty_for(amperes)
