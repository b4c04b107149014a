"""The battery: constant current, then a taper; exact sums."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_sim.energy_counter import UNITS_PER_WH
from firmware_sim.vehicle.battery import Battery
from firmware_sim.vehicle.settings import VehicleSettings


def battery(soc: float, **options: object) -> Battery:
    return Battery.of(VehicleSettings(soc=soc, **options))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("soc", "ma"),
    [(0, 16000), (50, 16000), (89.99, 16000), (90, 16000), (91, 14400), (95.5, 8000), (99, 1600), (100, 0)],
)
def test_current_by_charge(soc: float, ma: int) -> None:
    assert battery(soc).accepts_ma(16000) == ma


@settings(deadline=None)
@given(st.floats(0, 99.99), st.integers(1, 1000))
def test_a_step_ends_exactly_where_the_current_changes(soc: float, efficiency: int) -> None:
    cell = battery(soc, efficiency_permille=efficiency)
    before = cell.accepts_ma(10**6)
    step = cell.inlet_energy_to_step()
    assert step > 0
    cell.delivered += step - 1
    assert cell.accepts_ma(10**6) == before
    cell.delivered += 1
    assert cell.accepts_ma(10**6) < before or cell.content * 100 // cell.capacity == cell.taper_from


def test_efficiency() -> None:
    cell = battery(0, capacity_wh=1000, efficiency_permille=900)
    cell.delivered = 1000 * UNITS_PER_WH
    assert cell.soc == pytest.approx(90)
    assert not cell.full
    assert cell.inlet_energy_to(cell.capacity) == pytest.approx(1000 / 9 * UNITS_PER_WH, rel=1e-12)


def test_set_soc() -> None:
    cell = battery(10)
    cell.delivered = 5 * UNITS_PER_WH
    cell.set_soc(55.5)
    assert cell.soc == pytest.approx(55.5)
