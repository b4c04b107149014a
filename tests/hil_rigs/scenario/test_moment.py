"""Durations and moments."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil_rigs.scenario.channels import CHANNELS
from hil_rigs.scenario.duration import seconds
from hil_rigs.scenario.moment import parse_moment


@pytest.mark.parametrize(("text", "value"), [("100 ms", 0.1), ("5 s", 5), ("2.5min", 150), ("4 h", 14400), ("0 s", 0)])
def test_durations(text: str, value: float) -> None:
    assert seconds(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["", "5", "5 days", "-1 s", "1e3 s", "s", "5 s 3"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="no duration"):
        seconds(text)


def test_moments() -> None:
    start = parse_moment("start", CHANNELS)
    assert (start.pattern, start.delay) == (None, 0.0)
    assert parse_moment("10 min", CHANNELS).delay == 600
    assert parse_moment("start + 5 s", CHANNELS).delay == 5
    after = parse_moment("after wire.v2g ChargingStatusRes #7 + 100 ms", CHANNELS)
    assert after.pattern is not None
    assert (after.pattern.name, after.pattern.nth, after.delay) == ("ChargingStatusRes", 7, 0.1)


@given(st.text(max_size=40))
def test_any_text_is_a_moment_or_a_value_error(text: str) -> None:
    try:
        parse_moment(text, CHANNELS)
    except ValueError:
        return
