"""Cable ratings (values of EVerest basic.rst, IEC 61851-1 table B.2)."""

from __future__ import annotations

import pytest

from firmware_sim.proximity import rating


@pytest.mark.parametrize(
    ("ohm", "amperes"),
    [
        (1100, 13),
        (1500, 13),
        (2460, 13),
        (400, 20),
        (680, 20),
        (936, 20),
        (164, 32),
        (220, 32),
        (308, 32),
        (80, 63),
        (100, 63),
        (140, 63),
        # between two ranges: the lower rating
        (1000, 13),
        (350, 20),
        (150, 32),
        (70, 63),
        (3000, 13),
        # errors
        (59.9, None),
        (4500.1, None),
        (0, None),
        (None, None),
    ],
)
def test_ratings(ohm: float | None, amperes: int | None) -> None:
    assert rating(ohm) == amperes
