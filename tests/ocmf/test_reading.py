"""Readings as the field writes them."""

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocmf.reading import read_readings, read_time, read_value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (Decimal("1.50"), "1.50"),
        ("1.50", "1.50"),
        ("      48.542", "48.542"),
        ("000012.30", "12.30"),
        ("1.606848e7", "1.606848E+7"),
        ("-1", "-1"),
    ],
)
def test_values(text, value):
    assert str(read_value(text)) == value


@pytest.mark.parametrize(
    "text", ["", "NaN", "Infinity", "1_000", "1,5", "0x10", "\uff11", None, True, [], Decimal("NaN")]
)
def test_what_is_no_value(text):
    assert read_value(text) is None


@pytest.mark.parametrize("huge", [Decimal("1E+999999"), Decimal("1E-999999"), "1e99", Decimal("1E+41")])
def test_exponents_that_exhaust_memory_are_no_values(huge):
    assert read_value(huge) is None


def test_times():
    time, status = read_time("2026-03-01T08:00:00,250+0130 S")
    assert time is not None
    assert time.isoformat() == "2026-03-01T08:00:00.250000+01:30"
    assert status == "S"
    west, _ = read_time("2026-03-01T08:00:00,000-0330 R")
    assert west is not None
    assert west.utcoffset() == -timedelta(hours=3, minutes=30)
    assert read_time("2026-03-01T08:00:00,000+0100")[1] == ""


@pytest.mark.parametrize(
    "text",
    ["", "2026-02-30T08:00:00,000+0100 S", "2026-13-01T08:00:00,000+0100 S", "2026-03-01 08:00:00,000+0100 S",
     "2026-03-01T08:00:00,000+9900 S", "0000-01-01T00:00:00,000+0000 S", "0001-01-01T00:00:00,000+1400 S"],
)  # fmt: skip
def test_impossible_times(text):
    assert read_time(text)[0] is None


@given(st.text(max_size=40))
def test_any_text_is_a_time_or_not(text):
    time, _ = read_time(text)
    assert time is None or time.tzinfo is not None


def test_omitted_fields_are_carried_forward():
    readings = read_readings(
        {
            "RD": [
                {"TM": "2026-03-01T08:00:00,000+0100 S", "TX": "B", "RV": Decimal(1), "RI": "1-b:1.8.0", "RU": "kWh",
                 "ST": "G"},
                {"TM": "2026-03-01T09:00:00,000+0100 S", "TX": "C", "RV": Decimal(2)},
                {"RV": Decimal(3)},
                {"TX": "E", "RV": Decimal("3.5")},
            ]
        },
        [],
    )  # fmt: skip
    assert [reading.tx for reading in readings] == ["B", "C", "C", "E"]
    assert {reading.status for reading in readings} == {"G"}
    assert {reading.register for reading in readings} == {"1-b:1.8.0"}
    assert readings[2].carried == {"TM", "TX", "RI", "RU", "ST"}


def test_units_convert_exactly():
    readings = read_readings({"RD": [{"RV": Decimal("12345678901234567890.1"), "RU": "Wh"}]}, [])
    assert str(readings[0].kwh) == "12345678901234567.8901"


def test_what_is_no_reading_is_reported():
    deviations: list[str] = []
    assert read_readings({"RD": {"TM": 1}}, deviations) == ()
    assert len(read_readings({"RD": [1, {}, {"RV": "1.0"}]}, deviations)) == 2
    assert deviations == ["RD is not an array", "RD[0] is not an object", "RD[2].RV is a string"]
