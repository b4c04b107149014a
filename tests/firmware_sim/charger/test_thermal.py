"""Derating steps (OpenEVSE open_evse.h)."""

from __future__ import annotations

import pytest

from firmware_sim.charger.thermal import Derating


@pytest.mark.parametrize(
    ("path", "amperes", "trip"),
    [
        ((64.9,), 32, False),
        ((65,), 16, False),
        ((68,), 8, False),
        ((71,), 8, True),
        ((66, 63), 16, False),
        ((69, 66), 8, False),
        ((69, 62), 32, False),
        ((72, 63), 8, True),
        ((72, 61), 32, False),
    ],
)
def test_steps(path: tuple[float, ...], amperes: float, trip: bool) -> None:
    derating = Derating()
    for celsius in path:
        derating.sense(celsius, charging=True)
    assert (derating.limit(32), derating.too_hot) == (amperes, trip)


def test_never_below_six_amperes() -> None:
    derating = Derating()
    derating.sense(69, charging=True)
    assert derating.limit(16) == 6


def test_only_while_charging() -> None:
    derating = Derating()
    assert not derating.sense(80, charging=False)
    assert derating.limit(32) == 32
