"""Settings that nothing has are refused by name."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from firmware_sim.branch import BranchSettings
from firmware_sim.charger.settings import ChargerSettings
from firmware_sim.mains import MainsSettings
from firmware_sim.vehicle.settings import LIMITS, VehicleSettings
from ports.errors import LocalError


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ChargerSettings(max_a=5), "charger: max_a is 5, not between 6 and 80 A"),
        (lambda: ChargerSettings(phases=4), "charger: phases is 4"),
        (lambda: VehicleSettings(cable_a=25), "cable_a is 25, not one of 13, 20, 32, 63"),
        (lambda: VehicleSettings(soc=101), "vehicle: soc is 101, not between 0 and 100 %"),
        (lambda: MainsSettings(nominal_v=0), "nominal_v is 0"),
        (lambda: MainsSettings(noise_v=50), "noise_v is 50"),
        (lambda: MainsSettings(noise_v=1, noise_every_s=0), "noise_every_s is 0"),
        (lambda: BranchSettings(leak_ma=-1), "connector: leak_ma is -1, below 0"),
    ],
)
def test_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(LocalError, match=message):
        make()


@pytest.mark.parametrize(("name", "low", "high", "_unit"), LIMITS)
def test_limits_of_the_vehicle(name: str, low: float, high: float, _unit: str) -> None:
    for value in (low - 1e-3, high + 1e-3):
        with pytest.raises(LocalError, match=name):
            VehicleSettings(**{name: value})  # type: ignore[arg-type]
