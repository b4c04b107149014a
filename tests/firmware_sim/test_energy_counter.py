"""Energy is exact, whatever the number of changes."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_sim.energy_counter import UNITS_PER_WH, EnergyCounter, from_wh, to_wh

POWERS = st.integers(-50_000 * 10**9, 50_000 * 10**9)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 10**15), POWERS, st.integers(0, 5)), max_size=40))
def test_the_sum_is_the_integral(steps: list[tuple[int, int, int]]) -> None:
    at, expected = 0, [Fraction(0), Fraction(0)]
    counter = EnergyCounter(at)
    for elapsed, power, queries in steps:
        counter.set_power(at, power)
        for n in range(queries):  # asking in between changes nothing
            counter.units(at + elapsed * n // max(queries, 1))
        at += elapsed
        before = counter.units(at - 1) if elapsed else counter.units(at)
        after = counter.units(at)
        assert after[0] >= before[0]
        assert after[1] >= before[1]
        expected[power < 0] += Fraction(abs(power) * elapsed, UNITS_PER_WH)
    assert [Fraction(units, UNITS_PER_WH) for units in counter.units(at)] == expected


def test_one_hour_of_one_kilowatt() -> None:
    counter = EnergyCounter(7)
    counter.set_power(7, 1000 * 10**9)
    assert to_wh(counter.units(7 + 3600 * 10**9)[0]) == Decimal(1000)


def test_a_time_that_has_passed_changes_nothing() -> None:
    counter = EnergyCounter(100)
    counter.set_power(100, 10**9)
    assert counter.units(50) == (0, 0)
    assert counter.units(150) == (50 * 10**9, 0)


@settings(deadline=None)
@given(st.decimals(0, 10**9, places=12))
def test_wh_and_back(wh: Decimal) -> None:
    assert to_wh(from_wh(wh)) == wh
