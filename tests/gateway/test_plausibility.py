"""Which readings are believed, and what OCMF calls the others."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from gateway.plausibility import judge, kwh, stand_in
from ports.clock import TimeStatus
from ports.meter import MeterIdentity, Quality, Reading

METER = MeterIdentity("Maker", "Model", "1")
BEFORE = Reading(
    "energy", Decimal("100.000"), "kWh", "", datetime(2026, 1, 1, tzinfo=UTC), TimeStatus.SYNCHRONISED, 1000.0
)


@pytest.mark.parametrize(
    ("value", "unit", "seconds", "quality"),
    [
        ("100.000", "kWh", 0.0, Quality.GOOD),
        ("100.006", "kWh", 1.0, Quality.GOOD),
        ("103.6", "kWh", 600.0, Quality.GOOD),
        ("100006.0", "Wh", 1.0, Quality.GOOD),
        ("99.999", "kWh", 1.0, Quality.OUT_OF_RANGE),
        ("0", "kWh", 1.0, Quality.OUT_OF_RANGE),
        ("53800.000", "kWh", 900.0, Quality.OUT_OF_RANGE),
        ("100.100", "kWh", 1.0, Quality.OUT_OF_RANGE),
        ("100.000", "W", 1.0, Quality.INCOMPATIBLE),
    ],
)
def test_the_register_runs_forward_and_no_faster_than_the_connector_allows(
    value: str, unit: str, seconds: float, quality: Quality
) -> None:
    reading = replace(BEFORE, value=Decimal(value), unit=unit, monotonic=1000.0 + seconds)
    judged = judge(reading, METER, METER, BEFORE, Decimal(22))
    assert judged.quality is quality
    assert judged.is_good == (quality is Quality.GOOD) == (judged.reason == "")
    assert judged.reading is reading


def test_another_meter_is_never_taken_for_this_one() -> None:
    for other in (replace(METER, serial="2"), replace(METER, vendor="Other")):
        judged = judge(replace(BEFORE, value=Decimal(101)), other, METER, BEFORE, Decimal(22))
        assert (judged.quality, judged.found_serial, judged.reading) == (Quality.EXCHANGED, other.serial, BEFORE)
        assert judged.stale
    assert judge(BEFORE, replace(METER, firmware="2"), METER, BEFORE, Decimal(22)).is_good


def test_what_the_meter_marks_itself_is_not_improved() -> None:
    judged = judge(replace(BEFORE, quality=Quality.READ_ERROR), METER, METER, None, Decimal(22))
    assert (judged.quality, judged.error_flags) == (Quality.READ_ERROR, "E")


def test_a_value_that_stands_in_is_never_billed() -> None:
    judged = stand_in(BEFORE, Quality.TIMEOUT, "no answer")
    assert (judged.is_good, judged.stale, judged.error_flags) == (False, True, "E")
    assert kwh(replace(BEFORE, unit="Wh")) == Decimal("0.100000")
