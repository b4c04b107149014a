"""Patterns: reading them, matching observations, and never anything but a ValueError for bad text."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil_rigs.scenario.channels import CHANNELS
from hil_rigs.scenario.pattern import Observation, parse_pattern, values_of

STATUS = {"ResponseCode": "OK", "EVSEMaxCurrent": {"Value": 320}}
FIELDS: dict[str, Any] = {
    "decoded": {"V2G_Message": {"Body": {"ChargingStatusRes": STATUS}}},
    "closed": True,
    "kwh": "2.50",
    "exact": Decimal("2.50"),
    "nothing": None,
    "list": [{"page": "T1"}, {"page": "T2"}],
}


def seen(channel: str = "wire.v2g", name: str = "ChargingStatusRes", source: str = "1.secc") -> Observation:
    return Observation(0, 1.0, channel, name, source, FIELDS)


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("wire.v2g ChargingStatusRes", True),
        ("wire.v2g *", True),
        ("wire.v2g ChargingStatusReq", False),
        ("store ChargingStatusRes", False),
        ("wire.v2g ChargingStatusRes @1.secc", True),
        ("wire.v2g ChargingStatusRes @2.secc", False),
        ("wire.v2g ChargingStatusRes ResponseCode=OK", True),
        ("wire.v2g ChargingStatusRes ChargingStatusRes.ResponseCode=OK", True),
        ("wire.v2g ChargingStatusRes ResponseCode!=OK", False),
        ("wire.v2g ChargingStatusRes ResponseCode~^O", True),
        ("wire.v2g ChargingStatusRes ResponseCode~FAILED", False),
        ("wire.v2g ChargingStatusRes EVSEMaxCurrent.Value>=320 EVSEMaxCurrent.Value<321", True),
        ("wire.v2g ChargingStatusRes EVSEMaxCurrent.Value>320", False),
        ("wire.v2g ChargingStatusRes closed=true", True),
        ("wire.v2g ChargingStatusRes closed=True", False),
        ("wire.v2g ChargingStatusRes kwh=2.50", True),
        ("wire.v2g ChargingStatusRes kwh=2.5", False),
        ("wire.v2g ChargingStatusRes kwh>2.4", True),
        ("wire.v2g ChargingStatusRes exact=2.5", True),
        ("wire.v2g ChargingStatusRes nothing=null", True),
        ("wire.v2g ChargingStatusRes page=T1", True),
        ("wire.v2g ChargingStatusRes absent=1", False),
        ("wire.v2g ChargingStatusRes absent!=1", True),
        ("wire.v2g ChargingStatusRes closed<2", False),
        ("wire.v2g ChargingStatusRes 'ResponseCode=O K'", False),
    ],
)
def test_a_pattern_matches_what_it_says(text: str, matches: bool) -> None:
    assert parse_pattern(text, CHANNELS).matches(seen()) is matches


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "expected a channel and a name"),
        ("wire.v2g", "expected a channel and a name"),
        ("wire.v3g X", 'no channel "wire.v3g"'),
        ("wire.v2g X #0", "a number from 1"),
        ("wire.v2g X #two", "a number from 1"),
        ("wire.v2g X what", "expected field=value"),
        ("wire.v2g 'X", "No closing quotation"),
    ],
)
def test_what_cannot_be_read_says_why(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_pattern(text, CHANNELS)


@given(st.text(max_size=60))
def test_any_text_is_a_pattern_or_a_value_error(text: str) -> None:
    try:
        pattern = parse_pattern(f"wire.v2g {text}", CHANNELS)
    except ValueError:
        return
    pattern.text.encode("utf-8", "surrogatepass")


def test_the_outermost_value_comes_first() -> None:
    assert list(values_of({"a": {"x": 2}, "x": 1}, "x")) == [1, 2]
    assert list(values_of(FIELDS, "list.1.page")) == ["T2"]
